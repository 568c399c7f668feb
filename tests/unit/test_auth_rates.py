"""How often one principal may call."""

from __future__ import annotations

from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp._gen.pdp.v1 import decide_pb2
from pdp.auth.principal import DevelopmentAuthenticator, Principal
from pdp.auth.rate_limits import MAX_BUCKETS, Rates
from pdp.errors import RateLimited
from pdp.transport.admission import Services
from pdp.transport.call import Call
from pdp.transport.guards import admitted
from pdp.transport.methods import methods
from pdp.transport.metrics import Metrics
from pdp.transport.servicers.decide import DecideServicer


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def passes(rates: Rates, name: str = "a") -> bool:
    """Whether a call passes."""
    try:
        rates.take(name)
    except RateLimited:
        return False
    return True


def test_a_burst_and_then_the_rate() -> None:
    """So many at once, and then one whenever its time has come."""
    clock = Clock()
    rates = Rates(2, 3, clock)
    assert [passes(rates) for _ in range(4)] == [True, True, True, False]
    clock.now = 0.5
    assert [passes(rates), passes(rates)] == [True, False]
    clock.now = 100.0
    assert [passes(rates) for _ in range(4)] == [True, True, True, False]


def test_each_has_its_own() -> None:
    """One that calls too often takes nothing from others."""
    rates = Rates(1, 1, Clock())
    assert [passes(rates, "a"), passes(rates, "a"), passes(rates, "b")] == [True, False, True]


def test_the_hint_is_when_a_call_passes() -> None:
    """Not before, and then it does."""
    clock = Clock()
    rates = Rates(4, 1, clock)
    rates.take("a")
    with pytest.raises(RateLimited) as limited:
        rates.take("a")
    assert limited.value.retry_after_s == 0.25
    clock.now = 0.24
    assert not passes(rates)
    clock.now = 0.25
    assert passes(rates)


def test_a_batch_is_paid_for() -> None:
    """It passes whatever it is worth, and leaves a debt."""
    clock = Clock()
    rates = Rates(10, 10, clock)
    rates.take("a")
    rates.charge("a", 99)
    clock.now = 9.0
    assert not passes(rates)
    clock.now = 9.2
    assert passes(rates)


def test_a_batch_that_is_too_large_leaves_no_debt_for_days() -> None:
    """8 MiB have room for millions of items; it is refused, and counts as the largest there is."""
    clock = Clock()
    rates = Rates(10, 10, clock)
    services = Services(DevelopmentAuthenticator("a"), Metrics(), rates)
    batch = next(method for method in methods() if method.name == "DecideBatch")
    call = Call(batch, {}, "grpc", principal=Principal("a"), admitted=True)
    rates.take("a")
    handler = DecideServicer(Mock(), Mock()).handlers()["DecideBatch"]
    admitted(batch, handler, services)(
        call, decide_pb2.DecideBatchRequest(requests=[decide_pb2.DecideRequest()] * 100_000)
    )
    clock.now = 100.0
    assert passes(rates)


def test_how_many_are_remembered() -> None:
    """Names are bounded, so that memory is."""
    rates = Rates(1, 1, Clock())
    for number in range(MAX_BUCKETS + 10):
        rates.take(str(number))
    assert len(rates._buckets) == MAX_BUCKETS


@given(st.lists(st.floats(0, 2), max_size=60), st.integers(1, 20), st.integers(1, 20))
def test_never_more_than_the_rate(waits: list[float], per_s: int, burst: int) -> None:
    """In any time, no more pass than a burst and what the rate allows in it."""
    clock = Clock()
    rates = Rates(per_s, burst, clock)
    passed = 0
    for wait in waits:
        clock.now += wait
        passed += passes(rates)
        assert passed <= burst + clock.now * per_s + 1e-6
