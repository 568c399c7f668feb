"""Coalesces calls that arrive close together, so that they are evaluated back to back.

Between two calls the server runs gRPC and kernel code, which evicts the decision's data from the
processor's caches: a decision that takes 15 µs right after another one takes 60 µs alone. The event
loop accepts one call in each of its rounds, so calls never form a batch by themselves.

A `Coalescer` lets each call wait while others arrive, for a few empty rounds of some microseconds
at most. Then it releases all waiting calls in one round, and their responses are sent in the next.
If calls come one at a time, most of them do not wait.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_CALLS: Final = 16
"""The largest batch. A larger one gains little, and its first call waits longer."""

IDLE_ROUNDS: Final = 12
"""The number of event loop rounds without a new call after which a batch starts."""

MAX_WAIT_S: Final = 0.002
"""How long the first call of a batch may wait. Rounds are long if others evaluate large texts."""


LONE_BATCHES: Final = 8
"""After so many batches of one call each, calls come one at a time, and the next do not wait."""

UNDELAYED_CALLS: Final = 16
"""How many of them do not wait. Then one waits, to find out whether others come with it now."""


class Coalescer:
    """The batches of one server. All of it runs on the server's event loop."""

    __slots__ = (
        "_clock",
        "_first_at",
        "_idle_rounds",
        "_last_count",
        "_lone_batches",
        "_undelayed",
        "_waiting",
    )

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._first_at = 0.0
        self._waiting: list[asyncio.Future[None]] = []
        self._last_count = 0
        self._idle_rounds = 0
        self._lone_batches = 0
        self._undelayed = 0

    def join_batch(self) -> asyncio.Future[None]:
        """Adds a call to the next batch; returns a future that is done when the batch starts.

        A batch starts when `MAX_CALLS` calls wait, after `IDLE_ROUNDS` rounds without a new call,
        or after `MAX_WAIT_S`; at once if the last calls came alone. A call that is cancelled while
        it waits does not delay the others.
        """
        loop = asyncio.get_running_loop()
        waiter = loop.create_future()
        if self._undelayed and not self._waiting:
            self._undelayed -= 1
            waiter.set_result(None)
            return waiter
        self._waiting.append(waiter)
        if len(self._waiting) == 1:
            self._last_count = self._idle_rounds = 0
            self._first_at = self._clock()
            loop.call_soon(self._start_if_due)
        return waiter

    def _start_if_due(self) -> None:
        count = len(self._waiting)
        self._idle_rounds = self._idle_rounds + 1 if count == self._last_count else 0
        self._last_count = count
        may_wait = count < MAX_CALLS and self._idle_rounds < IDLE_ROUNDS
        if may_wait and self._clock() - self._first_at < MAX_WAIT_S:
            asyncio.get_running_loop().call_soon(self._start_if_due)
            return
        batch, self._waiting = self._waiting, []
        self._lone_batches = 0 if len(batch) > 1 else self._lone_batches + 1
        if self._lone_batches >= LONE_BATCHES:
            self._undelayed = UNDELAYED_CALLS
        for waiter in batch:
            if not waiter.done():
                waiter.set_result(None)
