"""Converts SQLite errors to the project's errors. Their messages contain neither SQL nor paths."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from pdp.errors import ConfigError, PdpError, StoreUnavailable
from pdp.store.files import is_busy, primary_code

if TYPE_CHECKING:
    from collections.abc import Iterator

_BUSY_MESSAGE: Final = "Another writer holds the store; try again."

_MESSAGES: Final = {
    sqlite3.SQLITE_READONLY: "The store is read-only.",
    sqlite3.SQLITE_FULL: "The store's disk is full.",
    sqlite3.SQLITE_IOERR: "The store's disk reports an I/O error.",
    sqlite3.SQLITE_CORRUPT: "The store is damaged.",
    sqlite3.SQLITE_NOTADB: "The store is damaged.",
}

_OPENING_MESSAGES: Final = {
    sqlite3.SQLITE_NOTADB: (
        "The database URL names a file that is not a database of this product. Name a new file, or"
        " a database that this product has created."
    ),
    sqlite3.SQLITE_CANTOPEN: (
        "The database file cannot be opened or created. Name a file in a directory that this "
        "process can write to."
    ),
    sqlite3.SQLITE_READONLY: (
        "The database file is read-only. Give this process write access to the file and its "
        "directory."
    ),
    sqlite3.SQLITE_CORRUPT: "The database file is damaged. Restore it from a backup.",
}


@contextmanager
def convert_errors() -> Iterator[None]:
    """Converts every SQLite error to `StoreUnavailable`, with the SQLite error as its cause."""
    try:
        yield
    except sqlite3.Error as error:
        raise _unavailable(error) from error


@contextmanager
def convert_opening_errors() -> Iterator[None]:
    """Converts every SQLite error to `ConfigError`, with the SQLite error as its cause.

    Raises `StoreUnavailable` instead if another process holds the file: a retry may succeed.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise _opening_error(error) from error


def _unavailable(error: sqlite3.Error) -> StoreUnavailable:
    if isinstance(error, sqlite3.ProgrammingError):
        return StoreUnavailable("The store is closed.")
    if is_busy(error):
        return StoreUnavailable(_BUSY_MESSAGE)
    return StoreUnavailable(_MESSAGES.get(primary_code(error) or 0, "The store is not available."))


def _opening_error(error: sqlite3.Error) -> PdpError:
    if is_busy(error):
        return StoreUnavailable(_BUSY_MESSAGE)
    return ConfigError(
        _OPENING_MESSAGES.get(
            primary_code(error) or 0,
            "The database file cannot be opened. Check that its disk is mounted and not full.",
        )
    )
