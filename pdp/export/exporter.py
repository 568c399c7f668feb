"""What leaves the server: events to SIEMs, alerts to webhooks, on a thread of its own.

The thread has an event loop of its own, so that no decision waits for any of it. Every process
hands over what it has recorded under alert rules; one of them delivers, and reads the logs for all.
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

from pdp.export.alerts import outbox
from pdp.export.dead_letters import count_dead
from pdp.export.deliveries import RETRY_S, Deliveries, ExportSettings
from pdp.export.leader import Leadership
from pdp.export.sources import forget
from pdp.export.spool import DEAD_DROPPED, Spool, Standing

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence

    from pdp.domain.decision_record import Recorded
    from pdp.export.siem.base import Connector
    from pdp.export.sources import Sources

SPOOL_NAME: Final = "exports.db"
_LOCK_NAME: Final = "exports.lock"
MAX_HANDED: Final = 50_000
"""Records under alert rules that may be on their way: what the disk cannot take for seconds."""

_AT_ONCE: Final = 128
_END_S: Final = 10.0
"""How long the thread may take to end, beyond which the process ends without it."""

_log: Final = structlog.get_logger("pdp.exports")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Exports:
    """How exports stand, as of a moment ago.

    Attributes:
        standings: of the connectors, by id.
        held_bytes: of the events that wait.
        alerts_waiting, alerts_dropped: alerts that are not delivered yet; records and alerts that
            nobody is told of, for want of room.
        dead_letters: events and alerts that nobody would take.
        dead_dropped: of them, those that went for want of room.
        faulty: the spool cannot be written.
    """

    standings: Mapping[str, Standing] = field(default_factory=dict)
    held_bytes: int = 0
    alerts_waiting: int = 0
    alerts_dropped: int = 0
    dead_letters: int = 0
    dead_dropped: int = 0
    faulty: bool = False

    @property
    def dropped(self) -> int:
        """Events that no SIEM will ever have, for want of room."""
        return self.dead_dropped + sum(each.dropped for each in self.standings.values())


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
        self._sources: Sources | None = None
        self._handed: deque[Recorded] = deque()
        self._untold = 0
        self._matcher = outbox.Matcher()
        self._spool: Spool | None = None
        self._deliveries: Deliveries | None = None
        self._exports = Exports()
        self._faulty = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._news = asyncio.Event()
        self._ending = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="exports", daemon=True)

    def start(self, sources: Sources | None = None) -> None:
        """Begins to deliver what is in the spool, and what comes.

        Args:
            sources: the logs whose entries are events; None for none.

        Raises:
            OSError, sqlite3.Error: connectors are configured, and the spool cannot be opened.
            StoreUnavailable: a log cannot be read.
        """
        self._sources = sources
        if self._connectors or (self._settings.directory / SPOOL_NAME).exists():
            spool = self._open()
            if sources is not None and self._connectors:
                sources.begin(spool)
            elif not self._connectors:
                forget(spool)
        self._loop = asyncio.new_event_loop()
        self._thread.start()

    @property
    def exports(self) -> Exports:
        """How exports stand, as of a moment ago; read from any thread."""
        return self._exports

    def consume(self, batch: Sequence[Recorded]) -> None:
        """Takes records that are in their log; called on any thread, and never waits."""
        under_rules = [each for each in batch if each.policy.alert_rules]
        if len(self._handed) + len(under_rules) > MAX_HANDED:
            self._untold += len(under_rules)
        else:
            self._handed.extend(under_rules)
        if self._connectors or under_rules:
            self._call(self._told)

    def _told(self) -> None:
        self._news.set()
        if self._deliveries is not None:
            self._deliveries.wake()

    def run(self, work: Coroutine[Any, Any, T]) -> asyncio.Future[T]:
        """Runs `work` where the connectors live; awaited on the caller's own event loop."""
        loop = self._loop
        assert loop is not None, "not started"  # noqa: S101
        return asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, loop))

    def close(self) -> None:
        """Puts what was handed over into the spool, lets deliveries under way end, and ends."""
        if self._thread.is_alive():
            self._call(self._ending.set)
            # What hangs, a name that is being resolved for instance, ends with the process.
            self._thread.join(_END_S)

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
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.pace.grace_s):
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
                self._untold += len(batch)
                return
            else:
                self._faulty = False
                await asyncio.sleep(0)
                return
            self._look()
            await asyncio.sleep(RETRY_S)

    def _put(self, batch: Sequence[Recorded]) -> None:
        met = self._matcher.met(batch)
        if met:
            outbox.enqueue(self._open(), met, self._settings.window_s)
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
            while self._spool is None or not self._leads(leadership):
                self._look()
                await asyncio.sleep(self._settings.pace.poll_s)
            self._deliveries = Deliveries(
                self._spool, self._connectors, self._settings, self._sources
            )
            await self._deliveries.run(self._look)
        finally:
            leadership.give_up()

    def _leads(self, leadership: Leadership) -> bool:
        try:
            return leadership.take()
        except OSError as error:
            if not self._faulty:
                _log.error("nothing can be delivered", reason=str(error))
            self._faulty = True
            return False

    def _look(self) -> None:
        """Sees how exports stand, for whoever asks."""
        spool = self._spool
        if spool is None:
            self._exports = Exports(alerts_dropped=self._untold, faulty=self._faulty)
            return
        with suppress(sqlite3.Error):
            self._exports = Exports(
                standings=spool.standings(),
                held_bytes=spool.held_bytes,
                alerts_waiting=outbox.count_waiting(spool),
                alerts_dropped=self._untold + (spool.mark(outbox.DROPPED) or 0),
                dead_letters=count_dead(spool),
                dead_dropped=spool.mark(DEAD_DROPPED) or 0,
                faulty=self._faulty or (self._deliveries is not None and self._deliveries.faulty),
            )
