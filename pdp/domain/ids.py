"""Ids of requests and decisions."""

from __future__ import annotations

import os
import random
import time
from itertools import count
from typing import Final

_FIRST: Final = 0x1000_0000
_LAST: Final = 0xFFFF_FFFF
"""The numbers with eight hexadecimal digits."""


class _Ids:
    """Makes UUIDs of version 7 (RFC 9562) whose last 32 bits count; safe for threads.

    Every decision needs one. The part before the counter changes once a millisecond, so an id
    costs a third of a microsecond instead of four.
    """

    __slots__ = ("_chance", "_counter", "_millisecond", "_node", "_prefix")

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Takes new random numbers. A child has those of its parent after a fork."""
        chance = self._chance = random.SystemRandom()
        self._node = f"7{chance.getrandbits(12):03x}-8{chance.getrandbits(12):03x}-"
        self._node += f"{chance.getrandbits(16):04x}"
        # `next` on it is one step of the interpreter, so that threads need no lock.
        self._counter = count(chance.randint(_FIRST, _LAST))
        self._millisecond = 0
        self._prefix = ""

    def __call__(self) -> str:
        millisecond = time.time_ns() // 1_000_000
        if millisecond != self._millisecond:
            stamp = f"{millisecond:012x}"
            # In this order, so that a thread never combines a new time with an old prefix.
            self._prefix = f"{stamp[:8]}-{stamp[8:]}-{self._node}"
            self._millisecond = millisecond
        number = next(self._counter)
        if number > _LAST:
            # From a random number again: another thread may do the same at this moment.
            self._counter = count(self._chance.randint(_FIRST, _LAST))
            number = next(self._counter)
        return self._prefix + hex(number)[2:]


new_id: Final = _Ids()
"""Returns a new id, unique across processes; ids sort by the time at which they were made."""

if hasattr(os, "register_at_fork"):  # where processes can fork
    os.register_at_fork(after_in_child=new_id.restart)
