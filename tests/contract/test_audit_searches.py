"""The contract of audit logs: searches in pages, and the counts of decisions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pdp.audit.record_json import encode_record
from pdp.domain.audit_log import RecordFilter
from pdp.domain.decision import Match, Outcome
from pdp.domain.decision_counts import CountKey
from pdp.domain.decision_record import DecisionRecord, RecordedSubject
from pdp.domain.record_selection import selects
from pdp.store.postgres.records import search as postgres_search
from pdp.store.sql import decision_counts
from pdp.store.sqlite import audit_search
from tests.support.audit_logs import body, ids
from tests.unit.test_record_selection import FILTERS, RECORDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from pdp.domain.audit_log import AuditLog

KEY = CountKey("acme", "standard", "ALLOW", recorded=False)
RECORDED = KEY._replace(recorded=True)
NOON = 1_772_064_000.0


@pytest.fixture
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page reads at most ten records of its index."""
    for module in (audit_search, postgres_search):
        monkeypatch.setattr(module, "WINDOW", 5)
        monkeypatch.setattr(module, "MAX_WINDOWS", 2)


def policy(policy_id: str) -> tuple[Match, ...]:
    return tuple(Match("dlp", each, "", "", "", "") for each in ("other", policy_id))


def pages(log: AuditLog, limit: int, *, newest_first: bool, **conditions: Any) -> list[list[int]]:
    """Reads pages until the last one; returns the numbers of their records."""
    record_filter = RecordFilter("acme", **conditions)
    result: list[list[int]] = []
    cursor: int | None = None if newest_first else 0
    while True:
        page = (
            log.select(record_filter, before=cursor, limit=limit)
            if newest_first
            else log.follow(record_filter, after=cursor or 0, limit=limit)
        )
        result.append([int(json.loads(each.body)["decision_id"][1:]) for each in page.records])
        cursor = page.more
        if cursor is None:
            return result
        assert len(result) < 200, "the pages do not end"


@pytest.mark.parametrize("newest_first", [True, False])
@pytest.mark.parametrize(
    "conditions",
    [
        {"request_id": "r-x"},
        {"policy_id": "p"},
        {"request_id": "r-x", "policy_id": "p"},
        {"policy_id": "p", "outcomes": ("ALLOW",)},
        {"user_id": "u"},
        {"agent_id": "a"},
    ],
    ids=str,
)
@pytest.mark.usefixtures("small_windows")
def test_all_pages_together_have_all_records(
    log: AuditLog, conditions: dict[str, Any], newest_first: bool
) -> None:
    own = {"request_id": "r-x", "matches": policy("p"), "subject": RecordedSubject("u", (), "a")}
    for first in range(1, 61, 6):
        log.append([body(n, **own) if n % 5 == 0 else body(n) for n in range(first, first + 6)])
    found = [n for page in pages(log, 3, newest_first=newest_first, **conditions) for n in page]
    assert found == sorted(range(5, 61, 5), reverse=newest_first)


@pytest.mark.parametrize("newest_first", [True, False])
@pytest.mark.usefixtures("small_windows")
def test_a_page_reads_a_bounded_number_of_records(log: AuditLog, newest_first: bool) -> None:
    """A filter that matches rarely has short pages instead of slow ones."""
    log.append([body(n, subject=RecordedSubject(agent_id="a" if n == 17 else "b"))
                for n in range(1, 31)])  # fmt: skip
    result = pages(log, 3, newest_first=newest_first, agent_id="a")
    assert [page for page in result if page] == [[17]]
    assert len(result) > 1
    assert pages(log, 10, newest_first=newest_first)[0] == (
        list(range(30, 20, -1)) if newest_first else list(range(1, 11))
    )


@pytest.mark.usefixtures("small_windows")
def test_a_search_for_a_user_or_an_outcome_skips_the_records_of_others(log: AuditLog) -> None:
    log.append([body(1, subject=RecordedSubject("u"), outcome=Outcome.BLOCK)])
    log.append([body(n) for n in range(2, 40)])
    assert pages(log, 3, newest_first=True, user_id="u") == [[1]]
    assert pages(log, 3, newest_first=True, outcomes=("BLOCK",)) == [[1]]
    assert pages(log, 3, newest_first=True, outcomes=("BLOCK", "CANCEL"))[-1] == [1]


def test_ids_are_not_mistaken_for_one_another(log: AuditLog) -> None:
    log.append([body(1, request_id="p", matches=policy("r")), body(2, request_id="r")])
    log.append([body(3, tenant_id="other", request_id="p", matches=policy("p"))])
    assert ids(log, request_id="p") == ["d1"]
    assert ids(log, request_id="r") == ["d2"]
    assert ids(log, policy_id="r") == ["d1"]
    assert ids(log, policy_id="p") == []


@settings(
    max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(records=st.lists(RECORDS, max_size=8), record_filter=FILTERS)
def test_a_search_finds_what_the_filter_selects(
    open_log: Callable[..., AuditLog],
    records: list[DecisionRecord],
    record_filter: RecordFilter,
) -> None:
    log = open_log()
    start = log.last()
    if records:
        log.append([encode_record(each) for each in records])
    expected = [encode_record(each) for each in records if selects(record_filter, each)]
    found = log.follow(record_filter, after=start, limit=100).records
    assert [each.body for each in found] == expected
    log.close()


class TestCounts:
    def test_counts_are_of_whole_minutes(self, log: AuditLog) -> None:
        log.add_counts({KEY: 2}, NOON + 59)
        log.add_counts({KEY: 3, RECORDED: 1}, NOON + 60)
        period = log.counts("acme", since=NOON + 61)
        assert (period.made, period.recorded, period.since) == (4, 1, NOON + 60)
        assert log.counts("acme", since=NOON + 120).made == 0
        assert log.counts("acme", since=NOON, until=NOON + 60).made == 2
        assert log.counts("acme", until=NOON + 61).until == NOON + 120
        assert log.counts("acme", outcomes=("BLOCK",)).made == 0
        assert log.counts("other").made == 0

    def test_counts_of_processes_add_up(
        self, log: AuditLog, open_log: Callable[..., AuditLog]
    ) -> None:
        log.add_counts({KEY: 2, RECORDED: 1}, NOON)
        open_log().add_counts({RECORDED: 3, KEY: 4}, NOON + 1)
        [count] = log.counts("acme").counts
        assert tuple(count) == ("standard", "ALLOW", 10, 4)

    def test_counts_of_removed_records_are_known(self, log: AuditLog) -> None:
        log.add_counts({RECORDED: 4}, NOON)
        assert log.counts("acme").removed == 4
        log.append([body(1, time=NOON - 5)])
        assert log.counts("acme").removed == 0

    def test_old_counts_are_kept_by_the_hour(
        self, log: AuditLog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for minute in range(3):
            log.add_counts({KEY: 1, RECORDED: 2}, NOON + 60 * minute)
        later = NOON + decision_counts.MINUTES_KEPT_S + decision_counts.HOUR_S
        for module in ("sqlite.audit_log", "postgres.records.log"):
            monkeypatch.setattr(f"pdp.store.{module}.time.time", lambda: later)
        log.checkpoint()
        period = log.counts("acme", since=NOON + 120)
        assert (period.made, period.recorded, period.since) == (9, 6, NOON)

    def test_the_number_of_rows_is_bounded(
        self, log: AuditLog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(decision_counts, "MAX_ROWS", 2)
        for module in ("sqlite.audit_log", "postgres.records.log"):
            monkeypatch.setattr(f"pdp.store.{module}.time.time", lambda: NOON)
        for minute in range(3):
            log.add_counts({KEY: 1}, NOON + 60 * minute)
        log.checkpoint()
        period = log.counts("acme")
        assert (period.made, period.uncounted_before) == (2, NOON + decision_counts.HOUR_S)
