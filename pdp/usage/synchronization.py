"""Takes what the meter has counted to the store, and brings what other processes have counted.

A decision waits for none of this. Every `FLUSH_INTERVAL_S` what was added since is added to the
store's totals, in one transaction, and these are read back. So

- a process that is killed loses what it has counted since: that interval and the time of a commit
  at most; one that drains loses nothing;
- of several processes each knows what the others have counted up to as long ago. What is allowed
  beyond a limit is at most what the others have let pass in that time.

Why not the `limits` library: it takes one window at a time, its counters are in memory or behind a
server (Redis, Memcached, MongoDB), and each hit is a call; a decision here is held against up to
seven windows for each of its subjects, at once, and must neither wait nor lose its counters.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from pdp.domain.usage import DAY_S, MINUTE_S, Calendar
from pdp.errors import PdpError
from pdp.usage.usage_windows import DAY, MONTH, SECOND

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pdp.admin.workspace import Workspace
    from pdp.domain.usage import Counter, CounterId, Counts
    from pdp.store.port import Reader, Transaction
    from pdp.usage.meter import Meter

FLUSH_INTERVAL_S: Final = 0.1
"""How often what was counted is written down."""

RETRY_INTERVAL_S: Final = 1.0
"""How long a store that cannot be written is left alone."""

PRUNE_INTERVAL_S: Final = 60.0
"""How often windows that have ended are removed from the store."""

_PAGE: Final = 1000

_log: Final = structlog.get_logger("pdp.limits")


def read_counters(reader: Reader, since: int) -> Sequence[Counter]:
    """Returns all counters that have changed since the stamp `since`."""
    found: list[Counter] = []
    while page := reader.counters(since, _PAGE):
        found += page
        since = page[-1].stamp
    return found


def write_counters(
    transaction: Transaction, additions: Mapping[CounterId, Counts], since: int, *, prune_at: float
) -> Sequence[Counter]:
    """Adds to the store's counters, and returns all that have changed since the stamp `since`.

    Args:
        transaction: to do it in.
        additions: what to add.
        since: what the caller has seen.
        prune_at: the time now, where windows that have ended are to be removed; else 0.
    """
    transaction.add_counts(additions)
    counters = read_counters(transaction, since)
    if prune_at:
        # One more window of each kind is kept, for a process whose clock is behind.
        calendar = Calendar.of(prune_at)
        transaction.forget_counters(SECOND, int(prune_at) - 2 * MINUTE_S)
        transaction.forget_counters(DAY, calendar.day_start - DAY_S)
        transaction.forget_counters(MONTH, Calendar.of(calendar.month_start - 1).month_start)
    return counters


class UsageSynchronizer:
    """The meter of a server, and what keeps it and the store of one mind.

    All but the store's part runs on the event loop's thread.
    """

    def __init__(self, workspace: Workspace, meter: Meter) -> None:
        self.meter = meter
        self._workspace = workspace
        self._syncing = asyncio.Lock()
        self._pruned_at = 0.0

    async def sync(self) -> None:
        """Writes down what was counted, and learns what others have counted.

        A caller that goes away does not stop it half-way, or the next time would add twice.

        Raises:
            StoreUnavailable: the store cannot be used; what was counted is kept for the next time.
        """
        await asyncio.shield(self._sync())

    async def _sync(self) -> None:
        async with self._syncing:
            meter, since = self.meter, self.meter.stamp
            additions = meter.begin()
            now = meter.clock()
            prune_at = now if now - self._pruned_at >= PRUNE_INTERVAL_S else 0.0

            def write(transaction: Transaction) -> Sequence[Counter]:
                return write_counters(transaction, additions, since, prune_at=prune_at)

            try:
                if additions:
                    counters = await self._workspace.record(write)
                    self._pruned_at = prune_at or self._pruned_at
                else:
                    counters = await self._workspace.read(lambda r: read_counters(r, since))
            except BaseException:
                # Where it was the commit that failed, some may be there already and be added twice:
                # rather too much than too little.
                meter.abandon()
                raise
            meter.finish(counters)

    async def keep(self) -> None:
        """Does so whenever there is anything to write or to learn, until cancelled."""
        seen = -1
        failing = False
        while True:
            await asyncio.sleep(RETRY_INTERVAL_S if failing else FLUSH_INTERVAL_S)
            try:
                version = self._workspace.data_version()
                if self.meter.unwritten or version != seen:
                    await self.sync()
                seen, failing = version, False
            except Exception as error:
                # Whatever it is, nothing else would ever tell other processes what was used.
                if not failing:
                    reason = error.message if isinstance(error, PdpError) else repr(error)
                    _log.error("counters of limits cannot be written down", reason=reason)
                failing = True

    async def close(self) -> None:
        """Writes down what is left; what cannot be is logged, and lost."""
        try:
            if self.meter.unwritten:
                await self.sync()
        except PdpError as error:
            _log.error("counters of limits are lost", reason=error.message)
