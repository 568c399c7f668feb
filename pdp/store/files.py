"""Helpers for files that processes share; the SQLite backend and the export spool use them."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from pdp.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

T = TypeVar("T")

_BUSY: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_PRIMARY_CODE: Final = 0xFF
"""The low byte of a SQLite error code. The other bytes are details."""

_OWNER_ONLY: Final = 0o700
_FILE_MODE: Final = 0o600
_OTHERS: Final = 0o077
"""The permissions of a group and of everyone else."""

_WAL_PAUSE_S: Final = 0.01


class FileHeader(NamedTuple):
    """What identifies a SQLite file.

    Attributes:
        application_id: the program that the file belongs to.
        version: the version of the schema.
        tables: the number of tables, indices, views and triggers.
    """

    application_id: int
    version: int
    tables: int

    @property
    def is_empty(self) -> bool:
        """Whether the file is new: no program has written to it."""
        return self == (0, 0, 0)


def create_directory(directory: Path) -> None:
    """Creates a directory that only its owner can use, if it does not exist.

    Raises:
        OSError: it cannot be created.
    """
    directory.mkdir(mode=_OWNER_ONLY, parents=True, exist_ok=True)


def is_open_to_others(directory: Path) -> bool:
    """Returns whether other users of the host may use a directory; False if it does not exist."""
    try:
        return bool(directory.stat().st_mode & _OTHERS)
    except OSError:
        return False


def read_header(connection: sqlite3.Connection) -> FileHeader:
    """Returns the header of the file behind `connection`.

    Raises:
        sqlite3.Error: the file cannot be read.
    """
    return FileHeader(
        *connection.execute(
            "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_master)"
            " FROM pragma_application_id, pragma_user_version"
        ).fetchone()
    )


def primary_code(error: sqlite3.Error) -> int | None:
    """Returns the primary SQLite error code; None if Python raised the error itself."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & _PRIMARY_CODE


def is_busy(error: sqlite3.Error) -> bool:
    """Returns whether another connection holds the file, so that a retry may succeed."""
    return primary_code(error) in _BUSY


def retry_while_busy(work: Callable[[], T], timeout_s: float, pause_s: float) -> T:
    """Calls `work` again until no other connection holds the file, and returns its result.

    Use it if the busy time-out of SQLite does not apply, or waits too long between attempts.

    Args:
        work: has no effect if it fails because the file is busy.
        timeout_s: how long to retry.
        pause_s: the pause between two attempts.

    Raises:
        sqlite3.OperationalError: the file stayed busy, or `work` failed for another reason.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            return work()
        except sqlite3.OperationalError as error:
            if not is_busy(error) or time.monotonic() >= deadline:
                raise
        time.sleep(pause_s)


def enable_wal(connection: sqlite3.Connection, busy_timeout_s: float) -> None:
    """Puts the file behind `connection` into WAL mode.

    Raises:
        ConfigError: the file system does not support a write-ahead log.
        sqlite3.Error: the file cannot be read or written, or stayed busy.
    """
    # SQLite ignores its busy time-out here if several processes change the mode at once, as the
    # workers of a new server do.
    (mode,) = retry_while_busy(
        lambda: connection.execute("PRAGMA journal_mode = WAL").fetchone(),
        busy_timeout_s,
        _WAL_PAUSE_S,
    )
    if mode != "wal":
        raise ConfigError(
            "The file system of the database does not support a write-ahead log. Put the file on"
            " a local disk."
        )


@contextmanager
def exclusive_lock(path: Path) -> Iterator[bool]:
    """Holds a lock on a file; yields whether it is held, or False if another process holds it.

    The kernel releases the lock when the process ends in any way.

    Raises:
        OSError: the file cannot be created.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _FILE_MODE)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


def sync(path: Path) -> None:
    """Waits until a file, or the entries of a directory, are on disk.

    Raises:
        OSError: they cannot be written to disk.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
