"""The directory of a follower. Processes that share one have a directory each in it."""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from pdp.errors import ConfigError
from pdp.store.files import create_directory

if TYPE_CHECKING:
    from pathlib import Path

MAX_PLACES: Final = 64
"""Followers that share a directory."""

_MODE: Final = 0o600


@dataclass(frozen=True, slots=True)
class ClaimedDirectory:
    """A directory that only this process uses, until it ends.

    Attributes:
        directory: the directory.
    """

    directory: Path
    _lock: int

    @classmethod
    def claim(cls, directory: Path) -> Self:
        """Returns the first directory in another one that no process uses.

        A process that starts anew takes over from one that has ended: its policies, and the records
        that it has not reported.

        Raises:
            ConfigError: the directory cannot be used, or is full.
        """
        try:
            for number in range(MAX_PLACES):
                place = directory / str(number)
                create_directory(place)
                lock = os.open(place / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    os.close(lock)
                else:
                    return cls(place, lock)
        except OSError as error:
            raise ConfigError(
                f"the directory {directory} cannot be used: {error.strerror}. Name one that this "
                "process can write to."
            ) from None
        raise ConfigError(
            f"{MAX_PLACES} processes use the directory {directory} already. Name another one."
        )

    @property
    def position_file(self) -> Path:
        """The file with the position up to which records are reported."""
        return self.directory / "reported"

    def release(self) -> None:
        """Lets another process have the directory."""
        os.close(self._lock)
