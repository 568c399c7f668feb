"""Counts of decisions: all that are made are recorded or counted as unrecorded."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.engine import catalog_platform
from pdp.audit.acknowledgements import ThreadAcknowledgements
from pdp.audit.decision_counter import DecisionCounter
from pdp.bootstrap.recording import Recording, RecordingOptions
from pdp.domain import org_policy, tenant_settings
from pdp.domain.decision_counts import CountKey
from pdp.domain.org_policy import OrgPolicy
from pdp.domain.policy_set import PolicySet
from pdp.domain.request import Request
from pdp.domain.sampling import estimate, is_sampled
from pdp.domain.tenant_settings import TenantSettings
from pdp.engine.compiler import compile_tenant
from pdp.engine.evaluate import evaluate
from pdp.errors import StoreUnavailable
from pdp.store import open_audit_log
from pdp.store.sql import decision_counts

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pdp.domain.audit_log import AuditLog
    from pdp.domain.decision_counts import CountedPeriod
    from pdp.engine.snapshot import Snapshot

PLATFORM = catalog_platform()
KEY = CountKey("acme", "standard", "ALLOW", recorded=False)
RECORDED = KEY._replace(recorded=True)
HOUR_S = decision_counts.HOUR_S
NOON = 1_772_064_000.0 // HOUR_S * HOUR_S


def snapshot(level: str, rate: float = 0.0) -> Snapshot:
    kinds: dict[str, dict[str, Any]] = {
        org_policy.KIND: {org_policy.ID: OrgPolicy(logging_level=level)},
        tenant_settings.KIND: {tenant_settings.ID: TenantSettings(sample_rate=rate)},
    }
    return compile_tenant(PLATFORM, "acme", PolicySet(kinds), 7)


LEVELS = {level: snapshot(level) for level in ("minimal", "standard", "full", "paranoid")}
TEXTS = ("hello", "my card: 4111111111111111", "rm -rf / --no-preserve-root", "mail a@b.com")


def open_recording(path: Path, *, durable: bool = True) -> Recording:
    options = RecordingOptions(f"sqlite:///{path}", durable=durable)
    return Recording(options, ThreadAcknowledgements())


def decide(recording: Recording, policies: Snapshot, number: int, text: str) -> Any:
    request = Request(text=text, tenant_id="acme", request_id=f"r{number}", timestamp=1.0)
    decision = evaluate(policies, request, f"d{number}")
    acknowledgement = recording.records.take(policies, request, decision)
    return decision if acknowledgement is None or acknowledgement.wait() else None


def records_in(log: AuditLog) -> int:
    return len(log.read_on(0, 10_000))


@pytest.fixture(name="log")
def _log(tmp_path: Path) -> Any:
    log = open_audit_log(f"sqlite:///{tmp_path / 'audit.db'}")
    yield log
    log.close()


@settings(max_examples=15, deadline=None)
@given(
    decisions=st.lists(
        st.tuples(st.sampled_from(sorted(LEVELS)), st.sampled_from(TEXTS)), max_size=25
    ),
    rate=st.sampled_from([0.0, 0.5, 1.0]),
    durable=st.booleans(),
)
def test_all_decisions_are_counted_as_recorded_or_not(
    tmp_path_factory: pytest.TempPathFactory,
    decisions: list[tuple[str, str]],
    rate: float,
    durable: bool,
) -> None:
    path = tmp_path_factory.mktemp("log") / "audit.db"
    recording = open_recording(path, durable=durable)
    expected: dict[tuple[str, str], int] = {}
    for number, (level, text) in enumerate(decisions):
        policies = LEVELS[level] if not rate else snapshot(level, rate)
        outcome = decide(recording, policies, number, text).outcome.name
        expected[level, outcome] = expected.get((level, outcome), 0) + 1
    recording.close()
    log = open_audit_log(f"sqlite:///{path}")
    period = log.counts("acme")
    assert {(each.level, each.outcome): each.made for each in period.counts} == expected
    assert period.made == len(decisions)
    assert period.recorded == records_in(log)
    if rate == 1.0:
        assert period.recorded == period.made
    assert (period.removed, period.uncounted_before) == (0, None)
    log.close()


def test_a_plain_allow_is_counted_without_a_record(tmp_path: Path) -> None:
    recording = open_recording(tmp_path / "audit.db")
    for number in range(5):
        decide(recording, LEVELS["standard"], number, "hello")
    risky = decide(recording, LEVELS["standard"], 6, "rm -rf / --no-preserve-root").outcome.name
    recording.flush_counts()
    period = recording.log.counts("acme")
    assert [tuple(each) for each in period.counts] == [
        ("standard", "ALLOW", 5, 0),
        ("standard", risky, 1, 1),
    ]
    assert recording.log.counts("acme", outcomes=(risky,)).made == 1
    assert recording.log.counts("other").made == 0
    recording.close()


def test_several_processes_add_up_and_counts_survive(tmp_path: Path) -> None:
    first, second = open_recording(tmp_path / "audit.db"), open_recording(tmp_path / "audit.db")
    for number in range(3):
        decide(first, LEVELS["standard"], number, "hello")
        decide(second, LEVELS["full"], 10 + number, "hello")
    first.close()
    second.close()
    third = open_recording(tmp_path / "audit.db")
    period = third.log.counts("acme")
    third.close()
    assert (period.made, period.recorded) == (6, 3)


def test_threads_lose_no_count(log: AuditLog) -> None:
    counter = DecisionCounter()

    def work() -> None:
        for _ in range(20_000):
            next(counter.steps[KEY])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        counter.flush(log)
    counter.flush(log)
    counter.flush(log)
    assert log.counts("acme").made == 80_000


def test_a_failed_flush_is_added_by_the_next() -> None:
    class FailingLog:
        def __init__(self) -> None:
            self.fails = True
            self.added: dict[CountKey, int] = {}

        def add_counts(self, counts: Mapping[CountKey, int], at: float) -> None:
            if self.fails:
                raise StoreUnavailable("no")
            self.added = dict(counts)

    log: Any = FailingLog()
    counter = DecisionCounter()
    next(counter.steps[KEY])
    counter.flush(log)
    next(counter.steps[KEY])
    log.fails = False
    counter.flush(log)
    assert log.added == {KEY: 2}


def counted(log: AuditLog, since: float | None = None, until: float | None = None) -> CountedPeriod:
    return log.counts("acme", since=since, until=until)


def test_counts_are_of_whole_minutes(log: AuditLog) -> None:
    log.add_counts({KEY: 2}, NOON + 59)
    log.add_counts({KEY: 3, RECORDED: 1}, NOON + 60)
    period = counted(log, since=NOON + 61)
    assert (period.made, period.recorded, period.since) == (4, 1, NOON + 60)
    assert counted(log, since=NOON + 120).made == 0
    assert counted(log, since=NOON, until=NOON + 60).made == 2
    assert counted(log, until=NOON + 61).until == NOON + 120


def test_minutes_become_hours_after_a_day(log: AuditLog, monkeypatch: pytest.MonkeyPatch) -> None:
    for minute in range(3):
        log.add_counts({KEY: 1}, NOON + 60 * minute)
    day = decision_counts.MINUTES_KEPT_S
    monkeypatch.setattr("pdp.store.sqlite.audit_log.time.time", lambda: NOON + day + HOUR_S - 1)
    log.checkpoint()
    assert counted(log, since=NOON + 120).made == 1
    monkeypatch.setattr("pdp.store.sqlite.audit_log.time.time", lambda: NOON + day + HOUR_S)
    log.checkpoint()
    period = counted(log, since=NOON + 120)
    assert (period.made, period.since) == (3, NOON)


def test_the_number_of_rows_is_bounded(log: AuditLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decision_counts, "MAX_ROWS", 2)
    monkeypatch.setattr("pdp.store.sqlite.audit_log.time.time", lambda: NOON)
    log.add_counts({KEY: 1}, NOON)
    log.add_counts({KEY: 1}, NOON + 60)
    log.checkpoint()
    assert (counted(log).made, counted(log).uncounted_before) == (2, None)
    log.add_counts({KEY: 1}, NOON + 120)
    log.checkpoint()
    assert (counted(log).made, counted(log).uncounted_before) == (2, NOON + HOUR_S)
    assert counted(log, since=NOON + HOUR_S).uncounted_before is None


def test_removed_records_are_named(log: AuditLog) -> None:
    log.add_counts({RECORDED: 4}, NOON)
    assert counted(log).removed == 4


def test_a_failed_durable_record_is_counted_as_a_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = open_recording(tmp_path / "audit.db")

    def fail(_bodies: object) -> None:
        raise StoreUnavailable("the disk is full")

    monkeypatch.setattr(recording.log, "append", fail)
    assert decide(recording, LEVELS["full"], 1, "hello") is None
    recording.flush_counts()
    period = recording.log.counts("acme")
    recording.close()
    assert [tuple(each) for each in period.counts] == [("full", "BLOCK", 1, 0)]


def test_a_sampled_decision_waits_for_no_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = open_recording(tmp_path / "audit.db")

    def fail(_bodies: object) -> None:
        raise StoreUnavailable("the disk is full")

    monkeypatch.setattr(recording.log, "append", fail)
    assert decide(recording, snapshot("standard", 1.0), 1, "hello").allowed
    recording.close()


def test_the_sample_depends_on_the_id_and_has_its_share() -> None:
    ids = [f"id-{number}" for number in range(20_000)]
    chosen = [each for each in ids if is_sampled(each, 0.1)]
    assert abs(len(chosen) - 2_000) < 5 * (20_000 * 0.1 * 0.9) ** 0.5
    assert all(is_sampled(each, 0.2) for each in chosen)
    assert not any(is_sampled(each, 0.0) for each in ids)
    assert all(is_sampled(each, 1.0) for each in ids)


@pytest.mark.parametrize("rate", [0.01, 0.1, 0.5])
def test_the_interval_holds_the_true_number(rate: float) -> None:
    true, trials = 400, 400
    hits = 0
    for trial in range(trials):
        count = sum(is_sampled(f"{trial}-{number}", rate) for number in range(true))
        _, low, high = estimate({rate: count})
        hits += low <= true <= high
    assert hits / trials > 0.91


def test_estimates_of_edges() -> None:
    assert estimate({}) == (0, 0, 0)
    assert estimate({1.0: 7}) == pytest.approx((7, 7, 7))
    nothing = estimate({0.01: 0})
    assert (nothing.value, nothing.low) == (0, 0)
    assert nothing.high == pytest.approx(380.3, abs=0.1)
    mixed = estimate({1.0: 5, 0.1: 2})
    assert mixed.value == pytest.approx(25)
    assert 7 <= mixed.low < 25 < mixed.high


def test_a_snapshot_of_another_tenant_counts_for_it() -> None:
    other = LEVELS["standard"].for_tenant("other", 8)
    assert other.plain_key.tenant_id == "other"
    assert replace(LEVELS["full"], revision=9).records_plain
