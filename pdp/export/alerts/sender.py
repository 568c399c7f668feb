"""Sends the queued alerts.

The alerts of one webhook are sent one after the other. Webhooks do not wait for each other: a slow
one may belong to another tenant.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import structlog

from pdp.export.alerts import outbox
from pdp.export.siem.base import BatchRefused, DeliveryFailed

if TYPE_CHECKING:
    from pdp.export.alerts.webhook import WebhookClient
    from pdp.export.delivery_worker import DeliveryTiming
    from pdp.export.spool import Spool
    from pdp.export.spooled import Alert

MAX_ATTEMPTS: Final = 12
"""After this many attempts, which take three to seven minutes, an alert is a dead letter."""

_CONCURRENCY: Final = 32
"""The most webhooks that are posted to at the same time."""

_log: Final = structlog.get_logger("pdp.alerts")


class AlertSender:
    """Sends alerts until it is cancelled or ended."""

    def __init__(self, webhooks: WebhookClient, spool: Spool, timing: DeliveryTiming) -> None:
        self._webhooks = webhooks
        self._spool = spool
        self._timing = timing
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._wakeup = asyncio.Event()
        self._ending = False
        self._ended = asyncio.Event()

    def wake(self) -> None:
        """Signals that new alerts are queued."""
        self._wakeup.set()

    async def end(self) -> None:
        """Starts no further delivery, and waits for the current ones."""
        self._ending = True
        self._wakeup.set()
        await self._ended.wait()

    async def run(self) -> None:
        """Sends alerts when they are due, until `end` is called."""
        try:
            while not self._ending:
                self._wakeup.clear()
                outbox.close_windows(self._spool)
                self._start_deliveries()
                await self._wait()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        except asyncio.CancelledError:
            for task in self._tasks.values():
                task.cancel()
            raise
        self._ended.set()

    def _start_deliveries(self) -> None:
        """Starts a task for each webhook with due alerts, up to the limit."""
        free = _CONCURRENCY - len(self._tasks)
        for address in self._spool.due_addresses(self._tasks, free):
            self._tasks[address] = asyncio.create_task(self._deliver_all(address))
            self._tasks[address].add_done_callback(lambda _: self._wakeup.set())

    async def _wait(self) -> None:
        """Waits for a wake-up or for the poll interval. Raises the error of a failed task."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._timing.poll_s):
                await self._wakeup.wait()
        for address, task in list(self._tasks.items()):
            if task.done():
                del self._tasks[address]
                task.result()

    async def _deliver_all(self, address: str) -> None:
        while not self._ending:
            due = self._spool.due_alerts(1, address)
            if not due or not await self._deliver(due[0]):
                return

    async def _deliver(self, alert: Alert) -> bool:
        """Sends an alert. Returns whether to continue with the next alert of the webhook."""
        try:
            await self._webhooks.post(alert.address, alert.body)
        except BatchRefused as refused:
            self._give_up(alert, refused.reason)
        except DeliveryFailed as failed:
            self._retry_later(alert, failed.reason, failed.after_s)
            return False
        except Exception as error:
            # A bug must not block other alerts.
            _log.exception("an alert cannot be delivered", rule=alert.destination)
            self._retry_later(alert, type(error).__name__, None)
            return False
        else:
            self._spool.delete_alert(alert)
        return True

    def _retry_later(self, alert: Alert, reason: str, after_s: float | None) -> None:
        attempts = alert.attempts + 1
        if attempts >= MAX_ATTEMPTS:
            self._give_up(alert, f"{attempts} attempts: {reason}")
        else:
            wait = max(self._timing.backoff_s(attempts + 2), after_s or 0.0)
            self._spool.postpone_alert(alert, wait)

    def _give_up(self, alert: Alert, reason: str) -> None:
        self._spool.bury_alert(alert, reason)
        _log.error("an alert is a dead letter", rule=alert.destination, reason=reason)
