"""Has calls that come close together judged together, one right after the other.

Between two calls the server runs through gRPC and the kernel, which empty the processor's caches: a
decision that takes 15 µs right after another takes 60 on its own. The event loop accepts one call
in each of its rounds, so calls never come together by themselves. Here a call waits while others
are coming, for some empty rounds at most, each of them a few microseconds; then all that wait are
judged in one round, and their answers are sent in the next.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

MOST: Final = 16
"""Calls in one turn; more gain little, and the first of them waits longer."""

QUIET_ROUNDS: Final = 12
"""Rounds of the event loop in which nobody has come, after which a turn begins."""


LONGEST_S: Final = 0.002
"""How long the first of a turn waits: a round is long where a batch or a text is judged in it."""


class Coalescer:
    """The turns of one server; all of it runs on the server's event loop."""

    __slots__ = ("_began", "_clock", "_quiet", "_seen", "_waiting")

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = 0.0
        self._waiting: list[asyncio.Future[None]] = []
        self._seen = 0
        self._quiet = 0

    def mine(self) -> asyncio.Future[None]:
        """Returns what a call awaits before it is judged.

        It is done once `MOST` calls wait, once nobody has come for `QUIET_ROUNDS`, or after
        `LONGEST_S`. A call that is cancelled meanwhile holds up no other.
        """
        loop = asyncio.get_running_loop()
        waiter = loop.create_future()
        self._waiting.append(waiter)
        if len(self._waiting) == 1:
            self._seen = self._quiet = 0
            self._began = self._clock()
            loop.call_soon(self._look)
        return waiter

    def _look(self) -> None:
        waiting = len(self._waiting)
        self._quiet = self._quiet + 1 if waiting == self._seen else 0
        self._seen = waiting
        waits = waiting < MOST and self._quiet < QUIET_ROUNDS
        if waits and self._clock() - self._began < LONGEST_S:
            asyncio.get_running_loop().call_soon(self._look)
            return
        turn, self._waiting = self._waiting, []
        for waiter in turn:
            if not waiter.done():
                waiter.set_result(None)
