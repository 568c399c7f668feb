"""An audit log in a file, and functions that fill it and tamper with it."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

import pytest
from sqlite_utils import Database

from pdp.audit.record_json import encode_record
from pdp.domain.audit_log import RecordFilter
from pdp.domain.decision import Outcome, Risk
from pdp.domain.decision_record import DecisionRecord
from pdp.store import open_audit_log
from pdp.store.hash_chain import NO_BATCH, Batch, digest, key_id
from pdp.store.sqlite.audit_log import APPLICATION_ID
from pdp.store.sqlite.audit_migrations import MIGRATIONS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pdp.domain.audit_log import AuditLog

KEY: Final = b"a key of at least thirty-two bytes, for tests"
EVERYTHING: Final = RecordFilter("acme")


def record(number: int, **fields: Any) -> DecisionRecord:
    values: dict[str, Any] = {
        "decision_id": f"d{number}",
        "request_id": f"r{number}",
        "time": float(number),
        "tenant_id": "acme",
        "outcome": Outcome.ALLOW,
        "risk": Risk(0, "none"),
        **fields,
    }
    return DecisionRecord(**values)


def body(number: int, **fields: Any) -> str:
    return encode_record(record(number, **fields))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "audit.db"


@pytest.fixture
def log(file: Path) -> Iterator[AuditLog]:
    with closing(open_audit_log(f"sqlite:///{file}")) as audit_log:
        yield audit_log


def fill(log: AuditLog, batches: int = 4, size: int = 3) -> None:
    for batch in range(batches):
        log.append([body(batch * size + n) for n in range(size)])


def ids(log: AuditLog, **conditions: Any) -> list[str]:
    rows = log.select(RecordFilter("acme", **conditions), before=None, limit=1000).records
    return [json.loads(each.body)["decision_id"] for each in rows]


def run(file: Path, *statements: str) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def old_log(
    file: Path, batches: int = 4, size: int = 3, key: bytes = b"", removed: int = 0
) -> None:
    """Creates a log as the release before the second migration wrote it.

    Args:
        file: the file.
        batches: how many batches are written.
        size: the records of a batch.
        key: the key of the chain.
        removed: how many batches the retention of that release has removed.
    """
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        database = Database(connection, recursive_triggers=False)
        MIGRATIONS.apply(database, stop_before="single_removals")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("PRAGMA user_version = 1")
        connection.execute("INSERT INTO chain VALUES (1, ?)", (key_id(key),))
        head = NO_BATCH
        note: dict[str, Any] = {}
        for number in range(batches):
            head = _append_old(
                connection, head, [body(number * size + n) for n in range(size)], key
            )
            if head.sequence == removed:
                note = {"removed_through": removed, "hash": head.hash.hex(), "records": removed}
        if removed:
            connection.execute("DELETE FROM batches WHERE sequence <= ?", (removed,))
            connection.execute("DELETE FROM records WHERE sequence <= ?", (removed * size,))
            _append_old(connection, head, [], key, json.dumps(note))


def _append_old(
    connection: sqlite3.Connection, head: Batch, bodies: list[str], key: bytes, note: str = ""
) -> Batch:
    """Appends a batch of version 1, and returns it."""
    first = head.next_record
    batch = Batch(head.sequence + 1, first, len(bodies), 1, note, head.hash, b"", version=1)
    batch = batch._replace(hash=digest(batch, [each.encode() for each in bodies], key))
    connection.execute(
        "INSERT INTO appended VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (*batch[:7], json.dumps(bodies))
    )
    return batch
