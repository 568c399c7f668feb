"""The meter: windows, charges, and the exchange with the store."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pdp.domain.decision import Outcome
from pdp.domain.limits import MICROS
from pdp.domain.request import Request, Subject, Usage
from pdp.domain.usage import Calendar, Counter, CounterId, Counts
from pdp.engine.compiler import compile_tenant
from pdp.engine.evaluate import evaluate
from pdp.usage.meter import Meter
from tests.support.meters import NOON, PLATFORM, Clock, at, decide, snapshot_of, used, user


class TestWindows:
    @pytest.mark.parametrize(
        ("moment", "day", "month", "month_end"),
        [
            ("2026-02-14T12:00:00", "2026-02-14", "2026-02-01", "2026-03-01"),
            ("2026-12-31T23:59:59.999", "2026-12-31", "2026-12-01", "2027-01-01"),
            ("2024-02-29T00:00:00", "2024-02-29", "2024-02-01", "2024-03-01"),
            ("1970-01-01T00:00:00", "1970-01-01", "1970-01-01", "1970-02-01"),
        ],
    )
    def test_days_and_months_are_in_utc(
        self, moment: str, day: str, month: str, month_end: str
    ) -> None:
        expected = Calendar(int(at(day)), int(at(day)) + 86_400, int(at(month)), int(at(month_end)))
        assert Calendar.of(at(moment)) == expected

    def test_a_new_day_starts_at_zero_and_the_month_continues(self) -> None:
        clock = Clock(at("2026-02-14T23:59:59"))
        meter, limit = Meter(clock), user(daily_request_limit=1, monthly_request_limit=2)
        snapshot = snapshot_of(limit)
        assert decide(meter, snapshot).allowed
        assert decide(meter, snapshot).retry_after_s == 1
        clock.now += 1
        assert decide(meter, snapshot).allowed
        blocked = decide(meter, snapshot)
        assert blocked.retry_after_s == at("2026-03-01") - clock.now
        clock.now = at("2026-03-01")
        assert decide(meter, snapshot).allowed

    def test_no_period_of_sixty_seconds_exceeds_the_rate(self) -> None:
        clock = Clock(NOON + 0.9)
        meter, snapshot = Meter(clock), snapshot_of(user(requests_per_minute=2))
        assert decide(meter, snapshot).allowed
        clock.now = NOON + 10
        assert decide(meter, snapshot).allowed
        clock.now = NOON + 60.5
        blocked = decide(meter, snapshot)
        assert (blocked.outcome, blocked.retry_after_s) == (Outcome.BLOCK, 1)
        clock.now += 1
        assert decide(meter, snapshot).allowed
        assert decide(meter, snapshot).retry_after_s == 10

    def test_a_retry_after_the_hint_is_allowed(self) -> None:
        clock = Clock()
        meter, snapshot = Meter(clock), snapshot_of(user(requests_per_minute=3))
        for step in (0.0, 7.3, 11.0):
            clock.now += step
            assert decide(meter, snapshot).allowed
        wait = decide(meter, snapshot).retry_after_s
        assert wait is not None
        clock.now += wait
        assert decide(meter, snapshot).allowed

    def test_the_longest_of_several_hints_is_returned(self) -> None:
        clock = Clock(at("2026-02-14T23:50:00"))
        meter = Meter(clock)
        snapshot = snapshot_of(user(requests_per_minute=1, daily_request_limit=1))
        assert decide(meter, snapshot).allowed
        assert decide(meter, snapshot).retry_after_s == 600

    def test_there_is_no_hint_if_a_bound_never_allows_the_request(self) -> None:
        meter = Meter(Clock())
        snapshot = snapshot_of(user(requests_per_minute=1, daily_token_limit=10))
        assert decide(meter, snapshot).allowed
        assert decide(meter, snapshot, tokens=10).retry_after_s == 61
        assert decide(meter, snapshot, tokens=11).retry_after_s is None

    def test_only_exceeded_bounds_are_named(self) -> None:
        meter = Meter(Clock())
        snapshot = snapshot_of(user(requests_per_minute=1, daily_token_limit=10))
        assert decide(meter, snapshot).allowed
        blocked = decide(meter, snapshot, tokens=10)
        assert [match.name for match in blocked.matches] == ["requests_per_minute of user u"]

    def test_a_lowered_rate_applies_at_once(self) -> None:
        clock = Clock()
        meter = Meter(clock)
        for second in range(4):
            clock.now = NOON + second
            assert decide(meter, snapshot_of(user(requests_per_minute=4))).allowed
        blocked = decide(meter, snapshot_of(user(requests_per_minute=2)))
        # Three of the four must be older than 60 s before one more request is allowed.
        assert blocked.retry_after_s == 2 + 61 - 3

    def test_a_clock_that_is_set_back_empties_no_window(self) -> None:
        clock = Clock(at("2026-02-15T00:00:01"))
        meter, snapshot = Meter(clock), snapshot_of(user(daily_request_limit=1))
        assert decide(meter, snapshot).allowed
        clock.now -= 5
        assert not decide(meter, snapshot).allowed

    def test_the_timestamp_of_a_request_does_not_select_the_window(self) -> None:
        meter, snapshot = Meter(Clock()), snapshot_of(user(daily_request_limit=1))
        assert decide(meter, snapshot).allowed
        request = Request(subject=Subject("u"), timestamp=NOON + 10 * 86_400)
        charge = meter.charge(snapshot, request)
        assert charge is not None
        assert not evaluate(snapshot, charge.request, "d").allowed


class TestCharges:
    def test_without_limits_nothing_is_counted(self) -> None:
        meter = Meter(Clock())
        assert meter.charge(snapshot_of(), Request(subject=Subject("u"))) is None
        assert meter.charge(snapshot_of(user(daily_request_limit=1)), Request()) is None
        assert meter.unwritten == 0

    def test_concurrent_requests_cannot_both_use_the_remainder(self) -> None:
        meter, snapshot = Meter(Clock()), snapshot_of(user(daily_request_limit=1))
        request = Request(subject=Subject("u"))
        charges = [meter.charge(snapshot, request) for _ in range(3)]
        decisions = [evaluate(snapshot, each.request, "d") for each in charges if each]
        assert [decision.allowed for decision in decisions] == [True, False, False]
        for charge, decision in zip(charges, decisions, strict=True):
            assert charge is not None
            meter.settle(charge, decision)
        assert used(meter, user())[1] == Counts(1)

    def test_a_request_that_does_not_count_uses_nothing(self) -> None:
        meter, snapshot = Meter(Clock()), snapshot_of(user(daily_request_limit=1))
        charge = meter.charge(snapshot, Request(subject=Subject("u"), usage=Usage(5, 0.5)))
        assert charge is not None
        uncounted = evaluate(snapshot, charge.request, "d")._replace(counted=False)
        meter.settle(charge, uncounted)
        assert used(meter, user()) == (Counts(), Counts(), Counts())

    @pytest.mark.parametrize("outcome", list(Outcome))
    def test_only_allowed_requests_use_tokens_and_cost(self, outcome: Outcome) -> None:
        meter, snapshot = Meter(Clock()), snapshot_of(user())
        charge = meter.charge(snapshot, Request(subject=Subject("u"), usage=Usage(5, 0.5)))
        assert charge is not None
        decision = evaluate(snapshot, charge.request, "d")._replace(outcome=outcome)
        meter.settle(charge, decision)
        full = Counts(1, 5, MICROS // 2)
        assert used(meter, user())[1] == (full if decision.allowed else Counts(1))

    def test_a_charge_that_is_settled_the_next_day_corrects_its_own_day(self) -> None:
        clock = Clock(at("2026-02-14T23:59:59"))
        meter, snapshot = Meter(clock), snapshot_of(user(daily_token_limit=10))
        charge = meter.charge(snapshot, Request(subject=Subject("u"), usage=Usage(5)))
        assert charge is not None
        clock.now += 1
        assert decide(meter, snapshot, tokens=1).allowed
        blocked = evaluate(snapshot, charge.request, "d")._replace(outcome=Outcome.CANCEL)
        meter.settle(charge, blocked)
        assert used(meter, user())[1:] == (Counts(1, 1), Counts(2, 1))
        additions = meter.begin_flush()
        assert additions[CounterId("acme", "user", "u", "day", int(at("2026-02-14")))] == Counts(1)

    def test_a_request_without_usage_is_blocked(self) -> None:
        """A caller that forgets to charge must not disable the limits."""
        snapshot = snapshot_of(user(daily_request_limit=1))
        decision = evaluate(snapshot, Request(subject=Subject("u")), "d")
        assert (decision.outcome, decision.reason_code) == (Outcome.BLOCK, "ENGINE_ERROR")
        assert decision.incomplete

    def test_limits_of_other_subjects_do_not_apply(self) -> None:
        limits = [replace(user(), id=f"l{n}", subject_id=f"u{n}") for n in range(1000)]
        book = snapshot_of(*limits).limits
        assert book is not None
        assert book.of(Subject("nobody", ("a", "b"))) == ()

    def test_limits_are_compiled_again_only_if_they_change(self) -> None:
        first = snapshot_of(user(daily_request_limit=1))
        again = compile_tenant(PLATFORM, "acme", first.policies, 2, first)
        assert again.limits is first.limits


class TestStore:
    def test_additions_are_written_once(self) -> None:
        meter, snapshot = Meter(Clock()), snapshot_of(user())
        decide(meter, snapshot, tokens=7)
        decide(meter, snapshot, tokens=8)
        key = ("acme", "user", "u")
        assert dict(meter.begin_flush()) == {
            CounterId(*key, "second", int(NOON)): Counts(2),
            CounterId(*key, "day", int(at("2026-02-14"))): Counts(2, 15),
            CounterId(*key, "month", int(at("2026-02-01"))): Counts(2, 15),
        }
        meter.finish_flush(())
        assert meter.begin_flush() == {}

    def test_additions_of_a_failed_flush_are_kept(self) -> None:
        meter, snapshot = Meter(Clock()), snapshot_of(user())
        decide(meter, snapshot)
        first = meter.begin_flush()
        decide(meter, snapshot)
        meter.abandon_flush()
        assert sum(counts.requests for counts in first.values()) == 3
        assert {counts.requests for counts in meter.begin_flush().values()} == {2}

    def test_counts_of_other_processes_are_added(self) -> None:
        meter, snapshot = Meter(Clock()), snapshot_of(user(daily_request_limit=5))
        decide(meter, snapshot)
        meter.begin_flush()
        decide(meter, snapshot)  # during the flush
        day = CounterId("acme", "user", "u", "day", int(at("2026-02-14")))
        meter.finish_flush([Counter(day, Counts(4), 9)])
        assert used(meter, user())[1] == Counts(5)
        assert meter.stamp == 9
        assert not decide(meter, snapshot).allowed

    def test_a_window_that_another_process_opened_is_opened(self) -> None:
        clock = Clock(at("2026-02-14T23:59:59.99"))
        meter, snapshot = Meter(clock), snapshot_of(user(daily_request_limit=2))
        decide(meter, snapshot)
        day = CounterId("acme", "user", "u", "day", int(at("2026-02-15")))
        meter.finish_flush([Counter(day, Counts(1), 1)])
        assert decide(meter, snapshot).allowed
        clock.now += 0.1
        assert not decide(meter, snapshot).allowed
