"""Rate limits of principals."""

from __future__ import annotations

from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp._gen.pdp.v1 import decide_pb2
from pdp.auth.principal import DevelopmentAuthenticator, Principal
from pdp.auth.rate_limits import MAX_BUCKETS, RateLimiter
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


def passes(limiter: RateLimiter, name: str = "a") -> bool:
    """Returns whether a call is allowed."""
    try:
        limiter.take(name)
    except RateLimited:
        return False
    return True


def test_after_a_burst_calls_are_allowed_at_the_rate() -> None:
    clock = Clock()
    limiter = RateLimiter(2, 3, clock)
    assert [passes(limiter) for _ in range(4)] == [True, True, True, False]
    clock.now = 0.5
    assert [passes(limiter), passes(limiter)] == [True, False]
    clock.now = 100.0
    assert [passes(limiter) for _ in range(4)] == [True, True, True, False]


def test_principals_have_separate_buckets() -> None:
    """A principal that calls too often does not affect others."""
    limiter = RateLimiter(1, 1, Clock())
    assert [passes(limiter, "a"), passes(limiter, "a"), passes(limiter, "b")] == [True, False, True]


def test_a_call_is_allowed_after_retry_after_s() -> None:
    """An earlier call is refused."""
    clock = Clock()
    limiter = RateLimiter(4, 1, clock)
    limiter.take("a")
    with pytest.raises(RateLimited) as caught:
        limiter.take("a")
    assert caught.value.retry_after_s == 0.25
    clock.now = 0.24
    assert not passes(limiter)
    clock.now = 0.25
    assert passes(limiter)


def test_a_batch_leaves_a_debt() -> None:
    """A batch is allowed whatever its size, and later calls wait for its debt."""
    clock = Clock()
    limiter = RateLimiter(10, 10, clock)
    limiter.take("a")
    limiter.charge("a", 99)
    clock.now = 9.0
    assert not passes(limiter)
    clock.now = 9.2
    assert passes(limiter)


def test_a_batch_that_is_too_large_leaves_no_debt_for_days() -> None:
    """A batch with too many items is refused, and costs as much as the largest valid batch."""
    clock = Clock()
    limiter = RateLimiter(10, 10, clock)
    services = Services(DevelopmentAuthenticator("a"), Metrics(), limiter)
    batch = next(method for method in methods() if method.name == "DecideBatch")
    call = Call(batch, {}, "grpc", principal=Principal("a"), admitted=True)
    limiter.take("a")
    handler = DecideServicer(Mock(), Mock()).handlers()["DecideBatch"]
    admitted(batch, handler, services)(
        call, decide_pb2.DecideBatchRequest(requests=[decide_pb2.DecideRequest()] * 100_000)
    )
    clock.now = 100.0
    assert passes(limiter)


def test_the_number_of_buckets_is_bounded() -> None:
    """Many principals do not use unbounded memory."""
    limiter = RateLimiter(1, 1, Clock())
    for number in range(MAX_BUCKETS + 10):
        limiter.take(str(number))
    assert len(limiter._buckets) == MAX_BUCKETS


@given(st.lists(st.floats(0, 2), max_size=60), st.integers(1, 20), st.integers(1, 20))
def test_calls_never_exceed_the_burst_and_the_rate(
    waits: list[float], per_s: int, burst: int
) -> None:
    """In any period, at most the burst plus the rate's calls are allowed."""
    clock = Clock()
    limiter = RateLimiter(per_s, burst, clock)
    allowed = 0
    for wait in waits:
        clock.now += wait
        allowed += passes(limiter)
        assert allowed <= burst + clock.now * per_s + 1e-6
