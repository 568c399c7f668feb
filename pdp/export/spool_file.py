"""The file of the spool: what is in it, and that it is ours."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Final

from pdp.errors import ConfigError
from pdp.store.files import enable_wal

if TYPE_CHECKING:
    from pathlib import Path

_APPLICATION_ID: Final = 0x50445053
"""Marks a SQLite file as a spool: "PDPS"."""

_VERSION: Final = 1

# One transaction: processes that start at once see all of it, or nothing.
_SCHEMA: Final = f"""
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS events (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, connector TEXT, uid TEXT NOT NULL,
  at REAL NOT NULL, queued_at REAL NOT NULL, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS cursors (
  connector TEXT PRIMARY KEY, seq INTEGER NOT NULL, delivered INTEGER NOT NULL DEFAULT 0,
  dropped INTEGER NOT NULL DEFAULT 0, failing_since REAL, last_error TEXT NOT NULL DEFAULT '');
CREATE TABLE IF NOT EXISTS dead_letters (
  id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, destination TEXT NOT NULL,
  uid TEXT NOT NULL, at REAL NOT NULL, died_at REAL NOT NULL, reason TEXT NOT NULL,
  address TEXT NOT NULL DEFAULT '', body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS alerts (
  id INTEGER PRIMARY KEY AUTOINCREMENT, due_at REAL NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
  at REAL NOT NULL, destination TEXT NOT NULL, address TEXT NOT NULL, uid TEXT NOT NULL,
  body BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS alerts_due ON alerts (due_at);
CREATE TABLE IF NOT EXISTS windows (
  key TEXT PRIMARY KEY, ends_at REAL NOT NULL, suppressed INTEGER NOT NULL,
  destination TEXT NOT NULL, address TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS marks (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
PRAGMA application_id = {_APPLICATION_ID};
PRAGMA user_version = {_VERSION};
COMMIT;
"""


def opened(path: Path, timeout_s: float) -> sqlite3.Connection:
    """Opens the spool, made where it is not there, without implicit transactions.

    Raises:
        ConfigError: the file is another program's, or a newer version's; it is left as it is.
        OSError, sqlite3.Error: it cannot be read or written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    connection = sqlite3.connect(
        path, timeout=timeout_s, isolation_level=None, check_same_thread=False
    )
    try:
        if not _is_ready(connection, path):
            enable_wal(connection, timeout_s)
            connection.executescript(_SCHEMA)
        # What a power cut takes, the marks with it, is read again from the logs, which are FULL.
        connection.execute("PRAGMA synchronous = NORMAL")
    except BaseException:
        connection.close()
        raise
    return connection


def _is_ready(connection: sqlite3.Connection, path: Path) -> bool:
    """Returns whether the file has all that it needs.

    Raises:
        ConfigError: see `opened`.
    """
    application_id, version, tables = connection.execute(
        "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_master)"
        " FROM pragma_application_id, pragma_user_version"
    ).fetchone()
    if tables and application_id != _APPLICATION_ID:
        raise ConfigError(
            f"{path} is no spool of this product; move it away, and a new one is made."
        )
    if version > _VERSION:
        raise ConfigError(
            f"{path} was made by a newer version of this product; run that version, or move it "
            "away: what waits in it is not delivered then."
        )
    return bool(tables) and version == _VERSION
