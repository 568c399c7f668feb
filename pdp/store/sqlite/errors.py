"""Where SQLite's errors become ours, once. What leaves here holds neither SQL nor a path."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from pdp.errors import ConfigError, PdpError, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

_PRIMARY_CODE: Final = 0xFF
"""The low byte of an error code; the others tell details that nobody outside needs."""

_BUSY: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})

_BUSY_SENTENCE: Final = "Another writer holds the store; try again."

_SENTENCES: Final = {
    **dict.fromkeys(_BUSY, _BUSY_SENTENCE),
    sqlite3.SQLITE_READONLY: "The store can only be read.",
    sqlite3.SQLITE_FULL: "The store's disk is full.",
    sqlite3.SQLITE_IOERR: "The store's disk does not answer as it should.",
    sqlite3.SQLITE_CORRUPT: "The store is damaged.",
    sqlite3.SQLITE_NOTADB: "The store is damaged.",
}

_OPENING_SENTENCES: Final = {
    sqlite3.SQLITE_NOTADB: (
        "The store URL names a file that is not a store of this product; name a new file, or a "
        "store that it has made."
    ),
    sqlite3.SQLITE_CANTOPEN: (
        "The store's file cannot be opened or created; name a file, in a directory that this "
        "process may write in."
    ),
    sqlite3.SQLITE_READONLY: (
        "The store's file cannot be written; let this process write it and its directory."
    ),
    sqlite3.SQLITE_CORRUPT: "The store's file is damaged; restore it from a backup.",
}


def _code(error: sqlite3.Error) -> int | None:
    code: int | None = getattr(error, "sqlite_errorcode", None)  # absent where Python found fault
    return None if code is None else code & _PRIMARY_CODE


def _unavailable(error: sqlite3.Error) -> StoreUnavailable:
    if isinstance(error, sqlite3.ProgrammingError):
        return StoreUnavailable("The store is closed.")
    return StoreUnavailable(_SENTENCES.get(_code(error) or 0, "The store cannot be used now."))


def _opening_error(error: sqlite3.Error) -> PdpError:
    code = _code(error) or 0
    if code in _BUSY:
        return StoreUnavailable(_BUSY_SENTENCE)
    return ConfigError(
        _OPENING_SENTENCES.get(
            code, "The store's file cannot be opened; see that its disk is there and has room."
        )
    )


def is_busy(error: sqlite3.Error) -> bool:
    """Whether `error` says that another connection is at work, so that it may go away."""
    return _code(error) in _BUSY


@contextmanager
def converted() -> Iterator[None]:
    """Raises `StoreUnavailable` in place of any SQLite error, with that as its cause."""
    try:
        yield
    except sqlite3.Error as error:
        raise _unavailable(error) from error


@contextmanager
def converted_at_opening() -> Iterator[None]:
    """Raises `ConfigError` in place of any SQLite error, with that as its cause.

    `StoreUnavailable` it is where another process is at work and a later attempt may succeed.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise _opening_error(error) from error
