"""The tasks of the process that delivers: read the logs, deliver to each connector, send alerts."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import structlog

from pdp.errors import PdpError
from pdp.export.alerts.addresses import ANY_PUBLIC, AllowedDestinations
from pdp.export.alerts.sender import AlertSender
from pdp.export.alerts.webhook import WebhookClient
from pdp.export.delivery_worker import DeliveryTiming, DeliveryWorker

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    from pdp.export.siem.base import Connector
    from pdp.export.sources import Sources
    from pdp.export.spool import Spool

RETRY_S: Final = 1.0
"""The pause after the spool or a log could not be used."""

_STORAGE_ERRORS: Final = (sqlite3.Error, OSError, PdpError)

_log: Final = structlog.get_logger("pdp.exports")


@dataclass(frozen=True, slots=True)
class ExportSettings:
    """The settings of exports.

    Attributes:
        directory: the directory of the spool.
        max_bytes: the limit for the events that wait in the spool.
        window_s: similar alerts are sent once in this time.
        destinations: which webhooks are allowed.
        timing: the timing of deliveries.
        public_url: the URL of the server, for links in alerts; empty for none.
    """

    directory: Path
    max_bytes: int = 1_000_000_000
    window_s: float = 300.0
    destinations: AllowedDestinations = ANY_PUBLIC
    timing: DeliveryTiming = field(default_factory=DeliveryTiming)
    public_url: str = ""


class Deliveries:
    """Runs a worker for each connector, the sender of alerts, and the reader of both logs."""

    def __init__(
        self,
        spool: Spool,
        connectors: Mapping[str, Connector],
        settings: ExportSettings,
        sources: Sources | None,
    ) -> None:
        self._faulty = False
        self._spool = spool
        self._timing = settings.timing
        self._sources = sources if connectors else None
        self._webhooks = WebhookClient(settings.destinations)
        self._workers = [
            DeliveryWorker(name, connector, spool, self._timing)
            for name, connector in connectors.items()
        ]
        self._sender = AlertSender(self._webhooks, spool, self._timing)
        self._wakeup = asyncio.Event()

    @property
    def faulty(self) -> bool:
        """Whether deliveries are blocked because the spool or a log cannot be used."""
        return self._faulty or any(each.stuck for each in self._workers)

    def wake(self) -> None:
        """Signals that a log or the spool has new entries."""
        self._wakeup.set()
        self._sender.wake()

    async def run(self, on_poll: Callable[[], None]) -> None:
        """Delivers until it is cancelled, then flushes for `grace_s` seconds.

        Args:
            on_poll: called once per poll interval.
        """
        work = [*(each.run for each in self._workers), self._sender.run, self._read_logs]
        tasks = [asyncio.create_task(self._restart_on_failure(each)) for each in work]
        try:
            while True:
                on_poll()
                await asyncio.sleep(self._timing.poll_s)
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._timing.grace_s):
                    await self._flush(tasks[-1])
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._webhooks.close()

    async def _flush(self, reader: asyncio.Task[None]) -> None:
        reader.cancel()
        more = self._sources is not None
        with suppress(*_STORAGE_ERRORS):
            while more and self._sources is not None:
                more = self._sources.export_records(self._spool)
                await asyncio.sleep(0)
        for worker in self._workers:
            worker.flush()
        await asyncio.gather(self._sender.end(), *(each.idle() for each in self._workers))

    async def _read_logs(self) -> None:
        """Exports new entries of both logs."""
        sources = self._sources
        while sources is not None:
            self._wakeup.clear()
            while sources.export_records(self._spool):
                self._wake_workers()
                await asyncio.sleep(0)
            while await sources.export_changes(self._spool):
                self._wake_workers()
            self._faulty = False
            self._wake_workers()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._timing.poll_s):
                    await self._wakeup.wait()
                # More records often follow the first one; one commit can take them all.
                await asyncio.sleep(self._timing.gather_s)

    def _wake_workers(self) -> None:
        for worker in self._workers:
            worker.wake()

    async def _restart_on_failure(self, work: Callable[[], Awaitable[None]]) -> None:
        """Runs `work` again whenever it fails, so that an error never stops deliveries for good."""
        while True:
            try:
                await work()
            except _STORAGE_ERRORS as error:
                if not self._faulty:
                    _log.error("the spool or a log cannot be used", reason=str(error))
                self._faulty = True
                await asyncio.sleep(RETRY_S)
            except Exception:
                _log.exception("a delivery task failed and is restarted")
                await asyncio.sleep(RETRY_S)
            else:
                return
