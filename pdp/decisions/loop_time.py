"""Shares the event loop between long work, such as batches, and all other calls."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_HOLD_S: Final = 0.00005
"""How long all long work together may hold the event loop before it serves other calls. A call
waits for several rounds of the loop before it is answered."""


class LoopTime:
    """The time of one event loop. All methods are called on it."""

    def __init__(self) -> None:
        self._sharing = 0

    @contextmanager
    def share(self) -> Iterator[Slices]:
        """Returns the slices of one piece of long work, which lasts as long as the context."""
        self._sharing += 1
        try:
            yield Slices(self)
        finally:
            self._sharing -= 1

    @property
    def slice_s(self) -> float:
        """The length of a slice now, in seconds."""
        return MAX_HOLD_S / max(1, self._sharing)


class Slices:
    """The slices of one piece of work. After each, it must let others run."""

    __slots__ = ("_loop_time", "_since")

    def __init__(self, loop_time: LoopTime) -> None:
        self._loop_time = loop_time
        self._since = perf_counter()

    def are_over(self) -> bool:
        """Whether the current slice is used up, so that `next` must be awaited."""
        return perf_counter() - self._since > self._loop_time.slice_s

    async def next_if_over(self) -> None:
        """Lets others run if the current slice is used up."""
        if self.are_over():
            await self.next()

    async def next(self) -> None:
        """Lets others run, and begins the next slice."""
        await asyncio.sleep(0)
        self._since = perf_counter()
