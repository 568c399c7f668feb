"""The verification proves that nothing was removed but what the notes of the retention say."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

import pytest

from pdp.domain.audit_log import RemovedRecords, Retention
from pdp.errors import StoreUnavailable
from pdp.store import open_audit_log
from pdp.store.hash_chain import record_hash
from pdp.store.removal_notes import RemovalNote, parse_note, to_json
from pdp.store.sqlite import audit_removal
from pdp.store.sqlite.audit_removal import RecordToRemove, RemovalStep
from pdp.store.sqlite.backup import verify_copy
from tests.support.audit_logs import KEY, body, file, old_log, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pdp.domain.audit_log import AuditLog

__all__ = ["file"]

NOW: Final = 2e9
KEYS: Final = pytest.mark.parametrize("key", [b"", KEY], ids=["no key", "key"])
BATCHES: Final = 30


def records(number: int) -> list[str]:
    """Returns the records of a batch: six of a loud tenant, and one of a quiet tenant."""
    tenants = ["loud"] * 3 + ["quiet"] + ["loud"] * 3
    return [body(number, tenant_id=each, redacted_text="x" * 900) for each in tenants]


@pytest.fixture
def reduced(file: Path, key: bytes) -> Iterator[AuditLog]:
    """A log in which a loud tenant has lost records, between those of a quiet one."""
    with closing(open_audit_log(f"sqlite:///{file}", key=key)) as log:
        for number in range(BATCHES):
            log.append(records(number))
        for number in range(5):
            log.append([body(number, tenant_id="loud")] * 20)
        log.append(records(0))
        log.retain(Retention(max_bytes=log.size() * 2 // 3), NOW)
        yield log


def query(file: Path, sql: str) -> list[Any]:
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute(sql).fetchall()


@KEYS
class TestRemovals:
    def test_the_rest_verifies_and_the_removals_are_counted(
        self, reduced: AuditLog, file: Path
    ) -> None:
        verification = reduced.verify()
        assert verification.problems == ()
        [(loud,)] = query(file, "SELECT count(*) FROM records WHERE tenant_id = 'loud'")
        [(quiet,)] = query(file, "SELECT count(*) FROM records WHERE tenant_id = 'quiet'")
        assert quiet == BATCHES + 1
        removed = 6 * (BATCHES + 1) + 100 - loud
        assert verification.removed == (RemovedRecords("loud", "size", removed),)
        assert verification.records == loud + quiet

    def test_a_copy_verifies(self, reduced: AuditLog, file: Path, key: bytes) -> None:
        reduced.checkpoint()
        assert verify_copy(file, key).problems == ()

    @pytest.mark.parametrize(
        ("statement", "problem"),
        [
            ("UPDATE records SET body = replace(body, 'xx', 'y') WHERE sequence = 4", "batch 1 "),
            ("UPDATE tombstones SET hash = zeroblob(32) WHERE sequence = 1", "batch 1 "),
            ("UPDATE tombstones SET level = 0 WHERE sequence = 1", "batch 1 lacks"),
            ("UPDATE tombstones SET sequence = 2 WHERE sequence = 3", "batch 1 "),
            ("DELETE FROM tombstones WHERE sequence = 3", "batch 1 lacks 1 of its 7 records"),
            ("DELETE FROM records WHERE sequence = 4", "batch 1 lacks 1 of its 7 records"),
            ("DELETE FROM batches WHERE sequence = 2", "batches 2 to 2 are missing"),
            ("DELETE FROM batches WHERE note != ''", "the end is missing"),
            ("UPDATE batches SET note = replace(note, 'loud', 'acme')", "is not what was written"),
            ("UPDATE batches SET note = replace(note, '[1,3]', '[1,4]')", "records 4 to 4"),
            ("UPDATE batches SET version = 1 WHERE sequence = 1", "batch 1 "),
            ("UPDATE batches SET version = 3 WHERE sequence = 1", "batch 1 "),
            ("UPDATE batches SET converted = 2 WHERE sequence = 1", "batch 1 "),
            ("INSERT INTO tombstones VALUES (9999, 0, zeroblob(32))", "1 records at the end"),
            ("UPDATE retention SET checkpoint = 3", ""),
        ],
    )
    def test_tampering_is_detected(
        self, reduced: AuditLog, file: Path, statement: str, problem: str
    ) -> None:
        run(file, statement)
        problems = reduced.verify().problems
        assert any(problem in each for each in problems) or not problem

    def test_a_record_deleted_by_hand_needs_a_note(
        self, reduced: AuditLog, file: Path, key: bytes
    ) -> None:
        """Its hash alone would complete the chain."""
        [(sequence, text)] = query(
            file,
            "SELECT sequence, body FROM records WHERE tenant_id = 'quiet' ORDER BY sequence LIMIT 1"
            " OFFSET 2",
        )
        with closing(sqlite3.connect(file, isolation_level=None)) as forger:
            hash_ = record_hash(text.encode(), key)
            forger.execute("DELETE FROM records WHERE sequence = ?", (sequence,))
            forger.execute("INSERT INTO tombstones VALUES (?, 0, ?)", (sequence, hash_))
        [problem] = reduced.verify().problems
        assert problem.startswith(f"records {sequence} to {sequence}: ")

    def test_evidence_stays_when_the_retention_removes_the_batch(
        self, reduced: AuditLog, file: Path, key: bytes
    ) -> None:
        [(sequence, text)] = query(
            file, "SELECT sequence, body FROM records WHERE tenant_id = 'quiet' LIMIT 1"
        )
        with closing(sqlite3.connect(file, isolation_level=None)) as forger:
            hash_ = record_hash(text.encode(), key)
            forger.execute("DELETE FROM records WHERE sequence = ?", (sequence,))
            forger.execute("INSERT INTO tombstones VALUES (?, 0, ?)", (sequence, hash_))
        for _ in range(3):
            reduced.append([body(0)])
            reduced.retain(Retention(max_age_s=0), NOW)
        assert any("but the notes say" in each for each in reduced.verify().problems)

    def test_a_removed_anchor_is_reported_as_removed(self, file: Path, key: bytes) -> None:
        with closing(open_audit_log(f"sqlite:///{file}", key=key)) as log:
            log.append([body(0, tenant_id="quiet")])
            log.append([body(0, tenant_id="loud")] * 20)
            anchor = log.verify().head
            for _ in range(20):
                log.append([body(0, tenant_id="loud", redacted_text="x" * 2000)] * 20)
            while log.retain(Retention(max_bytes=300_000), NOW).records:
                pass
            [problem] = log.verify(anchor).problems
            assert "is a removed batch" in problem
            assert log.verify(log.verify().head).problems == ()


@KEYS
class TestMixedLogs:
    @pytest.mark.parametrize(
        ("statement", "problem"),
        [
            ("", ""),
            ("UPDATE records SET body = replace(body, 'acme', 'acne') WHERE sequence = 400",
             "batch 40 "),
            ("UPDATE batches SET at = at + 1 WHERE converted", "is not what was written"),
            ("UPDATE batches SET converted = 0", "is not what was written"),
            ("UPDATE batches SET converted = 7 WHERE converted", "is not what was written"),
            ("UPDATE batches SET version = 2 WHERE converted", "is not what was written"),
        ],
    )  # fmt: skip
    def test_converted_batches_are_verified(
        self, file: Path, key: bytes, statement: str, problem: str
    ) -> None:
        old_log(file, batches=40, size=10, key=key)
        with closing(open_audit_log(f"sqlite:///{file}", key=key)) as log:
            log.append([body(0, tenant_id="quiet")])
            log.retain(Retention(max_bytes=int(log.size() * 0.88)), NOW)
            # The first batch that is not removed as a whole has lost some of its records.
            assert query(file, "SELECT count(*) FROM batches WHERE converted") != [(0,)]
            if statement:
                run(file, statement)
            problems = log.verify().problems
        assert any(problem in each for each in problems) if problem else problems == ()

    def test_a_tampered_old_batch_stays_a_problem(self, file: Path, key: bytes) -> None:
        old_log(file, batches=40, size=10, key=key)
        run(file, "UPDATE records SET body = replace(body, 'acme', 'acne') WHERE sequence = 2")
        with closing(open_audit_log(f"sqlite:///{file}", key=key)) as log:
            log.append([body(0, tenant_id="quiet")])
            log.retain(Retention(max_bytes=int(log.size() * 0.98)), NOW)
            assert any(each.startswith("batch 1 ") for each in log.verify().problems)

    def test_a_copy_from_before_the_migration_verifies(self, file: Path, key: bytes) -> None:
        old_log(file, key=key)
        assert verify_copy(file, key).problems == ()
        run(file, "DELETE FROM records WHERE sequence = 5")
        assert verify_copy(file, key).problems == ("batch 2 lacks 1 of its 3 records",)


def test_a_process_of_an_older_release_cannot_append_any_more(file: Path) -> None:
    """It would not know the batches of version 2."""
    old_log(file)
    open_audit_log(f"sqlite:///{file}").close()
    with pytest.raises(sqlite3.OperationalError):
        run(file, "INSERT INTO appended (sequence) VALUES (5)")
    with pytest.raises(sqlite3.IntegrityError, match="older release"):
        run(
            file,
            "INSERT INTO batches (sequence, first_record, records, at, note, previous, hash)"
            " VALUES (5, 13, 0, 0, '', x'', x'')",
        )


def test_a_forged_node_does_not_stop_the_retention(file: Path) -> None:
    with closing(open_audit_log(f"sqlite:///{file}")) as log:
        for _ in range(20):
            log.append([body(0)] * 20)
        run(file, "INSERT INTO tombstones SELECT sequence, 3, zeroblob(32) FROM records")
        size = log.size()
        for _ in range(5):
            log.retain(Retention(max_bytes=size // 2), NOW)
        assert log.last() == 400
        assert not log.verify().intact


class TestNotes:
    def test_a_note_is_read_as_it_was_written(self) -> None:
        text = (
            '{"removed":[{"tenant_id":"a","reason":"size","records":3}],"ranges":[[1,2],[5,5]],'
            f'"gaps":[[2,3,"{"00" * 32}","{"11" * 32}"]],"converted":{{"7":"{"22" * 32}"}},'
            '"earlier":[{"tenant_id":"","reason":"","records":1}],'
            f'"removed_through":4,"hash":"{"33" * 32}","next_record":9}}'
        )
        assert to_json(parse_note(text)) == text
        assert parse_note("") == RemovalNote()

    @pytest.mark.parametrize(
        "change",
        [
            {"removed": [{"tenant_id": "a", "reason": "size"}]},
            {"removed": [{"tenant_id": 1, "reason": "size", "records": 1}]},
            {"ranges": [[1]]},
            {"ranges": [[1, "2"]]},
            {"ranges": [[-1, 2]]},
            {"gaps": [[1, 2, "", ""]]},
            {"converted": {"x": "00" * 32}},
            {"removed_through": 1e999, "hash": "00" * 32},
            {"removed_through": 1, "hash": "00" * 31},
        ],
        ids=str,
    )
    def test_another_text_is_refused(self, change: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match=r"."):
            parse_note(json.dumps(change))


def test_the_hash_of_a_record_is_its_sha_256() -> None:
    """So that the owner of a record can compute it, and compare it with the log."""
    assert record_hash(b"{}", b"") == hashlib.sha256(b"{}").digest()
    assert record_hash(b"{}", KEY) != hashlib.sha256(b"{}").digest()


def test_an_append_to_a_log_with_a_forged_record_fails_at_once(file: Path) -> None:
    with closing(open_audit_log(f"sqlite:///{file}")) as log:
        log.append([body(1)])
        run(file, "INSERT INTO records (sequence, body) VALUES (2, '{}')")
        with pytest.raises(StoreUnavailable, match="pdp audit verify"):
            log.append([body(2)])


def remove(file: Path, tenant: str) -> int:
    """Removes all records of a tenant that one step can remove; returns how many."""
    sql = "SELECT sequence, CAST(body AS BLOB) FROM records WHERE tenant_id = ? ORDER BY sequence"
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        rows = [RecordToRemove(*row) for row in connection.execute(sql, (tenant,))]
        connection.execute("BEGIN IMMEDIATE")
        step = RemovalStep(connection, b"")
        step.remove_records(tenant, "size", rows)
        step.remove_empty_batches()
        step.append_note(1)
        connection.execute("COMMIT")
        return step.records


class TestBounds:
    @pytest.mark.parametrize(("size", "batches"), [(6, 4), (7, 3)])
    def test_batches_between_others_are_removed_if_this_saves_space(
        self, file: Path, size: int, batches: int
    ) -> None:
        with closing(open_audit_log(f"sqlite:///{file}")) as log:
            log.append([body(0, tenant_id="quiet")])
            log.append([body(0, tenant_id="loud")] * size)
            log.append([body(0, tenant_id="quiet")])
            assert remove(file, "loud") == size
            verification = log.verify()
            assert (verification.problems, verification.batches) == ((), batches)

    @pytest.mark.parametrize(
        ("name", "bound", "removed"),
        [
            ("MAX_RECORDS", 23, 23),
            ("MAX_RECORDS", 24, 24),
            ("MAX_BATCHES", 2, 8),
            ("MAX_BATCHES", 3, 12),
            ("MAX_BYTES", 1, 4),
        ],
    )
    def test_a_step_is_bounded(
        self, file: Path, monkeypatch: pytest.MonkeyPatch, name: str, bound: int, removed: int
    ) -> None:
        monkeypatch.setattr(audit_removal, name, bound)
        with closing(open_audit_log(f"sqlite:///{file}")) as log:
            for _ in range(6):
                log.append([body(0, tenant_id="loud")] * 4 + [body(0)])
            assert remove(file, "loud") == removed
            assert log.verify().problems == ()
