"""The audit log: append, read, retention, and use by several processes."""

from __future__ import annotations

import json
import sqlite3
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from pdp.audit.acknowledgements import ThreadAcknowledgements
from pdp.audit.record_json import encode_record
from pdp.bootstrap.recording import Recording, RecordingOptions
from pdp.domain.audit_log import Retention
from pdp.domain.decision import Match, Outcome, Risk
from pdp.domain.decision_record import DecisionRecord, RecordedSubject
from pdp.errors import ConfigError, StoreUnavailable
from pdp.store import open_audit_log, open_store
from tests.support.audit_logs import EVERYTHING, body, file, fill, ids, log, record, run

if TYPE_CHECKING:
    from pathlib import Path

    from pdp.domain.audit_log import AuditLog

__all__ = ["file", "log"]


class TestReading:
    def test_bodies_are_read_byte_for_byte_newest_first(self, log: AuditLog) -> None:
        bodies = [body(1, message='"\\ \u00e9 \u2028 \U0001f512'), body(2), body(3)]
        log.append(bodies[:2])
        log.append(bodies[2:])
        assert [
            each.body for each in log.select(EVERYTHING, before=None, limit=9).records
        ] == bodies[::-1]
        assert [each.sequence for each in log.follow(EVERYTHING, after=1, limit=9).records] == [
            2,
            3,
        ]
        assert log.last() == 3

    def test_a_record_is_read_as_it_was_appended(self, log: AuditLog) -> None:
        full_record = record(
            1,
            subject=RecordedSubject("u", ("g", "h"), "a", 0.5),
            matches=(Match("static", "p", "n", "block", "high", "reason"),),
            redacted_arguments={"a": [1, None, {"b": "c"}]},
        )
        log.append([encode_record(full_record)])
        row = log.get("acme", "d1")
        assert row is not None
        assert DecisionRecord.from_json(json.loads(row.body)) == full_record

    def test_numbers_that_json_lacks_are_stored_as_words(self, log: AuditLog) -> None:
        """A caller may send them. They must not prevent the records of other callers."""
        arguments = {"a": [float("nan"), {"b": float("-inf"), "c": 1.5}], "lone": "\ud800"}
        log.append([body(1, redacted_arguments=arguments), body(2)])
        row = log.get("acme", "d1")
        assert row is not None
        assert json.loads(row.body)["redacted_arguments"] == {
            "a": ["nan", {"b": "-inf", "c": 1.5}],
            "lone": "\ud800",
        }
        assert ids(log) == ["d2", "d1"]

    def test_pages_continue_below_the_cursor(self, log: AuditLog) -> None:
        fill(log)
        sequences: list[int] = []
        before: int | None = None
        while page := log.select(EVERYTHING, before=before, limit=5).records:
            sequences += [each.sequence for each in page]
            before = page[-1].sequence
        assert sequences == list(range(12, 0, -1))

    def test_a_tenant_sees_only_its_own_records(self, log: AuditLog) -> None:
        log.append([body(1), body(2, tenant_id="other")])
        assert ids(log) == ["d1"]
        assert log.get("acme", "d2") is None
        assert log.get("other", "d2") is not None

    @pytest.mark.parametrize(
        ("fields", "conditions"),
        [
            ({"outcome": Outcome.BLOCK}, {"outcomes": ("BLOCK", "CANCEL")}),
            ({"risk": Risk(70, "high")}, {"risk_levels": ("high",)}),
            ({"subject": RecordedSubject("u1")}, {"user_id": "u1"}),
            ({"subject": RecordedSubject(agent_id="a1")}, {"agent_id": "a1"}),
            ({"customer_id": "c1"}, {"customer_id": "c1"}),
            ({"provider": "openai", "model": "gpt-4o"}, {"model": "gpt-4o"}),
            ({"provider": "openai", "model": "gpt-4o"}, {"model": "openai/gpt-4o"}),
            ({"provider": "openai", "model": "gpt-4o"}, {"provider": "openai"}),
            ({"action": "a:b:c"}, {"action": "a:b:c"}),
            ({"reason_code": "X"}, {"reason_code": "X"}),
            ({"request_id": "own_log"}, {"request_id": "own_log"}),
            ({"pii_detected": True}, {"pii_detected": True}),
            ({"time": 50.0}, {"since": 50.0, "until": 50.5}),
            (
                {
                    "matches": (
                        Match("dlp", "p0", "", "", "", ""),
                        Match("dlp", "p", "", "", "", ""),
                    )
                },
                {"policy_id": "p"},
            ),
        ],
    )
    def test_each_condition_filters(
        self, log: AuditLog, fields: dict[str, Any], conditions: dict[str, Any]
    ) -> None:
        log.append([body(1), body(2, **fields), body(3)])
        assert ids(log, **conditions) == ["d2"]

    def test_filter_values_are_not_sql(self, log: AuditLog) -> None:
        log.append([body(1)])
        assert ids(log, user_id="' OR 1=1 --", policy_id="'", model="%") == []


class TestRetention:
    def test_old_batches_are_removed_and_the_rest_can_be_verified(
        self, log: AuditLog, file: Path
    ) -> None:
        fill(log)
        run(file, "UPDATE batches SET at = 0 WHERE sequence < 1")  # changes nothing
        assert log.retain(Retention(max_age_s=0), now=2e9) == (9, 0)  # the newest batch stays
        verification = log.verify()
        assert (verification.problems, verification.first_batch, verification.removed_batches) == (
            (),
            4,
            3,
        )
        assert ids(log) == ["d11", "d10", "d9"]
        log.append([body(12)])
        assert log.verify().intact

    def test_young_batches_stay(self, log: AuditLog) -> None:
        fill(log)
        assert log.retain(Retention(max_age_s=3600), now=0) == (0, 0)
        assert log.verify().batches == 4

    def test_the_oldest_batches_are_removed_by_size_and_the_file_shrinks(
        self, log: AuditLog, file: Path
    ) -> None:
        for batch in range(60):
            log.append([body(batch * 20 + n, redacted_text="x" * 2000) for n in range(20)])
        before = log.size()
        bound = before // 3
        retention = Retention(max_age_s=3e9, max_bytes=bound)
        while (removal := log.retain(retention, now=2e9)).records:
            assert removal.early == removal.records, "they are younger than the retention says"
        assert log.size() <= bound
        verification = log.verify()
        assert (verification.problems, verification.removed_batches > 20) == ((), True)
        log.close()
        assert file.stat().st_size < before * 0.6

    def test_a_removal_without_a_note_is_detected(self, log: AuditLog, file: Path) -> None:
        fill(log)
        log.retain(Retention(max_age_s=0), now=2e9)
        fill(log)
        run(file, "DELETE FROM batches WHERE sequence = 4", "DELETE FROM records WHERE sequence=12")
        assert not log.verify().intact

    def test_a_removed_anchor_is_reported_as_too_old(self, log: AuditLog) -> None:
        fill(log)
        anchor = log.verify().head
        fill(log)
        fill(log)
        log.retain(Retention(max_age_s=0), now=2e9)
        [problem] = log.verify(anchor).problems
        assert "older than the oldest batch" in problem


class TestSharing:
    def test_processes_append_to_one_chain(self, file: Path, log: AuditLog) -> None:
        with closing(open_audit_log(f"sqlite:///{file}")) as other:
            for number in range(20):
                (log if number % 2 else other).append([body(number)])
            assert other.last() == log.last() == 20
        assert log.verify().problems == ()

    def test_many_processes_append_at_the_same_time(self, file: Path, log: AuditLog) -> None:
        def work(worker: int) -> None:
            with closing(open_audit_log(f"sqlite:///{file}")) as own_log:
                for number in range(30):
                    own_log.append([body(worker * 1000 + number)])

        threads = [threading.Thread(target=work, args=(each,)) for each in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        verification = log.verify()
        assert (verification.problems, verification.records) == ((), 120)

    def test_an_append_waits_for_a_busy_log_until_the_time_out(self, file: Path) -> None:
        with closing(open_audit_log(f"sqlite:///{file}", busy_timeout_s=0.05)) as log:
            with closing(sqlite3.connect(file, isolation_level=None)) as holder:
                holder.execute("BEGIN IMMEDIATE")
                with pytest.raises(StoreUnavailable):
                    log.append([body(1)])
                holder.execute("ROLLBACK")
            log.append([body(1)])
            assert log.verify().records == 1


def test_an_append_to_a_deleted_file_fails(log: AuditLog, file: Path) -> None:
    """The process still has the file open, but its contents are lost when the process ends."""
    fill(log, 1)
    file.unlink()
    with pytest.raises(StoreUnavailable, match="deleted or replaced"):
        log.append([body(9)])


class TestOpening:
    def test_a_store_of_policies_is_refused(self, tmp_path: Path) -> None:
        open_store(f"sqlite:///{tmp_path}/pdp.db").close()
        with pytest.raises(ConfigError):
            open_audit_log(f"sqlite:///{tmp_path}/pdp.db")

    def test_records_persist(self, file: Path) -> None:
        with closing(open_audit_log(f"sqlite:///{file}")) as log:
            fill(log)
        with closing(open_audit_log(f"sqlite:///{file}")) as log:
            log.append([body(12)])
            assert (log.last(), log.verify().problems) == (13, ())

    def test_a_closed_log_is_unavailable(self, file: Path) -> None:
        log = open_audit_log(f"sqlite:///{file}")
        log.close()
        log.close()
        with pytest.raises(StoreUnavailable):
            log.append([body(1)])
        with pytest.raises(StoreUnavailable):
            log.last()

    @pytest.mark.parametrize(
        "content",
        [b"text" * 1000, b"SQLite format 3\0" + b"\xff" * 8000],
        ids=["text", "damaged"],
    )
    def test_an_error_names_the_file_of_the_log(self, file: Path, content: bytes) -> None:
        """Otherwise an operator might restore the database of policies, which would not help."""
        file.write_bytes(content)
        with pytest.raises(ConfigError, match=rf"The log of decisions, {file}: "):
            Recording(RecordingOptions(f"sqlite:///{file}"), ThreadAcknowledgements())
