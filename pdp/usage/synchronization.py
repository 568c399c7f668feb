"""Keeps the meter of a server in step with the store.

A decision waits for none of this. Every `FLUSH_INTERVAL_S` the additions since the last flush are
added to the store's totals in one transaction, and the totals are read back. So

- a process that is killed loses its counts of one interval and of one commit at most; a process
  that drains loses nothing;
- each of several processes knows the counts of the others up to the same age. They can exceed a
  limit by at most what the others let pass in that time.

Why not the `limits` library: it takes one window at a time, its counters are in memory or behind a
server (Redis, Memcached, MongoDB), and each hit is a call. A decision here checks up to seven
windows for each of its subjects at once, and must neither wait nor lose its counters.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

import structlog

from pdp.errors import PdpError
from pdp.usage.flush import FLUSH_INTERVAL_S, Flusher

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pdp.domain.limits import ActiveLimit
    from pdp.domain.usage import UsageSnapshot
    from pdp.store.port import Reader, Transaction
    from pdp.usage.meter import Meter

RETRY_INTERVAL_S: Final = 1.0
"""How long the synchronizer waits before it uses a store again that could not be used."""

_log: Final = structlog.get_logger("pdp.limits")

T = TypeVar("T")


class CounterStore(Protocol):
    """The store, as the synchronizer uses it; `pdp.admin.workspace.Workspace` implements it."""

    async def read(self, work: Callable[[Reader], T]) -> T:
        """Runs `work` on a consistent view of the store and returns its result."""

    async def transact(self, work: Callable[[Transaction], T]) -> T:
        """Runs `work` in one transaction that changes no policy."""

    def data_version(self) -> int:
        """Returns a number that changes with every commit of any process."""


class UsageSynchronizer:
    """Keeps a meter in step with the store.

    Everything except the work on the store runs on the event loop's thread.
    """

    def __init__(self, store: CounterStore, meter: Meter) -> None:
        self.meter = meter
        self._store = store
        self._flusher = Flusher(meter)
        self._syncing = asyncio.Lock()

    @property
    def unwritten(self) -> int:
        """How many subjects and counters have additions that are not in the store yet."""
        return self.meter.unwritten

    async def start(self) -> None:
        """Reads the counters of the store; see `sync`."""
        await self.sync()

    async def spent(
        self, tenant_id: str, limits: Sequence[ActiveLimit], *, refresh: bool
    ) -> UsageSnapshot:
        """See `Metering`."""
        if refresh:
            await self.sync()
        return self.meter.spent(tenant_id, limits)

    async def sync(self) -> None:
        """Writes the additions to the store and reads the totals of all processes.

        If the caller is cancelled, the flush still finishes; otherwise the next one would add the
        same counts again.

        Raises:
            StoreUnavailable: the store cannot be used; the additions are kept for the next flush.
        """
        await asyncio.shield(self._sync())

    async def _sync(self) -> None:
        async with self._syncing:
            flush = self._flusher.begin()
            try:
                if flush.additions:
                    counters = await self._store.transact(flush.write)
                else:
                    counters = await self._store.read(flush.read)
            except BaseException:
                self._flusher.abandon()
                raise
            self._flusher.finish(flush, counters)

    async def run(self) -> None:
        """Synchronizes whenever this or another process has counted something, until cancelled."""
        last_version = -1
        failing = False
        while True:
            await asyncio.sleep(RETRY_INTERVAL_S if failing else FLUSH_INTERVAL_S)
            try:
                version = self._store.data_version()
                if self.meter.unwritten or version != last_version:
                    await self.sync()
                last_version, failing = version, False
            except Exception as error:
                # Never give up: without this loop, other processes would not learn of usage here.
                if not failing:
                    reason = error.message if isinstance(error, PdpError) else repr(error)
                    _log.error("cannot write the counters of limits", reason=reason)
                failing = True

    async def close(self) -> None:
        """Writes the last additions. If that fails, logs the error and drops them."""
        try:
            if self.meter.unwritten:
                await self.sync()
        except PdpError as error:
            _log.error("counters of limits are lost", reason=error.message)
