"""The file of the spool: its schema, and how it is opened."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Final

from pdp.errors import ConfigError
from pdp.store.files import create_directory, enable_wal, read_header

if TYPE_CHECKING:
    from pathlib import Path

_APPLICATION_ID: Final = 0x50445053
"""Marks a SQLite file as a spool: "PDPS"."""

_VERSION: Final = 1
_TIMEOUT_S: Final = 10.0
"""How long to wait for another process that writes."""

# One transaction: processes that start at the same time see all of the schema or nothing.
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


def open_spool(path: Path) -> sqlite3.Connection:
    """Opens the file without implicit transactions, and creates it if it does not exist.

    Raises:
        ConfigError: the file belongs to another program or to a newer version. It is unchanged.
        OSError, sqlite3.Error: the file cannot be read or written.
    """
    create_directory(path.parent)
    path.touch(mode=0o600)
    connection = sqlite3.connect(
        path, timeout=_TIMEOUT_S, isolation_level=None, check_same_thread=False
    )
    try:
        if not _has_schema(connection, path):
            enable_wal(connection, _TIMEOUT_S)
            connection.executescript(_SCHEMA)
        # A power failure may lose the last commits. Their marks are lost with them, so the events
        # are read again from the logs, which are synced (FULL).
        connection.execute("PRAGMA synchronous = NORMAL")
    except BaseException:
        connection.close()
        raise
    return connection


def _has_schema(connection: sqlite3.Connection, path: Path) -> bool:
    """Returns whether the file has the current schema.

    Raises:
        ConfigError: see `open_spool`.
    """
    header = read_header(connection)
    if header.tables and header.application_id != _APPLICATION_ID:
        raise ConfigError(
            f"{path} is not a spool of this product. Move it away, and a new one is created."
        )
    if header.version > _VERSION:
        raise ConfigError(
            f"{path} was created by a newer version of this product. Run that version, or move the "
            "file away: the events and alerts in it are then not delivered."
        )
    return bool(header.tables) and header.version == _VERSION
