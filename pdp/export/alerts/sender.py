"""Delivers the alerts that wait: those of one webhook one after the other, and none of them waits
for another webhook, which is perhaps another tenant's.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import structlog

from pdp.export.alerts import outbox
from pdp.export.siem.base import BatchRefused, DeliveryFailed

if TYPE_CHECKING:
    from pdp.export.alerts.outbox import Alert
    from pdp.export.alerts.webhook import Webhooks
    from pdp.export.delivery_worker import Pace
    from pdp.export.spool import Spool

MAX_ATTEMPTS: Final = 12
"""After so many, which take three to seven minutes, an alert is a dead letter."""

_AT_ONCE: Final = 32
"""Webhooks that are posted to."""

_log: Final = structlog.get_logger("pdp.alerts")


class Sender:
    """Delivers alerts, until it is cancelled."""

    def __init__(self, webhooks: Webhooks, spool: Spool, pace: Pace) -> None:
        self._webhooks = webhooks
        self._spool = spool
        self._pace = pace
        self._busy: dict[str, asyncio.Task[None]] = {}
        self._news = asyncio.Event()
        self._ending = False
        self._ended = asyncio.Event()

    def wake(self) -> None:
        """Says that there is something new."""
        self._news.set()

    async def end(self) -> None:
        """Begins no other delivery, and waits for the end of those under way."""
        self._ending = True
        self._news.set()
        await self._ended.wait()

    async def run(self) -> None:
        """Delivers what is due, and what comes, until it is to end."""
        try:
            while not self._ending:
                self._news.clear()
                outbox.close_windows(self._spool)
                self._begin()
                await self._wait()
            await asyncio.gather(*self._busy.values(), return_exceptions=True)
        except asyncio.CancelledError:
            for task in self._busy.values():
                task.cancel()
            raise
        self._ended.set()

    def _begin(self) -> None:
        """Begins to deliver to each webhook that something is due for, as long as there is room."""
        room = _AT_ONCE - len(self._busy)
        for address in outbox.due_addresses(self._spool, self._busy, room):
            self._busy[address] = asyncio.create_task(self._deliver_all(address))
            self._busy[address].add_done_callback(lambda _: self._news.set())

    async def _wait(self) -> None:
        """Waits for news, or until something may be due; raises what a delivery has raised."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._pace.poll_s):
                await self._news.wait()
        for address, task in list(self._busy.items()):
            if task.done():
                del self._busy[address]
                task.result()

    async def _deliver_all(self, address: str) -> None:
        while not self._ending:
            due = outbox.due_alerts(self._spool, 1, address)
            if not due or not await self._deliver(due[0]):
                return

    async def _deliver(self, alert: Alert) -> bool:
        """Delivers an alert; returns whether the webhook is to be tried with the next one."""
        try:
            await self._webhooks.post(alert.address, alert.body)
        except BatchRefused as refused:
            self._give_up(alert, refused.reason)
        except DeliveryFailed as failed:
            self._try_later(alert, failed.reason, failed.after_s)
            return False
        except Exception as error:
            # A fault of ours, which must not keep other alerts from being told.
            _log.exception("an alert cannot be delivered", rule=alert.destination)
            self._try_later(alert, type(error).__name__, None)
            return False
        else:
            outbox.delivered(self._spool, alert)
        return True

    def _try_later(self, alert: Alert, reason: str, after_s: float | None) -> None:
        attempts = alert.attempts + 1
        if attempts >= MAX_ATTEMPTS:
            self._give_up(alert, f"{attempts} attempts: {reason}")
        else:
            wait = max(self._pace.after(attempts + 2), after_s or 0.0)
            outbox.put_off(self._spool, alert, wait)

    def _give_up(self, alert: Alert, reason: str) -> None:
        outbox.give_up(self._spool, alert, reason)
        _log.error("an alert is a dead letter", rule=alert.destination, reason=reason)
