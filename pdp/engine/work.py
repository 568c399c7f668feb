"""The work that one decision may do: counts, not a clock, so that equal requests are equal.

A caller chooses the text, and a tenant chooses the patterns. Together they could make a decision
take minutes. So each decision counts what it does, over all rules and strings together.
"""

from __future__ import annotations

import time
from typing import Final

from pdp.errors import WorkLimitExceeded

MAX_VALUES: Final = 100_000
"""Keys, strings and numbers of a request, with those of JSON in its strings."""

MAX_MATCHES: Final = 100_000
"""Matches of patterns that are located, once for each detector that uses the pattern."""

MAX_FINDS: Final = 10_000
"""Values that detectors and policies find."""

MAX_LOCATED_BYTES: Final = 64 << 20
"""Bytes that are searched again for one pattern, to locate its matches."""

LIGHT_MATCHES: Final = 96
"""Matches that an evaluation may locate and judge on an event loop: about 1 ms of work."""

MATCHES_PER_PAUSE: Final = 16
"""Matches that a thread locates before it lets others run: about 0.2 ms of work."""

PAUSE_S: Final = 0.00005


class NotLight(WorkLimitExceeded):
    """An evaluation needs more work than an event loop should do; a thread must begin it anew."""


class WorkBudget:
    """Counts the work of one decision.

    Attributes:
        most_matches: the bound of `matches` now: `MAX_MATCHES`, or less on an event loop.
        values: see `MAX_VALUES`.
        matches: see `MAX_MATCHES`.
        finds: see `MAX_FINDS`.
        located_bytes: see `MAX_LOCATED_BYTES`.
        yields: whether to let other threads run from time to time. It is set in a thread beside an
            event loop.
    """

    __slots__ = ("finds", "located_bytes", "matches", "most_matches", "values", "yields")

    def __init__(self) -> None:
        self.values = self.matches = self.finds = self.located_bytes = 0
        self.most_matches = MAX_MATCHES
        self.yields = False

    def add_values(self, count: int) -> None:
        """Counts values.

        Raises:
            WorkLimitExceeded: there are more than `MAX_VALUES`.
        """
        self.values += count
        if self.values > MAX_VALUES:
            raise WorkLimitExceeded("values", MAX_VALUES)

    def add_match(self) -> None:
        """Counts a match.

        Raises:
            NotLight: there are more than an event loop should judge.
            WorkLimitExceeded: there are more than `MAX_MATCHES`.
        """
        self.matches += 1
        if self.yields and not self.matches % MATCHES_PER_PAUSE:
            # RE2 gives the interpreter away for each match and takes it back at once, so that a
            # thread that waits for it never gets it.
            time.sleep(PAUSE_S)
        if self.matches > self.most_matches:
            kind = NotLight if self.most_matches < MAX_MATCHES else WorkLimitExceeded
            raise kind("located matches", self.most_matches)

    def add_finds(self, count: int) -> None:
        """Counts what detectors find.

        Raises:
            WorkLimitExceeded: there is more than `MAX_FINDS`.
        """
        self.finds += count
        if self.finds > MAX_FINDS:
            raise WorkLimitExceeded("findings", MAX_FINDS)

    def add_located(self, length: int) -> None:
        """Counts the bytes in which a pattern is located.

        Raises:
            WorkLimitExceeded: there are more than `MAX_LOCATED_BYTES`.
        """
        self.located_bytes += length
        if self.located_bytes > MAX_LOCATED_BYTES:
            raise WorkLimitExceeded("bytes to locate patterns in", MAX_LOCATED_BYTES)
