"""The migrations of the audit log; `migrations.py` has the rules for changing them."""

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
