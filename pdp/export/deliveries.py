"""What is done by the one process that delivers: logs are read, a courier a connector, alerts."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import structlog

from pdp.errors import PdpError
from pdp.export.alerts.addresses import EVERYWHERE, Reach
from pdp.export.alerts.sender import Sender
from pdp.export.alerts.webhook import Webhooks
from pdp.export.delivery_worker import DeliveryWorker, Pace

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    from pdp.export.siem.base import Connector
    from pdp.export.sources import Sources
    from pdp.export.spool import Spool

RETRY_S: Final = 1.0
"""How long a file that cannot be used is left alone."""

_TROUBLES: Final = (sqlite3.Error, OSError, PdpError)
"""What a disk may do to us."""

_log: Final = structlog.get_logger("pdp.exports")


@dataclass(frozen=True, slots=True)
class ExportSettings:
    """How exports are done.

    Attributes:
        directory: where the spool lies.
        max_bytes: of the events that wait in it.
        window_s: how long decisions alike are alerted of once.
        reach: where webhooks may lead.
        pace: how fast things are done.
    """

    directory: Path
    max_bytes: int = 1_000_000_000
    window_s: float = 300.0
    reach: Reach = EVERYWHERE
    pace: Pace = field(default_factory=Pace)


class Deliveries:
    """Couriers for all connectors, the sender of alerts, and the readers of both logs."""

    def __init__(
        self,
        spool: Spool,
        connectors: Mapping[str, Connector],
        settings: ExportSettings,
        sources: Sources | None,
    ) -> None:
        self._faulty = False
        self._spool = spool
        self._pace = settings.pace
        self._sources = sources if connectors else None
        self._webhooks = Webhooks(settings.reach)
        self._couriers = [
            DeliveryWorker(each, made, spool, self._pace) for each, made in connectors.items()
        ]
        self._sender = Sender(self._webhooks, spool, self._pace)
        self._news = asyncio.Event()

    @property
    def faulty(self) -> bool:
        """Whether something of it cannot be done now, for want of a disk."""
        return self._faulty or any(each.stuck for each in self._couriers)

    def wake(self) -> None:
        """Says that there is something new in the logs or in the spool."""
        self._news.set()
        self._sender.wake()

    async def run(self, look: Callable[[], None]) -> None:
        """Delivers until it is cancelled, and then what waits as far as it goes in a short time.

        Args:
            look: called now and then, to see how things stand.
        """
        work = [*(each.run for each in self._couriers), self._sender.run, self._read_on]
        running = [asyncio.create_task(self._kept(each)) for each in work]
        try:
            while True:
                look()
                await asyncio.sleep(self._pace.poll_s)
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pace.grace_s):
                    await self._wind_up(running[-1])
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            await self._webhooks.close()

    async def _wind_up(self, reader: asyncio.Task[None]) -> None:
        reader.cancel()
        more = self._sources is not None
        with suppress(*_TROUBLES):
            while more and self._sources is not None:
                more = self._sources.take_records(self._spool)
                await asyncio.sleep(0)
        for courier in self._couriers:
            courier.hurry()
        await asyncio.gather(self._sender.end(), *(each.idle() for each in self._couriers))

    async def _read_on(self) -> None:
        """Reads both logs on, whenever there is something new in one."""
        sources = self._sources
        while sources is not None:
            self._news.clear()
            while sources.take_records(self._spool):
                self._wake_couriers()
                await asyncio.sleep(0)
            while await sources.take_changes(self._spool):
                self._wake_couriers()
            self._faulty = False
            self._wake_couriers()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pace.poll_s):
                    await self._news.wait()
                # Who comes alone is often followed: one commit for all of them.
                await asyncio.sleep(self._pace.gather_s)

    def _wake_couriers(self) -> None:
        for courier in self._couriers:
            courier.wake()

    async def _kept(self, work: Callable[[], Awaitable[None]]) -> None:
        """Runs `work` again whenever it fails: a fault must not end deliveries for good."""
        while True:
            try:
                await work()
            except _TROUBLES as error:
                if not self._faulty:
                    _log.error("exports cannot be written down", reason=str(error))
                self._faulty = True
                await asyncio.sleep(RETRY_S)
            except Exception:
                _log.exception("deliveries were interrupted")
                await asyncio.sleep(RETRY_S)
            else:
                return
