"""Ids of requests that come without one."""

from __future__ import annotations

import os
from itertools import count
from typing import Final

_FIRST: Final = 1 << 60
"""The first number with 16 hexadecimal digits."""


class _Ids:
    """Makes ids of 32 hexadecimal digits; safe for threads and after a fork.

    The first half is random for each process. The second half counts from a random number, which
    costs a quarter of reading random bytes for each id.
    """

    __slots__ = ("_counter", "_prefix")

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Takes new random numbers. A child has those of its parent after a fork."""
        self._prefix = os.urandom(8).hex()
        self._counter = count(_FIRST + int.from_bytes(os.urandom(7)))

    def __call__(self) -> str:
        return self._prefix + hex(next(self._counter))[2:]


new_id: Final = _Ids()
"""Returns a new id, unique across processes."""

if hasattr(os, "register_at_fork"):  # where processes can fork
    os.register_at_fork(after_in_child=new_id.restart)
