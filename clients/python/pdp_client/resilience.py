"""Limits of what a client does when a server fails: retries, a circuit breaker, waiting calls."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Resilience:
    """How a client behaves when a server fails. The defaults suit most programs.

    Attributes:
        max_attempts: how often one call is sent at most.
        retry_ratio: how many retries each successful call adds to the budget.
        retry_burst: how many retries the budget holds at most, and at first.
        backoff_s: the pause before the first retry; it doubles. A random part of it is left out.
        max_backoff_s: the longest pause.
        failure_threshold: after so many failures in a row, an address gets no calls for a while.
        cooldown_s: how long; then one call tries the address.
        max_waiting: how many calls can wait for an answer. Further calls fail at once.
    """

    max_attempts: int = 3
    retry_ratio: float = 0.1
    retry_burst: int = 10
    backoff_s: float = 0.02
    max_backoff_s: float = 0.2
    failure_threshold: int = 5
    cooldown_s: float = 1.0
    max_waiting: int = 1000

    def pause_s(self, retry: int) -> float:
        """Returns how long to wait before a retry, which is counted from 0."""
        longest = min(self.max_backoff_s, self.backoff_s * (1 << retry))
        return longest * (0.5 + random.random() / 2)  # noqa: S311 - it protects no secret


class RetryBudget:
    """Bounds retries to a share of the successful calls, so that they do not add to an overload."""

    def __init__(self, settings: Resilience) -> None:
        self._ratio = settings.retry_ratio
        self._burst = float(settings.retry_burst)
        self._tokens = self._burst
        self._lock = threading.Lock()

    def add(self) -> None:
        """Counts a successful call."""
        with self._lock:
            self._tokens = min(self._burst, self._tokens + self._ratio)

    def take(self) -> bool:
        """Returns whether one more retry is within the budget, and counts it."""
        with self._lock:
            if self._tokens < 1:
                return False
            self._tokens -= 1
            return True


CLOSED: Final = "closed"
"""The state of a circuit breaker that admits all calls."""

OPEN: Final = "open"
"""The state of a circuit breaker that admits no calls."""

HALF_OPEN: Final = "half_open"
"""The state of a circuit breaker that waits for the result of one call."""


class CircuitBreaker:
    """Stops calls to an address that fails, and tries it again after a while."""

    def __init__(self, settings: Resilience, clock: Clock = time.monotonic) -> None:
        self._threshold = settings.failure_threshold
        self._cooldown_s = settings.cooldown_s
        self._clock = clock
        self._lock = threading.Lock()
        self._failures = 0
        self._retry_at = 0.0
        self.state = CLOSED

    def admit(self) -> bool:
        """Returns whether a call may be sent. Report its result by one of the other methods."""
        with self._lock:
            if self.state == OPEN and self._clock() >= self._retry_at:
                self.state = HALF_OPEN
                return True
            return self.state == CLOSED

    def succeed(self) -> None:
        """Reports that a call got an answer."""
        with self._lock:
            self._failures = 0
            self.state = CLOSED

    def fail(self) -> None:
        """Reports that a call got no answer."""
        with self._lock:
            self._failures += 1
            if self.state == HALF_OPEN or self._failures >= self._threshold:
                self.state = OPEN
                self._retry_at = self._clock() + self._cooldown_s

    def release(self) -> None:
        """Reports that a call was abandoned, so that nothing is known of the server."""
        with self._lock:
            if self.state == HALF_OPEN:
                self.state = OPEN


class WaitingCalls:
    """Counts the calls that wait for an answer, up to a bound."""

    def __init__(self, settings: Resilience) -> None:
        self._bound = settings.max_waiting
        self._count = 0
        self._lock = threading.Lock()

    def enter(self) -> bool:
        """Returns whether one more call may wait, and counts it."""
        with self._lock:
            if self._count >= self._bound:
                return False
            self._count += 1
            return True

    def leave(self) -> None:
        """Reports that a call no longer waits."""
        with self._lock:
            self._count -= 1
