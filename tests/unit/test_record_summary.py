"""Summaries of records: the same as a plain count of the whole log, whatever was read before."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pdp.audit import recent_records
from pdp.audit.recent_records import RecentRecords
from pdp.audit.record_summary import MAX_TENANTS, Buckets, RecordSummaries, RecordSummary
from pdp.domain.audit_log import RecordPage, StoredRecord
from pdp.domain.decision import Match, Outcome, Risk
from pdp.domain.decision_counts import CountKey
from pdp.domain.decision_record import RecordedSubject
from tests.support.audit_logs import body, file, log

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

    from pdp.domain.audit_log import AuditLog, RecordFilter

__all__ = ["file", "log"]

DAY = 86_400
NOW = 20_000 * DAY + 12 * 3600 + 90.0
"""Half past one minute after noon."""


def match(policy_id: str, name: str = "") -> Match:
    return Match("static", policy_id, name, "block", "high", "found")


def summary(log: AuditLog, tenant_id: str = "acme", **period: Any) -> RecordSummary:
    """Returns a summary of the log."""
    summaries = RecordSummaries(log, lambda: None, lambda: NOW)
    return asyncio.run(summaries.summarize(tenant_id, **period))


class TestSummary:
    """The figures of a period."""

    def test_outcomes_come_from_the_counts_of_all_decisions(self, log: AuditLog) -> None:
        log.add_counts({CountKey("acme", "standard", "ALLOW", False): 7}, NOW - 60)
        log.add_counts({CountKey("acme", "full", "ALLOW", True): 2}, NOW - 60)
        log.add_counts({CountKey("acme", "full", "BLOCK", True): 1}, NOW)
        log.add_counts({CountKey("other", "full", "BLOCK", True): 9}, NOW)
        buckets = summary(log).buckets
        assert [tuple(each) for each in buckets[-2].outcomes] == [("ALLOW", 9, 2)]
        assert [tuple(each) for each in buckets[-1].outcomes] == [("BLOCK", 1, 1)]
        assert not any(each.outcomes for each in buckets[:-2])

    def test_risk_and_durations_are_by_bucket(self, log: AuditLog) -> None:
        log.append(
            [
                body(n, time=NOW - 60, risk=Risk(50, "medium"), duration_us=float(n))
                for n in range(1, 101)
            ]
        )
        log.append([body(0, time=NOW, duration_us=7.0)])
        result = summary(log)
        *_, before, last = result.buckets
        assert (before.risk, last.risk) == ({"medium": 100}, {"none": 1})
        assert (before.duration_us_p50, before.duration_us_p99) == (50.0, 99.0)
        assert (last.duration_us_p50, last.duration_us_p99) == (7.0, 7.0)
        assert (result.buckets[0].duration_us_p50, result.buckets[0].risk) == (None, {})
        assert (result.records_read, result.records_complete) == (101, True)

    def test_the_most_frequent_come_first_and_equal_ones_in_their_order(
        self, log: AuditLog
    ) -> None:
        log.append(
            [
                body(
                    n,
                    time=NOW,
                    outcome=Outcome.BLOCK if n % 2 else Outcome.ALLOW,
                    subject=RecordedSubject(f"u{n % 12:02}", (), "bot" if n < 5 else ""),
                    provider="openai",
                    model="gpt",
                    matches=(match("p", "old" if n < 9 else "new"), match("p"), match(f"q{n}")),
                )
                for n in range(24)
            ]
        )
        result = summary(log)
        assert [each.caller_id for each in result.users] == [f"u{n:02}" for n in range(10)]
        assert result.users[1] == ("u01", 2, 2)
        assert list(result.agents) == [("bot", 5, 2)]
        assert list(result.models) == [(("openai", "gpt"), 24)]
        assert result.policies[0] == (("static", "p", ""), 24)
        assert [each[0].policy_id for each in result.policies[1:3]] == ["q0", "q1"]

    def test_an_empty_log_has_empty_buckets(self, log: AuditLog) -> None:
        result = summary(log)
        assert len(result.buckets) == 61
        assert (result.users, result.models, result.policies) == ([], [], [])
        assert (result.records_read, result.records_complete) == (0, True)

    def test_what_the_process_has_counted_is_included(self, log: AuditLog) -> None:
        key = CountKey("acme", "full", "ALLOW", True)
        summaries = RecordSummaries(log, lambda: log.add_counts({key: 1}, NOW), lambda: NOW)
        result = asyncio.run(summaries.summarize("acme"))
        assert result.buckets[-1].outcomes[0].made == 1

    async def test_only_some_tenants_are_kept_in_memory(self, log: AuditLog) -> None:
        summaries = RecordSummaries(log, lambda: None, lambda: NOW)
        log.append([body(n, time=NOW, tenant_id=f"t{n}") for n in range(2 * MAX_TENANTS)])
        for _ in range(2):
            for n in range(2 * MAX_TENANTS):
                result = await summaries.summarize(f"t{n}")
                assert result.records_read == 1
        assert len(summaries._recent) == MAX_TENANTS

    async def test_summaries_at_the_same_time_are_the_same(self, log: AuditLog) -> None:
        summaries = RecordSummaries(log, lambda: None, lambda: NOW)
        log.append([body(n, time=NOW) for n in range(100)])
        results = await asyncio.gather(*(summaries.summarize("acme") for _ in range(8)))
        assert {each.records_read for each in results} == {100}


class TestBuckets:
    """The parts of a period."""

    @given(
        since=st.floats(0, NOW + DAY),
        length=st.floats(0.001, 400 * DAY),
        at_most=st.integers(1, 500),
    )
    def test_they_cover_the_period(self, since: float, length: float, at_most: int) -> None:
        parts = Buckets.of(since, since + length, at_most, NOW)
        assert parts.start <= since
        assert parts.end >= since + length > parts.end - parts.width
        assert 1 <= parts.number <= at_most + 1

    @given(since=st.floats(NOW - 3 * DAY, NOW - 1), at_most=st.integers(1, 500))
    def test_no_bucket_begins_within_what_counts_are_kept_by(
        self, since: float, at_most: int
    ) -> None:
        """Otherwise decisions would count twice."""
        parts = Buckets.of(since, NOW, at_most, NOW)
        hours_until = (NOW - DAY) // 3600 * 3600
        for start in range(parts.start, parts.end + 1, parts.width):
            assert start % 60 == 0
            assert start >= hours_until or start % 3600 == 0

    def test_they_stay_where_they_are_while_time_passes(self) -> None:
        now, later = (Buckets.of(each - 3600, each, 60, each) for each in (NOW, NOW + 5))
        assert now == later

    def test_a_day_has_buckets_of_minutes(self) -> None:
        assert Buckets.of(NOW - DAY, NOW, 60, NOW).width == 24 * 60


TIMES = st.integers(0, 40).map(lambda n: NOW + 100.0 * n)
STEPS = st.lists(
    st.one_of(
        st.lists(st.tuples(TIMES, st.booleans()), max_size=12),
        st.tuples(TIMES, TIMES).map(lambda pair: (min(pair), max(pair) + 1)),
    ),
    max_size=12,
)


class MemoryLog:
    """The part of a log that is read here, in a list."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, float, StoredRecord]] = []
        self.reads = 0

    def append(self, tenant_id: str, time: float) -> None:
        sequence = len(self.rows) + 1
        row = StoredRecord(sequence, body(sequence, time=time, tenant_id=tenant_id))
        self.rows.append((tenant_id, time, row))

    def last(self) -> int:
        return len(self.rows)

    def follow(self, record_filter: RecordFilter, *, after: int, limit: int) -> RecordPage:
        rows = [each for each in self._matching(record_filter) if each.sequence > after]
        return self._page(rows, limit)

    def select(self, record_filter: RecordFilter, *, before: int | None, limit: int) -> RecordPage:
        rows = self._matching(record_filter)
        rows = [each for each in rows if before is None or each.sequence < before]
        return self._page(rows[::-1], limit)

    def _matching(self, record_filter: RecordFilter) -> list[StoredRecord]:
        since, until = record_filter.since, record_filter.until
        return [
            row
            for tenant_id, time, row in self.rows
            if tenant_id == record_filter.tenant_id
            and (since is None or time >= since)
            and (until is None or time < until)
        ]

    def _page(self, rows: Sequence[StoredRecord], limit: int) -> RecordPage:
        self.reads += len(rows[:limit])
        more = rows[limit - 1].sequence if len(rows) > limit else None
        return RecordPage(rows[:limit], more)


class TestRecentRecords:
    """What is kept in memory gives what the log would give."""

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(steps=STEPS, most=st.sampled_from([4, 1000]))
    def test_any_order_of_appends_and_questions(
        self, monkeypatch: pytest.MonkeyPatch, steps: list[Any], most: int
    ) -> None:
        """Either all records of the period are found, or the answer says that some may lack."""
        monkeypatch.setattr(recent_records, "MAX_RECORDS", most)
        monkeypatch.setattr(recent_records, "PAGE", 3)
        monkeypatch.setattr(recent_records, "SKEW_S", 10_000.0)
        memory = MemoryLog()
        recent = RecentRecords(memory, "acme")  # type: ignore[arg-type] # it reads no more
        for step in steps:
            if isinstance(step, list):
                for time, is_own in step:
                    memory.append("acme" if is_own else "other", time)
                continue
            since, until = step
            found = recent.between(since, until)
            sequences = [each.sequence for each in found.records]
            everything = [
                row.sequence
                for tenant_id, time, row in memory.rows
                if tenant_id == "acme" and since <= time < until
            ]
            assert len(sequences) == len(set(sequences))
            assert set(sequences) <= set(everything)
            if found.complete or most == 1000:
                assert found.complete
                assert sorted(sequences) == everything

    def test_only_what_is_new_is_read_again(self) -> None:
        memory = MemoryLog()
        recent = RecentRecords(memory, "acme")  # type: ignore[arg-type] # it reads no more
        for _ in range(500):
            memory.append("acme", NOW)
        recent.between(NOW - 60, NOW + 60)
        assert memory.reads == 500
        memory.append("acme", NOW)
        assert len(recent.between(NOW - 60, NOW + 60).records) == 501
        assert memory.reads == 501

    def test_no_more_than_the_period_is_read(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(recent_records, "PAGE", 10)
        memory = MemoryLog()
        for n in range(1000):
            memory.append("acme", NOW + 10 * n)
        recent = RecentRecords(memory, "acme")  # type: ignore[arg-type] # it reads no more
        found = recent.between(NOW + 9900, NOW + 10_000)
        assert (len(found.records), found.complete) == (10, True)
        assert memory.reads <= 30

    def test_a_period_with_too_many_records_is_incomplete(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The newest are found."""
        monkeypatch.setattr(recent_records, "MAX_RECORDS", 50)
        monkeypatch.setattr(recent_records, "PAGE", 10)
        memory = MemoryLog()
        for n in range(200):
            memory.append("acme", NOW + 100 * n)
        recent = RecentRecords(memory, "acme")  # type: ignore[arg-type] # it reads no more
        found = recent.between(NOW, NOW + 100_000)
        assert not found.complete
        assert Counter(each.time >= NOW + 15_000 for each in found.records) == {True: 50}
        old = recent.between(NOW, NOW + 1000)
        assert (len(old.records), old.complete) == (10, True)

    def test_a_search_of_old_records_ends_in_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(recent_records, "MAX_RECORDS", 50)
        monkeypatch.setattr(recent_records, "PAGE", 10)
        memory = MemoryLog()
        for n in range(200):
            memory.append("acme", NOW + 100 * n)
        ticks = iter(range(0, 1000, 1))
        recent = RecentRecords(memory, "acme", lambda: next(ticks))  # type: ignore[arg-type] # as above
        found = recent.between(NOW, NOW + 10_000)
        assert (len(found.records), found.complete) == (10, False)
