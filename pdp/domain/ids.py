"""Ids of requests and decisions."""

from __future__ import annotations

import random
import time
from typing import Final


class _Ids:
    """Generates UUIDs of version 7 (RFC 9562) whose last 32 bits are a counter.

    Every decision needs an id. The part before the counter changes only once per millisecond, so an
    id costs 0.25 µs instead of 4 µs.
    """

    __slots__ = ("_count", "_millisecond", "_node", "_prefix")

    def __init__(self) -> None:
        chance = random.SystemRandom()
        self._node = f"7{chance.getrandbits(12):03x}-8{chance.getrandbits(12):03x}-"
        self._node += f"{chance.getrandbits(16):04x}"
        self._count = chance.getrandbits(31)
        self._millisecond = 0
        self._prefix = ""

    def __call__(self) -> str:
        millisecond = time.time_ns() // 1_000_000
        if millisecond != self._millisecond:
            stamp = f"{millisecond:012x}"
            self._millisecond = millisecond
            self._prefix = f"{stamp[:8]}-{stamp[8:]}-{self._node}"
        count = self._count = (self._count + 1) & 0xFFFFFFFF
        return f"{self._prefix}{count:08x}"


new_id: Final = _Ids()
"""Returns a new id, unique across processes. Ids sort by time of creation."""
