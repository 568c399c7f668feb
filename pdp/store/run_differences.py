"""Compares two sets of runs of numbers, such as what is missing and what notes say is removed.

A log may have millions of runs, in two different orders, so they are not stored. Each run adds a
fingerprint of its beginning and subtracts one of its end. If a run begins at the end of another,
the two cancel out, so the sum depends on the set only and not on how it is divided into runs. The
key of the fingerprints is random, so an attacker cannot choose other runs with the same sum.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_PLACES: Final = 1000
"""Into how many places the numbers are divided, to say where a difference is."""

_MODULUS: Final = 1 << 128


class RunDifferences:
    """The sums of fingerprints, by place."""

    def __init__(self, highest: int, base: int = 0) -> None:
        """Args:
        highest: the highest number that is expected.
        base: the lowest one.
        """
        self._base = base
        span = max(highest - base, 0)
        self._width = span // _PLACES + 1
        self._highest = span + 1
        self._key = secrets.token_bytes(16)
        self._sums: dict[int, int] = {}

    def add(self, point: int, sign: int, content: bytes = b"") -> None:
        """Adds the beginning of a run with the sign 1, or its end with -1; or the reverse."""
        text = b"%d " % point + content
        digest = hashlib.blake2b(text, digest_size=16, key=self._key).digest()
        place = max(0, min(point - self._base, self._highest)) // self._width
        total = (self._sums.get(place, 0) + sign * int.from_bytes(digest, "big")) % _MODULUS
        if total:
            self._sums[place] = total
        else:
            self._sums.pop(place, None)

    def places(self) -> Iterator[tuple[int, int]]:
        """Yields between which points the two sets differ, as two inclusive bounds."""
        places = sorted(self._sums)
        base, width = self._base, self._width
        for position in range(0, len(places), 2):
            first, last = places[position], places[min(position + 1, len(places) - 1)]
            yield base + first * width, base + last * width + width - 1
