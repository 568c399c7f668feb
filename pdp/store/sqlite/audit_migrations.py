"""The migrations of the audit log; `migrations.py` has the rules for changing them.

A log may have many gigabytes. A migration must not read or rewrite its records or batches: all
processes wait for it when they start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlite_utils.migrations import Migrations

if TYPE_CHECKING:
    from sqlite_utils import Database

MIGRATIONS: Final = Migrations("pdp-audit")

_COLUMNS: Final = (
    ("decision_id", "TEXT", "decision_id"),
    ("tenant_id", "TEXT", "tenant_id"),
    ("time", "REAL", "time"),
    ("outcome", "TEXT", "outcome"),
    ("user_id", "TEXT", "subject.user_id"),
    ("customer_id", "TEXT", "customer_id"),
    ("risk_level", "TEXT", "risk.level"),
)


@MIGRATIONS()
def batches_and_records(db: Database) -> None:
    """Creates the tables of batches and of records.

    The indexed columns are generated from the bodies, so an index cannot contradict a body. A batch
    is appended through a view: this is one statement, so the append is one transaction and takes
    the interpreter lock once.
    """
    db.execute(
        """
        CREATE TABLE batches (
            sequence     INTEGER PRIMARY KEY AUTOINCREMENT, -- remembers the highest there was
            first_record INTEGER NOT NULL,
            records      INTEGER NOT NULL,
            at           INTEGER NOT NULL, -- microseconds since the epoch
            note         TEXT NOT NULL,
            previous     BLOB NOT NULL,
            hash         BLOB NOT NULL
        ) STRICT
        """
    )
    db.execute(
        "CREATE TABLE chain (one INTEGER PRIMARY KEY CHECK (one = 1), key_id TEXT NOT NULL) STRICT"
    )
    _make_records(db)
    _make_append(db)


def _make_records(db: Database) -> None:
    generated = ", ".join(
        f"{name} {kind} GENERATED ALWAYS AS (json_extract(body, '$.{path}')) STORED"
        for name, kind, path in _COLUMNS
    )
    db.execute(
        f"""
        CREATE TABLE records (
            sequence INTEGER PRIMARY KEY,
            body     TEXT NOT NULL,
            {generated}
        ) STRICT
        """
    )
    db.execute("CREATE INDEX records_by_id ON records (decision_id)")
    db.execute("CREATE INDEX records_of_tenant ON records (tenant_id, sequence)")
    db.execute("CREATE INDEX records_of_user ON records (tenant_id, user_id, sequence)")
    db.execute("CREATE INDEX records_by_outcome ON records (tenant_id, outcome, sequence)")


def _make_append(db: Database) -> None:
    db.execute(
        """
        CREATE VIEW appended AS
        SELECT sequence, first_record, records, at, note, previous, hash, '[]' AS bodies
        FROM batches
        """
    )
    db.execute(
        """
        CREATE TRIGGER append INSTEAD OF INSERT ON appended BEGIN
            INSERT INTO batches (sequence, first_record, records, at, note, previous, hash)
            VALUES (NEW.sequence, NEW.first_record, NEW.records, NEW.at, NEW.note, NEW.previous,
                    NEW.hash);
            INSERT INTO records (sequence, body)
            SELECT NEW.first_record + key, value FROM json_each(NEW.bodies);
        END
        """
    )


@MIGRATIONS()
def single_removals(db: Database) -> None:
    """Lets single records be removed: batches of version 2, and the hashes of removed records.

    A process of an older release cannot append any more: it would not know these batches.
    """
    db.execute("ALTER TABLE batches ADD COLUMN version INTEGER NOT NULL DEFAULT 1")
    db.execute("ALTER TABLE batches ADD COLUMN converted INTEGER NOT NULL DEFAULT 0")
    db.execute(
        """
        CREATE TABLE tombstones (
            sequence INTEGER PRIMARY KEY, -- of the first record below a node of a batch's tree
            level    INTEGER NOT NULL CHECK (level BETWEEN 0 AND 62),
            hash     BLOB NOT NULL
        ) STRICT
        """
    )
    db.execute(
        """
        CREATE TABLE holdings (
            tenant_id TEXT PRIMARY KEY,
            bytes     INTEGER NOT NULL -- approximately; of the records up to counted_through
        ) STRICT, WITHOUT ROWID
        """
    )
    db.execute(
        """
        CREATE TABLE retention (
            one             INTEGER PRIMARY KEY CHECK (one = 1),
            counted_through INTEGER NOT NULL, -- the last record that holdings include
            checkpoint      INTEGER NOT NULL  -- the batch with the latest checkpoint
        ) STRICT
        """
    )
    db.execute("INSERT INTO retention VALUES (1, 0, 0)")
    db.execute(
        """
        CREATE TRIGGER no_old_versions BEFORE INSERT ON batches WHEN NEW.version < 2 BEGIN
            SELECT RAISE(ABORT, 'this process is of an older release');
        END
        """
    )
    _make_append_of_bytes(db)


def _make_append_of_bytes(db: Database) -> None:
    """Makes the view of appends. It gets the bodies as one string of bytes.

    `places` is an array with a number per body: 2^32 times its position, plus its length. This is
    faster than an array of texts, which would be quoted and parsed.
    """
    db.execute("DROP TRIGGER append")
    db.execute("DROP VIEW appended")
    db.execute(
        """
        CREATE VIEW appended_batches AS
        SELECT sequence, first_record, records, at, note, previous, hash, version,
               x'' AS bodies, '[]' AS places
        FROM batches
        """
    )
    db.execute(
        """
        CREATE TRIGGER append INSTEAD OF INSERT ON appended_batches BEGIN
            INSERT INTO batches
                (sequence, first_record, records, at, note, previous, hash, version)
            VALUES (NEW.sequence, NEW.first_record, NEW.records, NEW.at, NEW.note, NEW.previous,
                    NEW.hash, NEW.version);
            INSERT INTO records (sequence, body)
            SELECT NEW.first_record + key,
                   CAST(substr(NEW.bodies, value >> 32, value & 4294967295) AS TEXT)
            FROM json_each(NEW.places);
        END
        """
    )


@MIGRATIONS()
def lookups(db: Database) -> None:
    """Creates the index of records by request id and by policy id.

    It takes the same short time for a log of any size: `audit_lookups` indexes the records later,
    in short steps.
    """
    db.execute(
        """
        CREATE TABLE lookups (
            tenant_id TEXT NOT NULL,
            value     TEXT NOT NULL, -- 'r' and a request id, or 'p' and a policy id
            sequence  INTEGER NOT NULL,
            PRIMARY KEY (tenant_id, value, sequence)
        ) STRICT, WITHOUT ROWID
        """
    )
    # A body that someone has damaged may not keep its record from being removed.
    db.execute(
        """
        CREATE TRIGGER forget AFTER DELETE ON records WHEN json_valid(OLD.body) BEGIN
            DELETE FROM lookups
            WHERE tenant_id = OLD.tenant_id AND sequence = OLD.sequence
                AND value = 'r' || json_extract(OLD.body, '$.request_id');
            DELETE FROM lookups
            WHERE tenant_id = OLD.tenant_id AND sequence = OLD.sequence AND value IN (
                SELECT 'p' || json_extract(value, '$.policy_id')
                FROM json_each(OLD.body, '$.matches')
            );
        END
        """
    )
    db.execute("CREATE TABLE progress (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT")
    db.execute(
        """
        INSERT INTO progress
        SELECT column1, coalesce((
            SELECT first_record + records FROM batches ORDER BY sequence DESC LIMIT 1
        ), 1) FROM (VALUES ('indexed_from'), ('indexed_to'))
        """
    )


@MIGRATIONS()
def decision_counts(db: Database) -> None:
    """Creates the table of how many decisions were made, recorded or not.

    The log notes from when on decisions are counted: from the beginning if it is new.
    """
    db.execute(
        """
        CREATE TABLE decision_counts (
            tenant_id TEXT NOT NULL,
            at        INTEGER NOT NULL, -- where a minute or an hour begins, in seconds
            width     INTEGER NOT NULL, -- 60 or 3600
            level     TEXT NOT NULL,
            outcome   TEXT NOT NULL,
            recorded  INTEGER NOT NULL,
            decisions INTEGER NOT NULL,
            PRIMARY KEY (tenant_id, at, width, level, outcome, recorded)
        ) STRICT, WITHOUT ROWID
        """
    )
    db.execute("CREATE INDEX counts_by_time ON decision_counts (at)")
    db.execute(
        """
        INSERT INTO progress
        SELECT 'counted_from', CASE WHEN EXISTS (SELECT 1 FROM chain)
            THEN CAST(strftime('%s', 'now') AS INTEGER) ELSE 0 END
        """
    )
