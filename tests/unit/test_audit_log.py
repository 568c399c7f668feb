"""The log of decision records: appended, found again, kept, and shared by processes."""

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
from tests.support.audit_logs import EVERYTHING, body, file, filled, ids, log, record, run

if TYPE_CHECKING:
    from pathlib import Path

    from pdp.domain.audit_log import AuditLog

__all__ = ["file", "log"]


class TestReading:
    def test_what_is_appended_is_there_byte_for_byte_newest_first(self, log: AuditLog) -> None:
        bodies = [body(1, message='"\\ \u00e9 \u2028 \U0001f512'), body(2), body(3)]
        log.append(bodies[:2])
        log.append(bodies[2:])
        assert [each.body for each in log.select(EVERYTHING, before=None, limit=9)] == bodies[::-1]
        assert [each.sequence for each in log.follow(EVERYTHING, after=1, limit=9)] == [2, 3]
        assert log.last() == 3

    def test_a_record_comes_back_as_it_was(self, log: AuditLog) -> None:
        whole = record(
            1,
            subject=RecordedSubject("u", ("g", "h"), "a", 0.5),
            matches=(Match("static", "p", "n", "block", "high", "found"),),
            redacted_arguments={"a": [1, None, {"b": "c"}]},
        )
        log.append([encode_record(whole)])
        found = log.get("acme", "d1")
        assert found is not None
        assert DecisionRecord.from_json(json.loads(found.body)) == whole

    def test_what_json_cannot_say_is_kept_in_words(self, log: AuditLog) -> None:
        """A caller may send it, and it would keep the log from taking what others have sent."""
        arguments = {"a": [float("nan"), {"b": float("-inf"), "c": 1.5}], "lone": "\ud800"}
        log.append([body(1, redacted_arguments=arguments), body(2)])
        found = log.get("acme", "d1")
        assert found is not None
        assert json.loads(found.body)["redacted_arguments"] == {
            "a": ["nan", {"b": "-inf", "c": 1.5}],
            "lone": "\ud800",
        }
        assert ids(log) == ["d2", "d1"]

    def test_pages_follow_each_other(self, log: AuditLog) -> None:
        filled(log)
        seen: list[int] = []
        before: int | None = None
        while page := log.select(EVERYTHING, before=before, limit=5):
            seen += [each.sequence for each in page]
            before = page[-1].sequence
        assert seen == list(range(12, 0, -1))

    def test_a_tenant_sees_its_own_alone(self, log: AuditLog) -> None:
        log.append([body(1), body(2, tenant_id="other")])
        assert ids(log) == ["d1"]
        assert log.get("acme", "d2") is None
        assert log.get("other", "d2") is not None

    @pytest.mark.parametrize(
        ("fields", "wanted"),
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
            ({"request_id": "mine"}, {"request_id": "mine"}),
            ({"pii_detected": True}, {"pii_detected": True}),
            ({"time": 50.0}, {"since": 50.0, "until": 50.5}),
            (
                {"matches": (Match("dlp", "p0", "", "", "", ""), Match("dlp", "p", *[""] * 4))},
                {"policy_id": "p"},
            ),
        ],
    )
    def test_filters(self, log: AuditLog, fields: dict[str, Any], wanted: dict[str, Any]) -> None:
        log.append([body(1), body(2, **fields), body(3)])
        assert ids(log, **wanted) == ["d2"]

    def test_filters_are_values_and_no_sql(self, log: AuditLog) -> None:
        log.append([body(1)])
        assert ids(log, user_id="' OR 1=1 --", policy_id="'", model="%") == []


class TestRetention:
    def test_the_oldest_go_by_age_and_what_is_left_can_be_verified(
        self, log: AuditLog, file: Path
    ) -> None:
        filled(log)
        run(file, "UPDATE batches SET at = 0 WHERE sequence < 1")  # touches none
        assert log.retain(Retention(max_age_s=0), now=2e9) == 9  # the newest batch stays
        found = log.verify()
        assert (found.problems, found.first_batch, found.removed_batches) == ((), 4, 3)
        assert ids(log) == ["d11", "d10", "d9"]
        log.append([body(12)])
        assert log.verify().intact

    def test_what_is_young_stays(self, log: AuditLog) -> None:
        filled(log)
        assert log.retain(Retention(max_age_s=3600), now=0) == 0
        assert log.verify().batches == 4

    def test_the_oldest_go_by_size_and_the_file_shrinks(self, log: AuditLog, file: Path) -> None:
        for batch in range(60):
            log.append([body(batch * 20 + n, redacted_text="x" * 2000) for n in range(20)])
        before = log.size()
        bound = before // 3
        while log.retain(Retention(max_bytes=bound), now=2e9):
            pass
        assert log.size() <= bound
        found = log.verify()
        assert (found.problems, found.removed_batches > 20) == ((), True)
        log.close()
        assert file.stat().st_size < before * 0.6

    def test_a_removal_that_no_note_tells_of_is_found(self, log: AuditLog, file: Path) -> None:
        filled(log)
        log.retain(Retention(max_age_s=0), now=2e9)
        filled(log)
        run(file, "DELETE FROM batches WHERE sequence = 4", "DELETE FROM records WHERE sequence=12")
        assert not log.verify().intact

    def test_an_anchor_that_is_gone_is_told_apart(self, log: AuditLog) -> None:
        filled(log)
        anchor = log.verify().head
        filled(log)
        filled(log)
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

    def test_many_at_once(self, file: Path, log: AuditLog) -> None:
        def work(worker: int) -> None:
            with closing(open_audit_log(f"sqlite:///{file}")) as mine:
                for number in range(30):
                    mine.append([body(worker * 1000 + number)])

        threads = [threading.Thread(target=work, args=(each,)) for each in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        found = log.verify()
        assert (found.problems, found.records) == ((), 120)

    def test_a_busy_log_is_waited_for_and_then_given_up(self, file: Path) -> None:
        with closing(open_audit_log(f"sqlite:///{file}", busy_timeout_s=0.05)) as log:
            with closing(sqlite3.connect(file, isolation_level=None)) as holder:
                holder.execute("BEGIN IMMEDIATE")
                with pytest.raises(StoreUnavailable):
                    log.append([body(1)])
                holder.execute("ROLLBACK")
            log.append([body(1)])
            assert log.verify().records == 1


def test_a_record_in_a_file_that_is_gone_is_none(log: AuditLog, file: Path) -> None:
    """It lives on for who has it open, and is lost when that ends."""
    filled(log, 1)
    file.unlink()
    with pytest.raises(StoreUnavailable, match="deleted or replaced"):
        log.append([body(9)])


class TestOpening:
    def test_a_store_of_policies_is_refused(self, tmp_path: Path) -> None:
        open_store(f"sqlite:///{tmp_path}/pdp.db").close()
        with pytest.raises(ConfigError):
            open_audit_log(f"sqlite:///{tmp_path}/pdp.db")

    def test_what_was_appended_survives(self, file: Path) -> None:
        with closing(open_audit_log(f"sqlite:///{file}")) as log:
            filled(log)
        with closing(open_audit_log(f"sqlite:///{file}")) as log:
            log.append([body(12)])
            assert (log.last(), log.verify().problems) == (13, ())

    def test_a_closed_log_says_so(self, file: Path) -> None:
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
    def test_an_error_says_which_file_it_is_about(self, file: Path, content: bytes) -> None:
        """Whoever restores the policies for it has changed nothing."""
        file.write_bytes(content)
        with pytest.raises(ConfigError, match=rf"The log of decisions, {file}: "):
            Recording(RecordingOptions(f"sqlite:///{file}"), ThreadAcknowledgements())
