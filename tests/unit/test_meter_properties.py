"""Counters equal a recount of the whole history, wherever they are."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdp.domain.decision import Outcome
from pdp.domain.limits import BOUNDS, MICROS, Limit
from pdp.domain.request import Request, Subject, Usage
from pdp.domain.usage import Counter, CounterId, Counts
from pdp.engine.evaluate import evaluate
from pdp.usage.meter import Meter
from tests.support.counter_servers import counter_server
from tests.support.meters import Clock, at, snapshot_of
from tests.support.shared_meters import TEST_CLOCK, charge, set_clock, shared_meter

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pdp.domain.decision import Decision
    from pdp.engine.snapshot import Snapshot
    from pdp.usage.shared.shared_meter import SharedMeter


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


class Replicas(Protocol):
    """Two replicas whose counts reach each other after each request."""

    def begin(self, now: float) -> None:
        """Forgets all counts."""

    def decide(
        self, replica: int, now: float, snapshot: Snapshot, request: Request, step: Step
    ) -> bool:
        """Decides a request as `step` says; returns whether limits allow it."""


class StoreReplicas:
    """Processes that exchange their counts through a store."""

    def begin(self, now: float) -> None:
        """See `Replicas`."""
        self._clock = Clock(now)
        self._meters = [Meter(self._clock), Meter(self._clock)]
        self._store: dict[CounterId, Counts] = {}

    def decide(
        self, replica: int, now: float, snapshot: Snapshot, request: Request, step: Step
    ) -> bool:
        """See `Replicas`."""
        self._clock.now = now
        meter = self._meters[replica]
        charge = meter.charge(snapshot, request)
        decision = evaluate(snapshot, charge.request if charge else request, "d")
        if charge:
            meter.settle(charge, as_decided(step, decision))
        exchange(self._meters, self._store)
        return decision.allowed


class SharedReplicas:
    """Processes that count on one server."""

    def __init__(self, runner: asyncio.Runner, client: Any, meters: Sequence[SharedMeter]):
        self._runner = runner
        self._client = client
        self._meters = meters

    def begin(self, now: float) -> None:
        """See `Replicas`."""
        self._client.flushdb()
        set_clock(self._client, now)

    def decide(
        self, replica: int, now: float, snapshot: Snapshot, request: Request, step: Step
    ) -> bool:
        """See `Replicas`."""
        set_clock(self._client, now)
        return self._runner.run(self._decide(self._meters[replica], snapshot, request, step))

    async def _decide(
        self, meter: SharedMeter, snapshot: Snapshot, request: Request, step: Step
    ) -> bool:
        charged = await charge(meter, snapshot, request)
        if charged is None:
            return evaluate(snapshot, request, "d").allowed
        usage = charged.request.usage_snapshot
        assert usage is not None
        assert not usage.alone
        decision = evaluate(snapshot, charged.request, "d")
        meter.settle(charged, as_decided(step, decision))
        await meter.spent("acme", snapshot.limits.of(request.subject) if snapshot.limits else ())
        return decision.allowed


def as_decided(step: Step, decision: Decision) -> Decision:
    """Returns the decision with what other layers say of the request."""
    if decision.allowed and step.killed:
        return decision._replace(outcome=Outcome.BLOCK, counted=False)
    if decision.allowed and step.denied:
        return decision._replace(outcome=Outcome.BLOCK)
    return decision


@pytest.fixture(scope="module", params=["store", "shared"])
def replicas(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Replicas]:
    """Each backend of counters."""
    if request.param == "store":
        yield StoreReplicas()
        return
    folder = tmp_path_factory.mktemp("counters")
    with counter_server(folder) as server, server.admin() as client, asyncio.Runner() as runner:
        set_clock(client, 0)
        stack = AsyncExitStack()
        meters = [
            runner.run(stack.enter_async_context(shared_meter(server, TEST_CLOCK)))
            for _ in range(2)
        ]
        yield SharedReplicas(runner, client, meters)
        runner.run(stack.aclose())


@settings(deadline=None, max_examples=200)
@given(
    st.lists(LIMITS, max_size=4, unique_by=lambda limit: limit.id),
    st.lists(STEPS, max_size=25),
    st.lists(st.booleans(), min_size=25, max_size=25),
)
def test_a_meter_equals_a_recount_of_the_whole_history(
    replicas: Replicas, limits: list[Limit], steps: list[Step], turns: list[bool]
) -> None:
    """Two processes decide in any order."""
    now = at("2026-01-30T23:59:58.7")
    replicas.begin(now)
    snapshot, reference = snapshot_of(*limits), Reference(limits)
    for step, turn in zip(steps, turns, strict=False):
        now += step.after
        request = Request(
            subject=Subject(step.user_id, step.groups),
            usage=Usage(step.tokens, step.micros / MICROS),
        )
        allowed = replicas.decide(turn, now, snapshot, request, step)
        assert allowed is reference.allows(now, step)


def exchange(meters: Sequence[Meter], store: dict[CounterId, Counts]) -> None:
    """Adds the counts of each meter to the store's totals, which both then read."""
    for meter in meters:
        for counter, counts in meter.begin_flush().items():
            before = store.get(counter, Counts())
            store[counter] = Counts(*(a + b for a, b in zip(before, counts, strict=True)))
    for meter in meters:
        meter.finish_flush(Counter(counter, counts, 1) for counter, counts in store.items())
