"""The migrations of the store of policies.

Never edit a released migration. To change the schema, append a migration and raise `SCHEMA_VERSION`
in `schema.py` by one. All pending migrations are applied in one transaction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlite_utils.migrations import Migrations

if TYPE_CHECKING:
    from sqlite_utils import Database

MIGRATIONS: Final = Migrations("pdp")


# SQL, because sqlite-utils supports neither partial indices nor AUTOINCREMENT.
@MIGRATIONS()
def records_and_changes(db: Database) -> None:
    """Creates the table of entities (`records`) and the change log."""
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
    # Serves the history of an entity and, through its first column, the list of tenants.
    db.execute("CREATE INDEX changes_of_entity ON changes (tenant_id, kind, entity_id, revision)")


@MIGRATIONS()
def counters(db: Database) -> None:
    """Creates the counters of limits, and the sequence of their stamps."""
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
    # The sequence is stored: the counter with the highest stamp may be removed, and stamps must not
    # repeat.
    db.execute("CREATE TABLE counter_stamps (last INTEGER NOT NULL) STRICT")
    db.execute("INSERT INTO counter_stamps VALUES (0)")


@MIGRATIONS()
def model_configs(db: Database) -> None:
    """Creates a view of the model catalog in the form of the table `model_configs`.

    The view is for people and tools that read the file. The server writes the entities only.
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


@MIGRATIONS()
def change_log_state(db: Database) -> None:
    """Creates the state of the change log's compaction, and indices of the change log."""
    db.execute(
        """
        CREATE TABLE change_log (
            removed_through INTEGER NOT NULL, -- a revision; up to it, changes may be missing
            removed_until   REAL NOT NULL     -- the time of that revision
        ) STRICT
        """
    )
    db.execute("INSERT INTO change_log VALUES (0, 0.0)")
    db.execute(
        "CREATE INDEX changes_deletions ON changes (tenant_id, kind, entity_id) WHERE op = 'delete'"
    )
    # Serves the pages of a tenant's changes, in order.
    db.execute("CREATE INDEX changes_of_tenant ON changes (tenant_id, revision)")


@MIGRATIONS()
def approvals(db: Database) -> None:
    """Creates the indices of approvals and confirmations, which are entities in `records`."""
    # Only statements with these conditions, word by word, use these indices.
    db.execute(
        """
        CREATE INDEX approvals_open ON records (tenant_id, json_extract(body, '$.subject'))
        WHERE kind = 'approval' AND deleted_at IS NULL
            AND json_extract(body, '$.state') IN ('pending', 'approved')
        """
    )
    db.execute(
        """
        CREATE INDEX approvals_due ON records (json_extract(body, '$.expires_at'))
        WHERE kind = 'approval' AND deleted_at IS NULL
            AND json_extract(body, '$.state') IN ('pending', 'approved')
        """
    )
    db.execute(
        """
        CREATE INDEX approvals_closed ON records (json_extract(body, '$.expires_at'))
        WHERE kind IN ('approval', 'confirmation')
            AND json_extract(body, '$.state') NOT IN ('pending', 'approved')
        """
    )
    db.execute("CREATE INDEX approvals_of_tenant ON records (tenant_id) WHERE kind = 'approval'")


@MIGRATIONS()
def processes(db: Database) -> None:
    """Creates the table of the server processes that use the store."""
    db.execute(
        """
        CREATE TABLE processes (
            process_id     TEXT PRIMARY KEY,
            host           TEXT NOT NULL,
            pid            INTEGER NOT NULL,
            worker         INTEGER NOT NULL,
            version        TEXT NOT NULL,
            revision       INTEGER NOT NULL, -- of the policies that it has in force
            policies_age_s REAL NOT NULL,
            draining       INTEGER NOT NULL,
            started_at     REAL NOT NULL,
            seen_at        REAL NOT NULL
        ) STRICT, WITHOUT ROWID
        """
    )
