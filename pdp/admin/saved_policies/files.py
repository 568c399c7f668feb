"""The directory of saved policies.

Every file but one has the hash of its bytes as its name, and never changes. The one, `confirmed`,
names the others (see `pdp.admin.saved_policies.contents`). It is replaced when all that it names is
on disk, and what only the one before it has named is removed after that. So whenever the process or
the host ends, `confirmed` names files that are complete and belong together.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from pdp.admin.saved_policies.seal import SavedPoliciesUnusable
from pdp.errors import ConfigError
from pdp.store.files import create_directory, is_open_to_others, sync

if TYPE_CHECKING:
    from collections.abc import Iterable, Set
    from pathlib import Path

    from pdp.admin.saved_policies.seal import FileSeal

MAX_FILE_BYTES: Final = 1 << 30
"""A larger file is not read."""

_CONFIRMED: Final = "confirmed"
_LOCK: Final = "lock"
_SUFFIX: Final = ".policies"
_NEW: Final = ".new"
_NAME: Final = re.compile(r"[0-9a-f]{64}")
_MODE: Final = 0o600


class SavedFiles:
    """The files in a directory. Any process may read them, one at a time writes.

    Attributes:
        encrypts: whether the files are encrypted.
    """

    def __init__(self, directory: Path, seal: FileSeal) -> None:
        """Creates the directory, if it does not exist.

        Raises:
            ConfigError: the directory cannot be used.
        """
        try:
            create_directory(directory)
        except OSError as error:
            raise ConfigError(
                f"PDP_SNAPSHOT_DIR: {directory} cannot be created: {error.strerror}"
            ) from None
        if is_open_to_others(directory):
            raise ConfigError(
                f"PDP_SNAPSHOT_DIR: other users can use {directory}. Allow only its owner to (chmod"
                " 700), or name a directory in it, which is then created."
            )
        self._directory = directory
        self._seal = seal
        self._lock: int | None = None
        self.encrypts = seal.encrypts

    def claim(self) -> bool:
        """Returns whether this process may write; until it ends, no other one may then.

        Raises:
            OSError: the directory cannot be written.
        """
        if self._lock is not None:
            return True
        lock = os.open(self._directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BaseException as error:
            os.close(lock)
            if isinstance(error, BlockingIOError):
                return False
            raise
        self._lock = lock
        return True

    def release(self) -> None:
        """Lets another process write."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def put(self, role: bytes, content: bytes) -> str:
        """Writes a file and returns its name. It is not used until `confirm` names it.

        Raises:
            OSError: it cannot be written.
        """
        data = self._seal.close(role, content)
        name = hashlib.sha256(data).hexdigest()
        self._write(name + _SUFFIX, data)
        return name

    def get(self, role: bytes, name: str) -> bytes:
        """Returns the content of a file.

        Raises:
            SavedPoliciesUnusable: the file is missing, or is not what was written.
        """
        if not _NAME.fullmatch(name):
            raise SavedPoliciesUnusable("a file of saved policies is damaged")
        data = self._read(name + _SUFFIX)
        if data is None:
            raise SavedPoliciesUnusable("a file of saved policies is missing")
        if hashlib.sha256(data).hexdigest() != name:
            raise SavedPoliciesUnusable("a file of saved policies is damaged")
        return self._seal.open(role, data)

    def confirm(self, role: bytes, content: bytes) -> None:
        """Replaces the file that names the others, when those are on disk.

        Raises:
            OSError: it cannot be written.
        """
        sync(self._directory)
        self._write(_CONFIRMED, self._seal.close(role, content))
        sync(self._directory)

    def confirmed(self, role: bytes) -> bytes:
        """Returns the content of the file that names the others.

        Raises:
            SavedPoliciesUnusable: there is none, or it is not what was written.
        """
        data = self._read(_CONFIRMED)
        if data is None:
            raise SavedPoliciesUnusable("no policies have been saved")
        return self._seal.open(role, data)

    def forget(self) -> None:
        """Removes the file that names the others: from now on, nothing is used.

        Raises:
            OSError: it cannot be removed.
        """
        (self._directory / _CONFIRMED).unlink(missing_ok=True)
        sync(self._directory)

    def remove(self, names: Iterable[str]) -> None:
        """Removes files that are not named any more.

        Raises:
            OSError: one cannot be removed.
        """
        for name in names:
            (self._directory / (name + _SUFFIX)).unlink(missing_ok=True)

    def keep_only(self, names: Set[str]) -> None:
        """Removes what a process has left that ended while it wrote.

        Raises:
            OSError: a file cannot be removed.
        """
        with os.scandir(self._directory) as entries:
            found = [entry.name for entry in entries]
        for name in found:
            is_unnamed = name.endswith(_SUFFIX) and name.removesuffix(_SUFFIX) not in names
            if is_unnamed or name.endswith(_NEW):
                (self._directory / name).unlink(missing_ok=True)

    def _write(self, name: str, data: bytes) -> None:
        path = self._directory / name
        new = self._directory / (name + _NEW)
        try:
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _MODE)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(descriptor)
            new.replace(path)
        except OSError:
            with suppress(OSError):
                new.unlink(missing_ok=True)
            raise

    def _read(self, name: str) -> bytes | None:
        try:
            with (self._directory / name).open("rb") as file:
                if os.fstat(file.fileno()).st_size > MAX_FILE_BYTES:
                    raise SavedPoliciesUnusable("a file of saved policies is too large")
                return file.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise SavedPoliciesUnusable(
                f"the saved policies cannot be read: {error.strerror}"
            ) from None
