"""Copies of a store's file: taken while others write, checked, and put in its place."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from pdp.errors import ConfigError, StoreUnavailable
from pdp.store import schema
from pdp.store.sqlite_errors import converted_at_opening

_IN_USE: Final = (
    "Another process has the database open, a server for instance; end it, then restore again."
)


def copy(path: Path, target: Path) -> None:
    """Copies the database as it is now, with all that was committed, while others may write.

    Raises:
        ConfigError: it is not there, or is no store.
        StoreUnavailable: it cannot be read now.
    """
    if not path.is_file():
        raise ConfigError(f"there is no database at {path}")
    with converted_at_opening(), closing(_open(path, "ro")) as source:
        schema.version_of(source)
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        with closing(sqlite3.connect(target, isolation_level=None)) as copied:
            source.backup(copied)
            copied.execute("PRAGMA journal_mode = DELETE")  # one file, complete in itself


def check(path: Path) -> tuple[int, int]:
    """Returns the schema's version and the revision of a copy that is whole.

    Raises:
        ConfigError: it is no store, was made by a newer version, or is damaged.
    """
    with converted_at_opening(), closing(_open(path, "ro")) as connection:
        version = schema.version_of(connection)
        found = connection.execute("PRAGMA integrity_check(1)").fetchall()
        if version == 0 or found != [("ok",)]:
            raise ConfigError("the database is damaged, or has nothing in it")
        [(revision,)] = connection.execute(
            "SELECT coalesce(max(revision), 0) FROM changes"
        ).fetchall()
    return version, int(revision)


def replace(path: Path, copied: Path) -> Path | None:
    """Puts a copy in the place of the database; returns where the old one is kept.

    Raises:
        StoreUnavailable: another process has the database open.
        ConfigError: the files cannot be moved.
    """
    kept = path.with_name(f"{path.name}.before-restore")
    try:
        if path.exists():
            _check_unused(path)
            path.replace(kept)
        for suffix in ("-wal", "-shm"):
            with suppress(FileNotFoundError):
                Path(f"{path}{suffix}").unlink()
        copied.replace(path)
    except OSError as error:
        raise ConfigError(f"{path} cannot be replaced: {error.strerror}") from None
    return kept if kept.exists() else None


def _check_unused(path: Path) -> None:
    # SQLite leaves WAL mode only while nobody else has the file open.
    try:
        with closing(_open(path, "rw")) as connection:
            connection.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorname.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            raise StoreUnavailable(_IN_USE) from None
        # What cannot be read cannot be in use by a server that works; it is kept all the same.


def _open(path: Path, mode: str) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    return sqlite3.connect(uri, uri=True, isolation_level=None)
