"""How a SQLite file comes to be a store of the present schema, in WAL mode."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pdp.errors import ConfigError
from pdp.store.sqlite.busy_retry import retry_while_busy

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from sqlite_utils.migrations import Migrations

APPLICATION_ID: Final = 0x50445031
"""Marks a SQLite file as ours: "PDP1"."""

SCHEMA_VERSION: Final = 3
"""How many migrations there are."""

_PAUSE_S: Final = 0.01


def _migrations() -> Migrations:
    from pdp.store.sqlite.migrations import MIGRATIONS  # noqa: PLC0415 - see `_migrate`

    return MIGRATIONS


@dataclass(frozen=True, slots=True)
class Form:
    """What a file is to become.

    Attributes:
        application_id: marks the file.
        version: how many migrations there are.
        migrations: gives them; only a file that is not of the present version asks.
    """

    application_id: int
    version: int
    migrations: Callable[[], Migrations]


POLICIES: Final = Form(APPLICATION_ID, SCHEMA_VERSION, _migrations)
"""The store of policies."""


def prepare(
    connection: sqlite3.Connection, *, busy_timeout_s: float, form: Form = POLICIES
) -> None:
    """Makes the file behind `connection` a store of the present schema, in WAL mode.

    Any number of processes may do so at once.

    Args:
        connection: without implicit transactions (`isolation_level=None`).
        busy_timeout_s: how long to wait for other processes that open the file.
        form: what it is to become.

    Raises:
        ConfigError: the file is not ours, or was made by a newer version; it is left untouched.
        sqlite3.Error: the file cannot be read or written.

    """
    version_of(connection, form)
    enable_wal(connection, busy_timeout_s)
    if version_of(connection, form) < form.version:
        _migrate(connection, form)


def version_of(connection: sqlite3.Connection, form: Form = POLICIES) -> int:
    """Returns the schema's version; 0 for a file with nothing in it.

    Raises:
        ConfigError: the file is not ours, or was made by a newer version.
        sqlite3.Error: the file cannot be read.
    """
    application_id, version, tables = connection.execute(
        "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_master)"
        " FROM pragma_application_id, pragma_user_version"
    ).fetchone()
    if (application_id, version, tables) == (0, 0, 0):
        return 0
    if application_id != form.application_id:
        raise ConfigError(
            "The store URL names a database of another program; name a new file, or a store that"
            " this product has made."
        )
    if version > form.version:
        raise ConfigError(
            "The store was made by a newer version of this product; run that version, or restore"
            " a backup from before the upgrade."
        )
    return int(version)


def enable_wal(connection: sqlite3.Connection, busy_timeout_s: float) -> None:
    """Puts the file behind `connection` into WAL mode.

    Raises:
        ConfigError: it is where SQLite cannot keep a write-ahead log.
        sqlite3.Error: it cannot be read or written, or others were in the way all the time.
    """
    # SQLite does not wait here, whatever the busy time-out, when several processes make the
    # change at once, as the workers of a first start do.
    (mode,) = retry_while_busy(
        lambda: connection.execute("PRAGMA journal_mode = WAL").fetchone(), busy_timeout_s, _PAUSE_S
    )
    if mode != "wal":
        raise ConfigError(
            "The store's file is where SQLite cannot keep a write-ahead log; put it on a local"
            " disk."
        )


def _migrate(connection: sqlite3.Connection, form: Form) -> None:
    # Imported here, since it takes a tenth of a second that only a file's first start needs.
    from sqlite_utils import Database  # noqa: PLC0415

    # One transaction around all: sqlite-utils nests its own in it, and of several processes that
    # start at once the first migrates while the others wait, then find nothing to do.
    connection.execute("BEGIN IMMEDIATE")
    try:
        if version_of(connection, form) < form.version:
            database = Database(connection, recursive_triggers=False, execute_plugins=False)
            form.migrations().apply(database)
            connection.execute(f"PRAGMA application_id = {form.application_id}")
            connection.execute(f"PRAGMA user_version = {form.version}")
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
