"""Exports events to SIEMs and alerts to webhooks, on a dedicated thread.

The thread runs its own event loop, so that no decision waits for an export. Every process queues
the records of tenants with alert rules. One process delivers, and reads the logs for all.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

import structlog

from pdp.export import sources as logs
from pdp.export.alerts.outbox import AlertMatcher, enqueue
from pdp.export.deliveries import RETRY_S, Deliveries, ExportSettings
from pdp.export.leader import Leadership
from pdp.export.spool import ALERTS_DROPPED, DEAD_DROPPED, Spool

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence

    from pdp.domain.decision_record import Recorded
    from pdp.export.siem.base import Connector
    from pdp.export.sources import Sources
    from pdp.export.spooled import DeliveryStatus

SPOOL_NAME: Final = "exports.db"
_LOCK_NAME: Final = "exports.lock"
MAX_QUEUED: Final = 50_000
"""The most records that may wait for the alert rules, if the disk is slow for some seconds."""

_BATCH: Final = 128
_CLOSE_TIMEOUT_S: Final = 10.0
"""How long `close` waits for the thread."""

_log: Final = structlog.get_logger("pdp.exports")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ExportStatus:
    """The status of exports at the last poll.

    Attributes:
        connectors: the delivery status of each connector by id.
        waiting_bytes: the size of the events that wait.
        alerts_waiting: alerts that are not delivered yet.
        alerts_dropped: alerts, and records under alert rules, that were dropped because too many
            waited.
        dead_letters: events and alerts that could not be delivered.
        dead_dropped: dead letters that were dropped because there were too many.
        faulty: the spool cannot be written.
    """

    connectors: Mapping[str, DeliveryStatus] = field(default_factory=dict)
    waiting_bytes: int = 0
    alerts_waiting: int = 0
    alerts_dropped: int = 0
    dead_letters: int = 0
    dead_dropped: int = 0
    faulty: bool = False

    @property
    def dropped(self) -> int:
        """Events that were dropped for lack of space."""
        return self.dead_dropped + sum(each.dropped for each in self.connectors.values())


class Exporter:
    """A consumer of recorded decisions. Any thread may create and close it.

    Args:
        settings: the settings of exports.
        connectors: the configured connectors by id.
    """

    name: Final = "exports"

    def __init__(self, settings: ExportSettings, connectors: Mapping[str, Connector]) -> None:
        self._settings = settings
        self._connectors = connectors
        self._sources: Sources | None = None
        self._queue: deque[Recorded] = deque()
        self._dropped_records = 0
        self._matcher = AlertMatcher()
        self._spool: Spool | None = None
        self._deliveries: Deliveries | None = None
        self._status = ExportStatus()
        self._faulty = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wakeup = asyncio.Event()
        self._ending = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="exports", daemon=True)

    def start(self, sources: Sources | None = None) -> None:
        """Starts to deliver.

        Args:
            sources: the logs to export; None for none.

        Raises:
            OSError, sqlite3.Error: connectors are configured, but the spool cannot be opened.
            StoreUnavailable: a log cannot be read.
        """
        self._sources = sources
        if self._connectors or (self._settings.directory / SPOOL_NAME).exists():
            spool = self._open_spool()
            if sources is not None and self._connectors:
                sources.start(spool)
            elif not self._connectors:
                logs.reset(spool)
        self._loop = asyncio.new_event_loop()
        self._thread.start()

    @property
    def status(self) -> ExportStatus:
        """The status at the last poll. Any thread may read it."""
        return self._status

    def consume(self, batch: Sequence[Recorded]) -> None:
        """Takes records that are in the audit log. Any thread may call it, and it never waits."""
        under_rules = [each for each in batch if each.policy.alert_rules]
        if len(self._queue) + len(under_rules) > MAX_QUEUED:
            self._dropped_records += len(under_rules)
        else:
            self._queue.extend(under_rules)
        if self._connectors or under_rules:
            self._call(self._wake)

    def _wake(self) -> None:
        self._wakeup.set()
        if self._deliveries is not None:
            self._deliveries.wake()

    def run(self, work: Coroutine[Any, Any, T]) -> asyncio.Future[T]:
        """Runs `work` on the exporter's event loop. The caller awaits it on another loop."""
        loop = self._loop
        assert loop is not None, "not started"  # noqa: S101
        return asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, loop))

    def close(self) -> None:
        """Stores the queued records in the spool, flushes deliveries, and stops the thread."""
        if self._thread.is_alive():
            self._call(self._ending.set)
            # A blocking call, for instance a name lookup, is abandoned.
            self._thread.join(_CLOSE_TIMEOUT_S)

    def _call(self, work: Callable[[], object]) -> None:
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(work)

    def _run(self) -> None:
        loop = self._loop
        assert loop is not None, "the thread starts after the loop exists"  # noqa: S101
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(self._main())

    async def _main(self) -> None:
        tasks = [asyncio.create_task(each) for each in (self._store_queue(), self._lead())]
        await self._ending.wait()
        tasks[0].cancel()
        with suppress(sqlite3.Error, OSError):
            while self._queue:
                self._store(self._next_batch())
        tasks[1].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.timing.grace_s):
                for connector in self._connectors.values():
                    await connector.close()
        if self._spool is not None:
            self._spool.close()

    async def _store_queue(self) -> None:
        """Stores the alerts of queued records in the spool."""
        while True:
            self._wakeup.clear()
            while self._queue:
                await self._store_with_retry(self._next_batch())
            await self._wakeup.wait()

    def _next_batch(self) -> list[Recorded]:
        return [self._queue.popleft() for _ in range(min(_BATCH, len(self._queue)))]

    async def _store_with_retry(self, batch: Sequence[Recorded]) -> None:
        while True:
            try:
                self._store(batch)
            except (sqlite3.Error, OSError) as error:
                if not self._faulty:
                    _log.error("the spool cannot be written", reason=str(error))
                self._faulty = True
            except Exception:
                # A faulty record must not block the others.
                _log.exception("records cannot be exported", records=len(batch))
                self._dropped_records += len(batch)
                return
            else:
                self._faulty = False
                await asyncio.sleep(0)
                return
            self._update_status()
            await asyncio.sleep(RETRY_S)

    def _store(self, batch: Sequence[Recorded]) -> None:
        matches = self._matcher.match(batch)
        if matches:
            settings = self._settings
            enqueue(self._open_spool(), matches, settings.window_s, settings.public_url)
        if self._deliveries is not None:
            self._deliveries.wake()

    def _open_spool(self) -> Spool:
        if self._spool is None:
            spool = Spool(self._settings.directory / SPOOL_NAME, self._settings.max_bytes)
            spool.attach(list(self._connectors))
            self._spool = spool
        return self._spool

    async def _lead(self) -> None:
        """Delivers as soon as this process is the leader."""
        leadership = Leadership(self._settings.directory / _LOCK_NAME)
        try:
            while self._spool is None or not self._is_leader(leadership):
                self._update_status()
                await asyncio.sleep(self._settings.timing.poll_s)
            self._deliveries = Deliveries(
                self._spool, self._connectors, self._settings, self._sources
            )
            await self._deliveries.run(self._update_status)
        finally:
            leadership.release()

    def _is_leader(self, leadership: Leadership) -> bool:
        try:
            return leadership.acquire()
        except OSError as error:
            if not self._faulty:
                _log.error("the lock of the exporter cannot be used", reason=str(error))
            self._faulty = True
            return False

    def _update_status(self) -> None:
        spool = self._spool
        if spool is None:
            self._status = ExportStatus(alerts_dropped=self._dropped_records, faulty=self._faulty)
            return
        with suppress(sqlite3.Error):
            self._status = ExportStatus(
                connectors=spool.statuses(),
                waiting_bytes=spool.waiting_bytes,
                alerts_waiting=spool.count_alerts(),
                alerts_dropped=self._dropped_records + (spool.mark(ALERTS_DROPPED) or 0),
                dead_letters=spool.count_dead_letters(),
                dead_dropped=spool.mark(DEAD_DROPPED) or 0,
                faulty=self._faulty or (self._deliveries is not None and self._deliveries.faulty),
            )
