"""How a SQLite file comes to be a store of the present schema, in WAL mode."""

from __future__ import annotations

import sqlite3
import time
from typing import Final

from pdp.errors import ConfigError
from pdp.store.sqlite_errors import is_busy

APPLICATION_ID: Final = 0x50445031
"""Marks a SQLite file as ours: "PDP1"."""

SCHEMA_VERSION: Final = 3
"""How many migrations there are."""

_RETRY_S: Final = 0.01


def prepare(connection: sqlite3.Connection, *, busy_timeout_s: float) -> None:
    """Makes the file behind `connection` a store of the present schema, in WAL mode.

    Any number of processes may do so at once.

    Args:
        connection: without implicit transactions (`isolation_level=None`).
        busy_timeout_s: how long to wait for other processes that open the file.

    Raises:
        ConfigError: the file is not ours, or was made by a newer version; it is left untouched.
        sqlite3.Error: the file cannot be read or written.

    """
    _version(connection)
    _enable_wal(connection, time.monotonic() + busy_timeout_s)
    if _version(connection) < SCHEMA_VERSION:
        _migrate(connection)


def _version(connection: sqlite3.Connection) -> int:
    """Returns the schema's version; 0 for a file with nothing in it."""
    application_id, version, tables = connection.execute(
        "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_master)"
        " FROM pragma_application_id, pragma_user_version"
    ).fetchone()
    if (application_id, version, tables) == (0, 0, 0):
        return 0
    if application_id != APPLICATION_ID:
        raise ConfigError(
            "The store URL names a database of another program; name a new file, or a store that"
            " this product has made."
        )
    if version > SCHEMA_VERSION:
        raise ConfigError(
            "The store was made by a newer version of this product; run that version, or restore"
            " a backup from before the upgrade."
        )
    return int(version)


def _enable_wal(connection: sqlite3.Connection, deadline: float) -> None:
    # SQLite does not wait here, whatever the busy time-out, when several processes make the
    # change at once, as the workers of a first start do.
    while True:
        try:
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        except sqlite3.OperationalError as error:
            if not is_busy(error) or time.monotonic() >= deadline:
                raise
            time.sleep(_RETRY_S)
            continue
        if mode != "wal":
            raise ConfigError(
                "The store's file is where SQLite cannot keep a write-ahead log; put it on a local"
                " disk."
            )
        return


def _migrate(connection: sqlite3.Connection) -> None:
    # Imported here, since it takes a tenth of a second that only a file's first start needs.
    from sqlite_utils import Database  # noqa: PLC0415

    from pdp.store.migrations import MIGRATIONS  # noqa: PLC0415

    # One transaction around all: sqlite-utils nests its own in it, and of several processes that
    # start at once the first migrates while the others wait, then find nothing to do.
    connection.execute("BEGIN IMMEDIATE")
    try:
        if _version(connection) < SCHEMA_VERSION:
            MIGRATIONS.apply(Database(connection, recursive_triggers=False, execute_plugins=False))
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
