"""Rate limits of principals: a token bucket for each (docs/access.md)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from cachetools import LRUCache

from pdp.errors import RateLimited

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_BUCKETS: Final = 10_000
"""Principals with a bucket. The least recent one is evicted and starts with a full bucket again."""


class RateLimiter:
    """Allows each principal `per_s` calls per second on average, and `burst` calls at once.

    A call is allowed while the bucket has a token. A batch costs as many tokens as it has items. It
    is allowed even if that is more than the bucket has, and leaves a debt.
    """

    def __init__(
        self, per_s: float, burst: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._per_s = per_s
        self._burst = burst
        self._clock = clock
        self._buckets: LRUCache[str, list[float]] = LRUCache(MAX_BUCKETS)

    def take(self, name: str) -> None:
        """Takes the token for a call of the principal `name`.

        Raises:
            RateLimited: the bucket is empty.
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

    def charge(self, name: str, tokens: int) -> None:
        """Takes more tokens for a call that was allowed, if necessary as a debt."""
        bucket = self._buckets.get(name)
        if bucket is not None and tokens > 0:
            bucket[0] -= tokens
