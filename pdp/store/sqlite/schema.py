"""Brings a SQLite file to the current schema, in WAL mode."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pdp.errors import ConfigError
from pdp.store.files import enable_wal, read_header

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from sqlite_utils.migrations import Migrations

APPLICATION_ID: Final = 0x50445031
"""Marks a SQLite file as a store of policies: "PDP1"."""

SCHEMA_VERSION: Final = 6
"""The number of migrations."""


def _migrations() -> Migrations:
    from pdp.store.sqlite.migrations import MIGRATIONS  # noqa: PLC0415 - see `_migrate`

    return MIGRATIONS


@dataclass(frozen=True, slots=True)
class Schema:
    """The schema of a kind of database.

    Attributes:
        application_id: marks the file.
        version: the number of migrations.
        migrations: returns the migrations; called only if the file needs one.
    """

    application_id: int
    version: int
    migrations: Callable[[], Migrations]


POLICIES: Final = Schema(APPLICATION_ID, SCHEMA_VERSION, _migrations)
"""The schema of the store of policies."""


def prepare(
    connection: sqlite3.Connection, *, busy_timeout_s: float, schema: Schema = POLICIES
) -> None:
    """Brings the file behind `connection` to the current schema, in WAL mode.

    Any number of processes may do so at the same time.

    Args:
        connection: has no implicit transactions (`isolation_level=None`).
        busy_timeout_s: how long to wait for other processes that open the file.
        schema: the schema of the file.

    Raises:
        ConfigError: the file belongs to another program or to a newer version. It is unchanged.
        sqlite3.Error: the file cannot be read or written.

    """
    version_of(connection, schema)
    enable_wal(connection, busy_timeout_s)
    if version_of(connection, schema) < schema.version:
        _migrate(connection, schema)


def version_of(connection: sqlite3.Connection, schema: Schema = POLICIES) -> int:
    """Returns the schema version of a file; 0 for a new file.

    Raises:
        ConfigError: the file belongs to another program or to a newer version.
        sqlite3.Error: the file cannot be read.
    """
    header = read_header(connection)
    if header.is_empty:
        return 0
    if header.application_id != schema.application_id:
        raise ConfigError(
            "The database URL names a database of another program. Name a new file, or a database"
            " that this product has created."
        )
    if header.version > schema.version:
        raise ConfigError(
            "The database was created by a newer version of this product. Run that version, or"
            " restore a backup from before the upgrade."
        )
    return header.version


def _migrate(connection: sqlite3.Connection, schema: Schema) -> None:
    # The import takes 0.1 s, and only a new or old file needs it.
    from sqlite_utils import Database  # noqa: PLC0415

    # All migrations run in one transaction; those of sqlite-utils nest within it. If several
    # processes start at once, the first one migrates while the others wait.
    connection.execute("BEGIN IMMEDIATE")
    try:
        if version_of(connection, schema) < schema.version:
            database = Database(connection, recursive_triggers=False, execute_plugins=False)
            schema.migrations().apply(database)
            connection.execute(f"PRAGMA application_id = {schema.application_id}")
            connection.execute(f"PRAGMA user_version = {schema.version}")
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
