"""Counts all decisions of a process, so that a reader of the log knows what it does not hold.

A decision costs one look-up and one step of an `itertools.count`: no lock, no clock, no input or
output. A thread beside the decisions collects the counts and adds them to the log.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, defaultdict
from itertools import count
from typing import TYPE_CHECKING, Final

from pdp.errors import PdpError

if TYPE_CHECKING:
    from pdp.domain.audit_log import AuditLog
    from pdp.domain.decision_counts import CountKey

MAX_KEYS: Final = 100_000
"""The most keys whose counts wait while the log cannot be written. More are given up."""

_log: Final = logging.getLogger("pdp.audit")

Steps = defaultdict["CountKey", "count[int]"]
"""Counters by key. `next` on one is a single step of the interpreter, so threads need no lock."""


class DecisionCounter:
    """Counts decisions by tenant, level, outcome, and whether they were recorded.

    Attributes:
        steps: the counters of now. `next(counter.steps[key])` counts a decision.
        lost: decisions whose counts were given up because the log could not be written.
    """

    def __init__(self) -> None:
        self.steps: Steps = defaultdict(count)
        self.lost = 0
        self._lock = threading.Lock()
        self._last: dict[CountKey, tuple[count[int], int]] = {}
        self._waiting: Counter[CountKey] = Counter()
        self._failing = False

    def collect(self) -> Counter[CountKey]:
        """Returns the decisions that were counted since the last call."""
        with self._lock:
            return self._collect()

    def flush(self, log: AuditLog) -> None:
        """Adds the counts since the last flush to the log. If that fails, they wait for the next.

        Args:
            log: the log.
        """
        with self._lock:
            self._waiting.update(self._collect())
            if not self._waiting:
                return
            try:
                log.add_counts(self._waiting, time.time())
            except PdpError as error:
                self._failed(error)
            else:
                self._waiting.clear()
                self._failing = False

    def _collect(self) -> Counter[CountKey]:
        # A thread may hold a counter of before for an instant, so each is read once more by the
        # next call. A read is a step too, so it is taken off.
        last, steps = self._last, self.steps
        self.steps = defaultdict(count)
        collected: Counter[CountKey] = Counter()
        for key, (counter, counted) in last.items():
            late = next(counter) - counted
            if late:
                collected[key] += late
        self._last = {}
        for key, counter in dict(steps).items():
            counted = next(counter)
            collected[key] += counted
            self._last[key] = counter, counted + 1
        return collected

    def _failed(self, error: PdpError) -> None:
        if not self._failing:
            _log.error("the counts of decisions cannot be written: %s", error.message)
        self._failing = True
        if len(self._waiting) > MAX_KEYS:
            self.lost += self._waiting.total()
            self._waiting.clear()
