"""Counters in memory: windows, charges, and what the store says of others."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pdp.domain.counter import Counter, CounterId
from pdp.domain.decision import Outcome
from pdp.domain.limits import MICROS, Calendar, Counts
from pdp.domain.request import Request, Subject, Usage
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
    def test_days_and_months_are_those_of_utc(
        self, moment: str, day: str, month: str, month_end: str
    ) -> None:
        expected = Calendar(int(at(day)), int(at(day)) + 86_400, int(at(month)), int(at(month_end)))
        assert Calendar.of(at(moment)) == expected

    def test_a_new_day_begins_with_nothing_and_the_month_goes_on(self) -> None:
        clock = Clock(at("2026-02-14T23:59:59"))
        meter, limit = Meter(clock), user(daily_request_limit=1, monthly_request_limit=2)
        snapshot = snapshot_of(limit)
        assert decide(meter, snapshot).allowed
        assert decide(meter, snapshot).retry_after_s == 1
        clock.now += 1
        assert decide(meter, snapshot).allowed
        refused = decide(meter, snapshot)
        assert refused.retry_after_s == at("2026-03-01") - clock.now
        clock.now = at("2026-03-01")
        assert decide(meter, snapshot).allowed

    def test_in_no_sixty_seconds_more_pass_than_a_minute_may_have(self) -> None:
        clock = Clock(NOON + 0.9)
        meter, snapshot = Meter(clock), snapshot_of(user(requests_per_minute=2))
        assert decide(meter, snapshot).allowed
        clock.now = NOON + 10
        assert decide(meter, snapshot).allowed
        clock.now = NOON + 60.5
        refused = decide(meter, snapshot)
        assert (refused.outcome, refused.retry_after_s) == (Outcome.BLOCK, 1)
        clock.now += 1
        assert decide(meter, snapshot).allowed
        assert decide(meter, snapshot).retry_after_s == 10

    def test_who_comes_back_after_the_hint_is_let_in(self) -> None:
        clock = Clock()
        meter, snapshot = Meter(clock), snapshot_of(user(requests_per_minute=3))
        for step in (0.0, 7.3, 11.0):
            clock.now += step
            assert decide(meter, snapshot).allowed
        wait = decide(meter, snapshot).retry_after_s
        assert wait is not None
        clock.now += wait
        assert decide(meter, snapshot).allowed

    def test_of_several_hints_the_longest_counts(self) -> None:
        clock = Clock(at("2026-02-14T23:50:00"))
        meter = Meter(clock)
        snapshot = snapshot_of(user(requests_per_minute=1, daily_request_limit=1))
        assert decide(meter, snapshot).allowed
        assert decide(meter, snapshot).retry_after_s == 600

    def test_there_is_no_hint_where_one_of_several_bounds_never_has_room(self) -> None:
        meter = Meter(Clock())
        snapshot = snapshot_of(user(requests_per_minute=1, daily_token_limit=10))
        assert decide(meter, snapshot).allowed
        assert decide(meter, snapshot, tokens=10).retry_after_s == 61
        assert decide(meter, snapshot, tokens=11).retry_after_s is None

    def test_only_the_bounds_that_a_request_is_over_are_named(self) -> None:
        meter = Meter(Clock())
        snapshot = snapshot_of(user(requests_per_minute=1, daily_token_limit=10))
        assert decide(meter, snapshot).allowed
        refused = decide(meter, snapshot, tokens=10)
        assert [match.name for match in refused.matches] == ["requests_per_minute of user u"]

    def test_a_rate_that_was_lowered_is_held_at_once(self) -> None:
        clock = Clock()
        meter = Meter(clock)
        for second in range(4):
            clock.now = NOON + second
            assert decide(meter, snapshot_of(user(requests_per_minute=4))).allowed
        refused = decide(meter, snapshot_of(user(requests_per_minute=2)))
        # Three of the four have to be 60 s old before there is room for one.
        assert refused.retry_after_s == 2 + 61 - 3

    def test_a_clock_that_is_put_back_empties_nothing(self) -> None:
        clock = Clock(at("2026-02-15T00:00:01"))
        meter, snapshot = Meter(clock), snapshot_of(user(daily_request_limit=1))
        assert decide(meter, snapshot).allowed
        clock.now -= 5
        assert not decide(meter, snapshot).allowed

    def test_a_requests_own_timestamp_chooses_no_window(self) -> None:
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

    def test_what_is_judged_at_once_cannot_both_have_the_last(self) -> None:
        meter, snapshot = Meter(Clock()), snapshot_of(user(daily_request_limit=1))
        request = Request(subject=Subject("u"))
        charges = [meter.charge(snapshot, request) for _ in range(3)]
        decisions = [evaluate(snapshot, each.request, "d") for each in charges if each]
        assert [decision.allowed for decision in decisions] == [True, False, False]
        for charge, decision in zip(charges, decisions, strict=True):
            assert charge is not None
            meter.settle(charge, decision)
        assert used(meter, user())[1] == Counts(1)

    def test_a_stopped_model_uses_nothing(self) -> None:
        meter, snapshot = Meter(Clock()), snapshot_of(user(daily_request_limit=1))
        charge = meter.charge(snapshot, Request(subject=Subject("u"), usage=Usage(5, 0.5)))
        assert charge is not None
        stopped = evaluate(snapshot, charge.request, "d")._replace(counted=False)
        meter.settle(charge, stopped)
        assert used(meter, user()) == (Counts(), Counts(), Counts())

    @pytest.mark.parametrize("outcome", list(Outcome))
    def test_only_what_may_pass_uses_tokens_and_cost(self, outcome: Outcome) -> None:
        meter, snapshot = Meter(Clock()), snapshot_of(user())
        charge = meter.charge(snapshot, Request(subject=Subject("u"), usage=Usage(5, 0.5)))
        assert charge is not None
        decision = evaluate(snapshot, charge.request, "d")._replace(outcome=outcome)
        meter.settle(charge, decision)
        whole = Counts(1, 5, MICROS // 2)
        assert used(meter, user())[1] == (whole if decision.allowed else Counts(1))

    def test_what_is_settled_on_the_next_day_goes_back_to_its_own(self) -> None:
        clock = Clock(at("2026-02-14T23:59:59"))
        meter, snapshot = Meter(clock), snapshot_of(user(daily_token_limit=10))
        charge = meter.charge(snapshot, Request(subject=Subject("u"), usage=Usage(5)))
        assert charge is not None
        clock.now += 1
        assert decide(meter, snapshot, tokens=1).allowed
        blocked = evaluate(snapshot, charge.request, "d")._replace(outcome=Outcome.CANCEL)
        meter.settle(charge, blocked)
        assert used(meter, user())[1:] == (Counts(1, 1), Counts(2, 1))
        written = meter.begin_flush()
        assert written[CounterId("acme", "user", "u", "day", int(at("2026-02-14")))] == Counts(1)

    def test_a_request_without_counters_is_not_judged(self) -> None:
        """Whoever forgets to count must not let everything pass."""
        snapshot = snapshot_of(user(daily_request_limit=1))
        decision = evaluate(snapshot, Request(subject=Subject("u")), "d")
        assert (decision.outcome, decision.reason_code) == (Outcome.BLOCK, "ENGINE_ERROR")
        assert decision.incomplete

    def test_limits_of_others_cost_a_lookup(self) -> None:
        limits = [replace(user(), id=f"l{n}", subject_id=f"u{n}") for n in range(1000)]
        book = snapshot_of(*limits).limits
        assert book is not None
        assert book.of(Subject("nobody", ("a", "b"))) == ()

    def test_a_book_is_compiled_again_only_where_limits_change(self) -> None:
        first = snapshot_of(user(daily_request_limit=1))
        again = compile_tenant(PLATFORM, "acme", first.policies, 2, first)
        assert again.limits is first.limits


class TestStore:
    def test_what_was_counted_is_written_once(self) -> None:
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

    def test_what_could_not_be_written_is_kept(self) -> None:
        meter, snapshot = Meter(Clock()), snapshot_of(user())
        decide(meter, snapshot)
        first = meter.begin_flush()
        decide(meter, snapshot)
        meter.abandon_flush()
        assert sum(counts.requests for counts in first.values()) == 3
        assert {counts.requests for counts in meter.begin_flush().values()} == {2}

    def test_what_others_have_counted_counts(self) -> None:
        meter, snapshot = Meter(Clock()), snapshot_of(user(daily_request_limit=5))
        decide(meter, snapshot)
        meter.begin_flush()
        decide(meter, snapshot)  # while it is being written
        day = CounterId("acme", "user", "u", "day", int(at("2026-02-14")))
        meter.finish_flush([Counter(day, Counts(4), 9)])
        assert used(meter, user())[1] == Counts(5)
        assert meter.stamp == 9
        assert not decide(meter, snapshot).allowed

    def test_a_day_that_has_begun_elsewhere_has_begun(self) -> None:
        clock = Clock(at("2026-02-14T23:59:59.99"))
        meter, snapshot = Meter(clock), snapshot_of(user(daily_request_limit=2))
        decide(meter, snapshot)
        day = CounterId("acme", "user", "u", "day", int(at("2026-02-15")))
        meter.finish_flush([Counter(day, Counts(1), 1)])
        assert decide(meter, snapshot).allowed
        clock.now += 0.1
        assert not decide(meter, snapshot).allowed
