"""Counters in memory equal a recount of the whole history."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from pdp.domain.decision import Outcome
from pdp.domain.limits import BOUNDS, MICROS, Limit
from pdp.domain.request import Request, Subject, Usage
from pdp.domain.usage import Counter, CounterId, Counts
from pdp.engine.evaluate import evaluate
from pdp.usage.meter import Meter
from tests.support.meters import Clock, at, snapshot_of

if TYPE_CHECKING:
    from collections.abc import Sequence


class Step(NamedTuple):
    """A request, and the time since the one before."""

    after: float
    user_id: str
    groups: tuple[str, ...]
    tokens: int
    micros: int
    killed: bool
    denied: bool


class Reference:
    """A meter that recounts the whole history for every request."""

    def __init__(self, limits: Sequence[Limit]) -> None:
        self._limits = limits
        self._history: list[tuple[float, tuple[str, ...], Counts]] = []

    def allows(self, now: float, step: Step) -> bool:
        """Returns whether all limits allow the request; if they do, adds it to the history."""
        counts = Counts(1, step.tokens, step.micros)
        applicable = [
            limit
            for limit in self._limits
            if limit.subject_id in ([step.user_id] if limit.scope == "user" else list(step.groups))
        ]
        for limit in applicable:
            for bound in BOUNDS:
                allowed = getattr(limit, bound.attribute)
                if allowed is None:
                    continue
                total = sum(
                    getattr(each, bound.measure)
                    for when, ids, each in self._history
                    if limit.id in ids and self._same(bound.window, when, now)
                )
                if total >= allowed or total + getattr(counts, bound.measure) > allowed:
                    return False
        if not step.killed:
            used = Counts(1) if step.denied else counts
            self._history.append((now, tuple(limit.id for limit in applicable), used))
        return True

    @staticmethod
    def _same(window: str, when: float, now: float) -> bool:
        if window == "minute":
            return int(now) - int(when) <= 60
        one, other = (datetime.fromtimestamp(each, UTC) for each in (when, now))
        length = 10 if window == "day" else 7
        return one.isoformat()[:length] == other.isoformat()[:length]


LIMITS = st.builds(
    lambda scope, subject_id, amounts: Limit(
        f"{scope}-{subject_id}",
        scope,
        subject_id,
        **{bound.attribute: amount for bound, amount in zip(BOUNDS, amounts, strict=True)},
    ),
    st.sampled_from(["user", "group"]),
    st.sampled_from(["a", "b"]),
    st.tuples(*(st.none() | st.integers(0, 6) for _ in BOUNDS)),
)
STEPS = st.builds(
    Step,
    st.sampled_from([0.0, 0.5, 1.0, 20.0, 59.5, 61.0, 40_000.0, 86_400.0, 1_300_000.0]),
    st.sampled_from(["a", "b", "c"]),
    st.lists(st.sampled_from(["a", "b"]), max_size=3).map(tuple),
    st.integers(0, 3),
    st.integers(0, 3),
    st.booleans(),
    st.booleans(),
)


@settings(deadline=None, max_examples=200)
@given(
    st.lists(LIMITS, max_size=4, unique_by=lambda limit: limit.id),
    st.lists(STEPS, max_size=25),
    st.lists(st.booleans(), min_size=25, max_size=25),
)
def test_a_meter_equals_a_recount_of_the_whole_history(
    limits: list[Limit], steps: list[Step], flushes: list[bool]
) -> None:
    """Two processes exchange their counts in any order."""
    clock = Clock(at("2026-01-30T23:59:58.7"))
    meters = [Meter(clock), Meter(clock)]
    snapshot, reference = snapshot_of(*limits), Reference(limits)
    store: dict[CounterId, Counts] = {}
    for step, turn in zip(steps, flushes, strict=False):
        clock.now += step.after
        meter = meters[turn]
        request = Request(
            subject=Subject(step.user_id, step.groups),
            usage=Usage(step.tokens, step.micros / MICROS),
        )
        charge = meter.charge(snapshot, request)
        decision = evaluate(snapshot, charge.request if charge else request, "d")
        assert decision.allowed is reference.allows(clock.now, step)
        if charge:
            if decision.allowed and step.killed:
                decision = decision._replace(outcome=Outcome.BLOCK, counted=False)
            elif decision.allowed and step.denied:
                decision = decision._replace(outcome=Outcome.BLOCK)
            meter.settle(charge, decision)
        exchange(meters, store)


def exchange(meters: Sequence[Meter], store: dict[CounterId, Counts]) -> None:
    """Adds the counts of each meter to the store's totals, which both then read."""
    for meter in meters:
        for counter, counts in meter.begin_flush().items():
            before = store.get(counter, Counts())
            store[counter] = Counts(*(a + b for a, b in zip(before, counts, strict=True)))
    for meter in meters:
        meter.finish_flush(Counter(counter, counts, 1) for counter, counts in store.items())
