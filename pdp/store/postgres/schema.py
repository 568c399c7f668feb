"""Brings a database to the current schema. Any number of replicas may start at the same time.

A schema has the number of its last migration. The database also has the number of the oldest schema
whose release can still use it. Within a minor release, migrations only *expand*: an older release
reads and writes as before, so that replicas can be replaced one after the other. A later minor
release removes what no release needs any more, and raises the oldest schema (*contract*).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from pdp.errors import ConfigError
from pdp.store.postgres.migrations import MIGRATIONS, SCHEMA
from pdp.store.postgres.session import run

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg

    from pdp.store.postgres.migrations import Migration

MIN_SERVER_VERSION: Final = 150_000

LOCK_TIMEOUT_S: Final = 60


class SchemaPlace(NamedTuple):
    """Where in a database the tables of a schema are.

    Attributes:
        schema: the schema of PostgreSQL.
        table: the table that has the numbers of `SchemaState`.
        lock: the advisory lock of migrations.
    """

    schema: str
    table: str
    lock: int


POLICIES: Final = SchemaPlace(SCHEMA, "change_log", 0x50445031)
"""The store of policies. The lock is "PDP1"."""


class SchemaState(NamedTuple):
    """The schema of a database.

    Attributes:
        version: the number of its last migration; 0 if it has none.
        oldest: the oldest schema whose release works with it.
    """

    version: int
    oldest: int


def prepare(
    connection: psycopg.Connection,
    migrations: Sequence[Migration] = MIGRATIONS,
    place: SchemaPlace = POLICIES,
) -> None:
    """Brings the database to the schema of this release, or leaves a newer one that it can use.

    Args:
        connection: commits each statement by itself outside a transaction.
        migrations: the migrations of this release.
        place: where the tables are.

    Raises:
        ConfigError: the server is too old, or the database belongs to another program or to a
            newer release. It is unchanged.
        psycopg.Error: the database cannot be read or written.
    """
    if connection.info.server_version < MIN_SERVER_VERSION:
        raise ConfigError("The database is PostgreSQL of an older version. It must be 15 or newer.")
    if _needs_migration(state_of(connection, place), migrations):
        _migrate(connection, migrations, place)


def state_of(connection: psycopg.Connection, place: SchemaPlace = POLICIES) -> SchemaState:
    """Returns the schema of the database.

    Raises:
        ConfigError: the schema belongs to another program.
        psycopg.Error: the database cannot be read.
    """
    tables = run(
        connection, "SELECT tablename FROM pg_tables WHERE schemaname = %s", (place.schema,)
    )
    if not tables:
        return SchemaState(0, 0)
    if (place.table,) not in tables:
        raise ConfigError(
            f"The schema {place.schema} of the database belongs to another program. Name another "
            "database, or one that this product has created."
        )
    [row] = run(
        connection,
        f"SELECT schema_version, oldest_schema FROM {place.schema}.{place.table}",  # noqa: S608 - constants
    )
    return SchemaState(*row)


def _needs_migration(state: SchemaState, migrations: Sequence[Migration]) -> bool:
    if state.oldest > len(migrations):
        raise ConfigError(
            "The database was changed by a newer version of this product, which older ones cannot"
            " use. Run that version, or restore a backup from before the upgrade."
        )
    return state.version < len(migrations)


def _migrate(
    connection: psycopg.Connection, migrations: Sequence[Migration], place: SchemaPlace
) -> None:
    with connection.transaction():
        run(connection, f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_S}s'")
        run(connection, "SELECT pg_advisory_xact_lock(%s)", (place.lock,))
        # Another replica may have been faster.
        state = state_of(connection, place)
        if not _needs_migration(state, migrations):
            return
        for each in migrations[state.version :]:
            run(connection, each.sql)
        run(
            connection,
            f"UPDATE {place.schema}.{place.table} SET schema_version = %s, oldest_schema = %s",  # noqa: S608 - constants
            (len(migrations), migrations[-1].oldest),
        )
