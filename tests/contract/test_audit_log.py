"""The contract of audit logs: append, read, and use by several processes."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import pytest

from pdp.audit.record_json import encode_record
from pdp.domain.decision import Match, Outcome, Risk
from pdp.domain.decision_record import DecisionRecord, RecordedSubject
from pdp.errors import ConfigError, StoreUnavailable
from tests.support.audit_logs import EVERYTHING, KEY, body, fill, ids, record

if TYPE_CHECKING:
    from collections.abc import Callable

    from pdp.domain.audit_log import AuditLog

PROCESSES = 10


class TestReading:
    def test_bodies_are_read_byte_for_byte_newest_first(self, log: AuditLog) -> None:
        bodies = [body(1, message='"\\ \u00e9 \u2028 \U0001f512'), body(2), body(3)]
        log.append(bodies[:2])
        log.append(bodies[2:])
        assert [
            each.body for each in log.select(EVERYTHING, before=None, limit=9).records
        ] == bodies[::-1]
        places = [each.sequence for each in log.follow(EVERYTHING, after=0, limit=9).records]
        assert places == sorted(set(places))
        after_first = log.follow(EVERYTHING, after=places[0], limit=9).records
        assert [each.body for each in after_first] == bodies[1:]
        assert log.last() >= places[-1]
        assert not log.follow(EVERYTHING, after=log.last(), limit=9).records

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
        bodies: list[str] = []
        before: int | None = None
        while page := log.select(EVERYTHING, before=before, limit=5).records:
            bodies += [each.body for each in page]
            before = page[-1].sequence
        assert bodies == [body(number) for number in range(11, -1, -1)]

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

    def test_a_filter_that_no_text_can_have_finds_nothing(self, log: AuditLog) -> None:
        log.append([body(1, subject=RecordedSubject("a\0b"))])
        assert ids(log, user_id="nobody\0") == []

    def test_any_cursor_is_answered(self, log: AuditLog) -> None:
        """Cursors come from callers. One that was never given costs no more than others."""
        fill(log)
        for cursor in (5_000, 10**15, 10**18 - 1):
            assert log.follow(EVERYTHING, after=cursor, limit=99).more is None
            assert log.select(EVERYTHING, before=cursor, limit=99).more is None

    def test_known_decisions_are_told_from_others(self, log: AuditLog) -> None:
        log.append([body(1), body(2), body(3, tenant_id="other")])
        assert log.known("acme", ["d1", "d2", "d3", "d4", "d\0"]) == {"d1", "d2"}
        assert log.known("acme", []) == frozenset()

    def test_a_large_batch_is_appended_whole(self, log: AuditLog) -> None:
        log.append([body(number) for number in range(2500)])
        places = [each.sequence for each in log.read_on(0, 5000)]
        assert len(places) == len(set(places)) == 2500
        verification = log.verify()
        assert (verification.problems, verification.records) == ((), 2500)

    def test_an_export_continues_after_the_last_record(self, log: AuditLog) -> None:
        fill(log)
        bodies: list[str] = []
        after = 0
        while rows := log.read_on(after, 5):
            bodies += [each.body for each in rows]
            after = rows[-1].sequence
        assert bodies == [body(number) for number in range(12)]

    def test_a_text_that_is_no_record_is_kept(self, log: AuditLog) -> None:
        log.append(["{}", "[1]", body(1)])
        assert [each.body for each in log.read_on(0, 9)] == ["{}", "[1]", body(1)]
        assert ids(log) == ["d1"]
        assert log.verify().problems == ()


class TestProcesses:
    def test_records_of_all_processes_are_in_one_order(
        self, log: AuditLog, open_log: Callable[..., AuditLog]
    ) -> None:
        other = open_log()
        for number in range(20):
            (log if number % 2 else other).append([body(number)])
        assert other.last() == log.last()
        expected = [f"d{number}" for number in range(19, -1, -1)]
        assert ids(log) == ids(other) == expected
        assert log.verify().problems == ()

    def test_many_processes_append_at_the_same_time(
        self, log: AuditLog, open_log: Callable[..., AuditLog]
    ) -> None:
        logs = [open_log() for _ in range(PROCESSES)]

        def work(worker: int) -> None:
            for number in range(20):
                logs[worker].append([body(worker * 1000 + number)])

        threads = [threading.Thread(target=work, args=(each,)) for each in range(PROCESSES)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        verification = log.verify()
        assert (verification.problems, verification.records) == ((), 20 * PROCESSES)

    def test_records_persist(self, log: AuditLog, open_log: Callable[..., AuditLog]) -> None:
        fill(log)
        log.close()
        reopened = open_log()
        reopened.append([body(12)])
        assert ids(reopened)[0] == "d12"
        assert (len(ids(reopened)), reopened.verify().problems) == (13, ())

    def test_a_closed_log_is_unavailable(self, log: AuditLog) -> None:
        log.close()
        log.close()
        with pytest.raises(StoreUnavailable):
            log.append([body(1)])
        with pytest.raises(StoreUnavailable):
            log.last()


class TestVerification:
    def test_an_empty_log_is_intact(self, log: AuditLog) -> None:
        verification = log.verify()
        assert (verification.intact, verification.batches, verification.last_batch) == (True, 0, 0)

    def test_a_head_stays_valid_as_the_log_grows(
        self, log: AuditLog, open_log: Callable[..., AuditLog]
    ) -> None:
        fill(log)
        anchor = log.verify().head
        other = open_log()
        fill(other)
        fill(log)
        assert log.verify(anchor).intact
        assert log.verify(other.verify().head).intact

    def test_a_head_of_another_log_is_not_in_the_chain(self, log: AuditLog) -> None:
        fill(log)
        position, _, digest = log.verify().head.partition(":")
        [problem] = log.verify(f"{position}:{digest[::-1]}").problems
        assert "was cut or rewritten" in problem

    @pytest.mark.parametrize(("first", "then"), [(b"", KEY), (KEY, b""), (KEY, KEY[::-1])])
    def test_another_key_is_refused(
        self, open_log: Callable[..., AuditLog], first: bytes, then: bytes
    ) -> None:
        open_log(first).append([body(1)])
        with pytest.raises(ConfigError, match="PDP_AUDIT_KEY_FILE"):
            open_log(then)

    def test_a_log_with_a_key_verifies(self, open_log: Callable[..., AuditLog]) -> None:
        fill(open_log(KEY))
        assert open_log(KEY).verify().problems == ()
