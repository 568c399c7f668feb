"""The migrations of the SQLite store's schema.

A migration, once released, is never edited: a change of the schema is a new one at the end, with
`SCHEMA_VERSION` in `schema.py` raised by one. All that are pending are applied in one transaction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlite_utils.migrations import Migrations

if TYPE_CHECKING:
    from sqlite_utils import Database

MIGRATIONS: Final = Migrations("pdp")


# sqlite-utils has no partial indices and no AUTOINCREMENT of its own, hence the SQL.
@MIGRATIONS()
def records_and_changes(db: Database) -> None:
    """Makes the two tables: what is, and the log of how it came to be."""
    db.execute(
        """
        CREATE TABLE records (
            tenant_id  TEXT NOT NULL,
            kind       TEXT NOT NULL,
            id         TEXT NOT NULL,
            name       TEXT,
            body       TEXT NOT NULL,
            revision   INTEGER NOT NULL,
            seq        INTEGER NOT NULL, -- order of creation: the revision that created it
            created_at REAL NOT NULL,
            updated_at REAL NOT NULL,
            deleted_at REAL,
            PRIMARY KEY (tenant_id, kind, id)
        ) STRICT
        """
    )
    db.execute(
        """
        CREATE UNIQUE INDEX records_by_name ON records (tenant_id, kind, name)
        WHERE deleted_at IS NULL AND name IS NOT NULL
        """
    )
    db.execute(
        "CREATE INDEX records_in_order ON records (tenant_id, kind, seq) WHERE deleted_at IS NULL"
    )
    db.execute(
        """
        CREATE TABLE changes (
            revision  INTEGER PRIMARY KEY AUTOINCREMENT, -- never given twice
            tenant_id TEXT NOT NULL,
            kind      TEXT NOT NULL,
            entity_id TEXT NOT NULL,
            op        TEXT NOT NULL CHECK (op IN ('create', 'update', 'delete')),
            before    TEXT,
            after     TEXT,
            actor     TEXT NOT NULL,
            at        REAL NOT NULL,
            summary   TEXT NOT NULL
        ) STRICT
        """
    )
    # Serves the history of an entity and, by its first column, the list of tenants.
    db.execute("CREATE INDEX changes_of_entity ON changes (tenant_id, kind, entity_id, revision)")


@MIGRATIONS()
def counters(db: Database) -> None:
    """Makes the counters of limits, and the one number that their stamps are taken from."""
    db.execute(
        """
        CREATE TABLE counters (
            tenant_id  TEXT NOT NULL,
            scope      TEXT NOT NULL,
            subject_id TEXT NOT NULL,
            window     TEXT NOT NULL,
            start      INTEGER NOT NULL,
            requests   INTEGER NOT NULL,
            tokens     INTEGER NOT NULL,
            cost       INTEGER NOT NULL, -- in micro-dollars
            stamp      INTEGER NOT NULL UNIQUE,
            PRIMARY KEY (tenant_id, scope, subject_id, window, start)
        ) STRICT, WITHOUT ROWID
        """
    )
    db.execute("CREATE INDEX counters_by_age ON counters (window, start)")
    # Not the highest stamp there is: that one may be forgotten, and stamps must not come again.
    db.execute("CREATE TABLE counter_stamps (last INTEGER NOT NULL) STRICT")
    db.execute("INSERT INTO counter_stamps VALUES (0)")


@MIGRATIONS()
def model_configs(db: Database) -> None:
    """Shows the model catalog as the table that seed 002 keeps the kill switch in.

    A view, so that there is one truth: it is for those who look into the file; records are written.
    """
    db.execute(
        """
        CREATE VIEW model_configs AS
        SELECT id,
               json_extract(body, '$.provider') AS provider,
               json_extract(body, '$.model_id') AS model_id,
               json_extract(body, '$.display_name') AS display_name,
               json_extract(body, '$.tier') AS tier,
               json_extract(body, '$.is_active') AS is_active,
               strftime(
                   '%Y-%m-%dT%H:%M:%SZ',
                   json_extract(body, '$.kill_switch_disabled_at'),
                   'unixepoch'
               ) AS kill_switch_disabled_at,
               json_extract(body, '$.disabled_reason') AS disabled_reason,
               revision
        FROM records
        WHERE tenant_id = '' AND kind = 'model_config' AND deleted_at IS NULL
        ORDER BY seq
        """
    )
