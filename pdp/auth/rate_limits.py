"""How often one principal may call: a token bucket for each (docs/access.md)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from cachetools import LRUCache

from pdp.errors import RateLimited

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_BUCKETS: Final = 10_000
"""Principals that are remembered; the one that has not called for longest begins anew."""


class Rates:
    """Lets each principal call `per_s` times a second on average, and `burst` times at once.

    A call passes while there is a token. A batch is worth as many as it has items; where that is
    more than there are, it passes all the same and leaves a debt.
    """

    def __init__(
        self, per_s: float, burst: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._per_s = per_s
        self._burst = burst
        self._clock = clock
        self._buckets: LRUCache[str, list[float]] = LRUCache(MAX_BUCKETS)

    def take(self, name: str) -> None:
        """Takes the token of a call of the principal `name`.

        Raises:
            RateLimited: there is none left.
        """
        now = self._clock()
        bucket = self._buckets.get(name)
        if bucket is None:
            bucket = self._buckets[name] = [self._burst, now]
        tokens = min(self._burst, bucket[0] + (now - bucket[1]) * self._per_s)
        bucket[1] = now
        if tokens < 1:
            bucket[0] = tokens
            wait = (1 - tokens) / self._per_s
            raise RateLimited(
                f"this credential calls more often than {self._per_s:g} times a second; "
                f"try again in {wait:.3g} s",
                wait,
            )
        bucket[0] = tokens - 1

    def charge(self, name: str, worth: int) -> None:
        """Takes `worth` tokens more of a call that has passed, if need be as a debt."""
        bucket = self._buckets.get(name)
        if bucket is not None and worth > 0:
            bucket[0] -= worth
