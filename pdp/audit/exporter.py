"""Takes recorded decisions into the spool, from where they go to SIEMs and, as alerts, to webhooks.

All of it is done on a thread of its own with an event loop of its own, so that no decision waits
for any of it. Every process puts what it has recorded into the spool; one of them delivers.
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

from pdp.audit.alerts import outbox
from pdp.audit.dead_letters import count_dead
from pdp.audit.deliveries import Deliveries, ExportSettings
from pdp.audit.leader import Leadership
from pdp.audit.ocsf_decisions import events_of
from pdp.audit.siem.text import compact
from pdp.audit.spool import Spool, Standing

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence

    from pdp.audit.deliveries import ChangeLog
    from pdp.audit.siem.base import Connector
    from pdp.domain.decision_record import Recorded

SPOOL_NAME: Final = "exports.db"
_LOCK_NAME: Final = "exports.lock"
MAX_HANDED: Final = 50_000
"""Records that may be on their way to the spool: what the disk cannot take for seconds."""

RETRY_S: Final = 1.0
"""How long a spool that cannot be written is left alone."""

_AT_ONCE: Final = 128

_log: Final = structlog.get_logger("pdp.exports")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Exports:
    """How exports stand, as of a moment ago.

    Attributes:
        standings: of the connectors, by id.
        held_bytes: of the events that wait.
        unspooled: records that never came to the spool, for want of room.
        alerts_waiting, alerts_dropped: alerts that are not delivered yet; that nobody is told of.
        dead_letters: events and alerts that nobody would take.
        faulty: the spool cannot be written.
    """

    standings: Mapping[str, Standing] = field(default_factory=dict)
    held_bytes: int = 0
    unspooled: int = 0
    alerts_waiting: int = 0
    alerts_dropped: int = 0
    dead_letters: int = 0
    faulty: bool = False


class Exporter:
    """A consumer of recorded decisions. Made and closed on any thread.

    Args:
        settings: how.
        connectors: those that have settings, by id.
    """

    name: Final = "exports"

    def __init__(self, settings: ExportSettings, connectors: Mapping[str, Connector]) -> None:
        self._settings = settings
        self._connectors = connectors
        self._changes: ChangeLog | None = None
        self._handed: deque[Recorded] = deque()
        self._unspooled = 0
        self._matcher = outbox.Matcher()
        self._spool: Spool | None = None
        self._deliveries: Deliveries | None = None
        self._exports = Exports()
        self._faulty = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._news = asyncio.Event()
        self._ending = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="exports", daemon=True)

    def start(self, changes: ChangeLog | None = None) -> None:
        """Begins to deliver what is in the spool, and what comes.

        Args:
            changes: the log whose entries are exported; None for none.

        Raises:
            OSError, sqlite3.Error: connectors are configured, and the spool cannot be opened.
        """
        self._changes = changes
        if self._connectors or (self._settings.directory / SPOOL_NAME).exists():
            self._open()
        self._loop = asyncio.new_event_loop()
        self._thread.start()

    @property
    def exports(self) -> Exports:
        """How exports stand, as of a moment ago; read from any thread."""
        return self._exports

    def consume(self, batch: Sequence[Recorded]) -> None:
        """Takes records; called on any thread, and never waits."""
        if not self._connectors:
            batch = [each for each in batch if each.policy.alert_rules]
            if not batch:
                return
        if len(self._handed) + len(batch) > MAX_HANDED:
            self._unspooled += len(batch)
            return
        self._handed.extend(batch)
        self._call(self._news.set)

    def run(self, work: Coroutine[Any, Any, T]) -> asyncio.Future[T]:
        """Runs `work` where the connectors live; awaited on the caller's own event loop."""
        loop = self._loop
        assert loop is not None, "not started"  # noqa: S101
        return asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, loop))

    def close(self) -> None:
        """Puts all records into the spool, lets deliveries under way end, and ends."""
        if self._thread.is_alive():
            self._call(self._ending.set)
            self._thread.join()

    def _call(self, work: Callable[[], object]) -> None:
        if self._loop is not None:
            with suppress(RuntimeError):  # it has ended, and with it whoever would listen
                self._loop.call_soon_threadsafe(work)

    def _run(self) -> None:
        loop = self._loop
        assert loop is not None, "the thread is started with it"  # noqa: S101
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(self._main())

    async def _main(self) -> None:
        tasks = [asyncio.create_task(each) for each in (self._take_in(), self._lead())]
        await self._ending.wait()
        tasks[0].cancel()
        with suppress(sqlite3.Error, OSError):
            while self._handed:
                self._put(self._next())
        tasks[1].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for connector in self._connectors.values():
            await connector.close()
        if self._spool is not None:
            self._spool.close()

    async def _take_in(self) -> None:
        """Puts what is handed over into the spool; what cannot be put there now is kept."""
        while True:
            self._news.clear()
            while self._handed:
                await self._put_somehow(self._next())
            await self._news.wait()

    def _next(self) -> list[Recorded]:
        return [self._handed.popleft() for _ in range(min(_AT_ONCE, len(self._handed)))]

    async def _put_somehow(self, batch: Sequence[Recorded]) -> None:
        while True:
            try:
                self._put(batch)
            except (sqlite3.Error, OSError) as error:
                if not self._faulty:
                    _log.error("exports cannot be written down", reason=str(error))
                self._faulty = True
            except Exception:
                # A record that cannot be told of must not keep all others from being.
                _log.exception("records cannot be exported", records=len(batch))
                self._unspooled += len(batch)
                return
            else:
                self._faulty = False
                await asyncio.sleep(0)
                return
            self._look()
            await asyncio.sleep(RETRY_S)

    def _put(self, batch: Sequence[Recorded]) -> None:
        spool = self._open()
        events = [
            (event["metadata"]["uid"], record.time, compact(event))
            for record, _ in (batch if self._connectors else ())
            for event in events_of(record)
        ]
        met = self._matcher.met(batch)
        with spool.transaction():
            if events:
                spool.append(events)
            if met:
                outbox.enqueue(spool, met, self._settings.window_s)
        if self._deliveries is not None:
            self._deliveries.wake()

    def _open(self) -> Spool:
        if self._spool is None:
            spool = Spool(self._settings.directory / SPOOL_NAME, self._settings.max_bytes)
            spool.attach(list(self._connectors))
            self._spool = spool
        return self._spool

    async def _lead(self) -> None:
        """Delivers, as soon as this process is the one that does."""
        leadership = Leadership(self._settings.directory / _LOCK_NAME)
        try:
            while self._spool is None or not leadership.take():
                self._look()
                await asyncio.sleep(self._settings.pace.poll_s)
            self._deliveries = Deliveries(
                self._spool, self._connectors, self._settings, self._changes
            )
            await self._deliveries.run(self._look)
        finally:
            leadership.give_up()

    def _look(self) -> None:
        """Sees how exports stand, for whoever asks."""
        spool = self._spool
        if spool is None:
            self._exports = Exports(unspooled=self._unspooled, faulty=self._faulty)
            return
        with suppress(sqlite3.Error):
            self._exports = Exports(
                standings=spool.standings(),
                held_bytes=spool.held_bytes,
                unspooled=self._unspooled,
                alerts_waiting=outbox.count_waiting(spool),
                alerts_dropped=spool.mark(outbox.DROPPED) or 0,
                dead_letters=count_dead(spool),
                faulty=self._faulty,
            )
