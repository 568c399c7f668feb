"""Detects that the files of an open database were deleted or replaced.

A process that has a deleted file open can still write to it: such commits succeed and are lost when
the process ends. SQLite does not notice this in WAL mode, so the store checks.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from pdp.errors import StoreUnavailable

if TYPE_CHECKING:
    from pathlib import Path

_MOVED: Final = (
    "The store's file was deleted or replaced. Nothing can be written until the server is"
    " restarted."
)


class FileIdentity:
    """The identities of a database file and its write-ahead log at the time of opening."""

    def __init__(self, path: Path) -> None:
        """Reads the identities. The files must be open.

        Raises:
            StoreUnavailable: the files do not exist any more.
        """
        self._paths = (os.fspath(path), f"{os.fspath(path)}-wal")
        self._identities = self._read()

    def check(self) -> None:
        """Checks that the paths still name the same files.

        Raises:
            StoreUnavailable: a file was deleted or replaced.
        """
        if self._read() != self._identities:
            raise StoreUnavailable(_MOVED)

    def _read(self) -> list[tuple[int, int]]:
        try:
            stats = [os.stat(path) for path in self._paths]
        except OSError:
            raise StoreUnavailable(_MOVED) from None
        return [(each.st_dev, each.st_ino) for each in stats]
