"""One flush of a meter: writes its additions to the store, and reads the totals of all processes.

`UsageSynchronizer` (server) and `StoredMeter` (embedded engine) share this module. They differ only
in which thread runs which step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from pdp.domain.usage import DAY_S, MINUTE_S, Calendar
from pdp.usage.usage_windows import DAY, MONTH, SECOND

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pdp.domain.usage import Counter, CounterId, Counts
    from pdp.store.port import Reader, Transaction
    from pdp.usage.meter import Meter

FLUSH_INTERVAL_S: Final = 0.1
"""How often additions are written to the store."""

PRUNE_INTERVAL_S: Final = 60.0
"""How often counters of past windows are removed from the store."""

_PAGE: Final = 1000
_NEVER: Final = float("-inf")


class Flush(NamedTuple):
    """One flush.

    Attributes:
        additions: what to add to the counters in the store.
        since: the stamp up to which the meter has read the store's counters.
        prune_at: the present time if counters of past windows are to be removed, else None.
    """

    additions: Mapping[CounterId, Counts]
    since: int
    prune_at: float | None

    def write(self, transaction: Transaction) -> Sequence[Counter]:
        """Adds to the store's counters; returns all counters that have changed since `since`."""
        transaction.add_counts(self.additions)
        counters = self.read(transaction)
        if self.prune_at is not None:
            # Keeps one more window of each kind, for a process whose clock is behind.
            calendar = Calendar.of(self.prune_at)
            transaction.forget_counters(SECOND, int(self.prune_at) - 2 * MINUTE_S)
            transaction.forget_counters(DAY, calendar.day_start - DAY_S)
            transaction.forget_counters(MONTH, Calendar.of(calendar.month_start - 1).month_start)
        return counters

    def read(self, reader: Reader) -> Sequence[Counter]:
        """Returns all counters that have changed since `since`."""
        counters: list[Counter] = []
        since = self.since
        while page := reader.counters(since, _PAGE):
            counters += page
            since = page[-1].stamp
        return counters


class Flusher:
    """Begins and ends the flushes of a meter. The caller runs each `Flush` against the store.

    If a flush has additions, run its `write`, else its `read`. Like the meter, a flusher belongs to
    one thread, or one lock protects it.
    """

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._pruned_at = _NEVER

    def begin(self) -> Flush:
        """Returns a flush of the meter's additions. Call `finish` or `abandon` after it."""
        now = self._meter.clock()
        prune = now - self._pruned_at >= PRUNE_INTERVAL_S
        additions = self._meter.begin_flush()
        return Flush(additions, self._meter.stamp, now if prune else None)

    def finish(self, flush: Flush, counters: Sequence[Counter]) -> None:
        """Takes over the totals that the store has after the flush."""
        if flush.additions and flush.prune_at is not None:
            self._pruned_at = flush.prune_at
        self._meter.finish_flush(counters)

    def abandon(self) -> None:
        """Keeps the additions of a failed flush for the next one.

        If the commit itself failed, the store may have the additions already and they are counted
        twice. That is better than to lose them.
        """
        self._meter.abandon_flush()
