"""Delivers the alerts that wait, those of one webhook one after the other."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import structlog

from pdp.audit.alerts import outbox
from pdp.audit.siem.base import BatchRefused, DeliveryFailed

if TYPE_CHECKING:
    from pdp.audit.alerts.outbox import Alert
    from pdp.audit.alerts.webhook import Webhooks
    from pdp.audit.courier import Pace
    from pdp.audit.spool import Spool

MAX_ATTEMPTS: Final = 12
"""After so many, which take three to seven minutes, an alert is a dead letter."""

_AT_ONCE: Final = 32

_log: Final = structlog.get_logger("pdp.alerts")


class Sender:
    """Delivers alerts, until it is cancelled."""

    def __init__(self, webhooks: Webhooks, spool: Spool, pace: Pace) -> None:
        self._webhooks = webhooks
        self._spool = spool
        self._pace = pace
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
        while not self._ending:
            self._news.clear()
            outbox.close_windows(self._spool)
            if await self.flush():
                continue
            with suppress(TimeoutError):  # something may be due by then
                async with asyncio.timeout(self._pace.poll_s):
                    await self._news.wait()
        self._ended.set()

    async def flush(self) -> bool:
        """Delivers what is due; returns whether there was anything."""
        due = outbox.due_alerts(self._spool, _AT_ONCE)
        by_address: dict[str, list[Alert]] = {}
        for alert in due:
            by_address.setdefault(alert.address, []).append(alert)
        await asyncio.gather(*(self._deliver_all(each) for each in by_address.values()))
        return bool(due)

    async def _deliver_all(self, alerts: list[Alert]) -> None:
        for alert in alerts:
            if self._ending or not await self._deliver(alert):
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
