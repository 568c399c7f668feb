"""What is done by the one process that delivers: a courier a connector, alerts, admin changes."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from pdp.audit.alerts.sender import Sender
from pdp.audit.alerts.webhook import Webhooks
from pdp.audit.courier import Courier, Pace
from pdp.audit.ocsf_changes import change_uid, event_of
from pdp.audit.siem.text import compact

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from pathlib import Path

    from pdp.audit.alerts.addresses import Network
    from pdp.audit.siem.base import Connector
    from pdp.audit.spool import Spool
    from pdp.domain.record import Change

CHANGES: Final = "changes"
"""The spool's mark of the last revision whose change was exported."""

_AT_ONCE: Final = 128
_log: Final = structlog.get_logger("pdp.exports")


class ChangeLog(Protocol):
    """The change log, as the server has it."""

    @property
    def revision(self) -> int:
        """The last revision that is known."""

    def changes(self, since: int, limit: int) -> Awaitable[Sequence[Change]]:
        """Returns up to `limit` changes after `since`, oldest first; awaited in the exporter."""


@dataclass(frozen=True, slots=True)
class ExportSettings:
    """How exports are done.

    Attributes:
        directory: where the spool lies.
        max_bytes: of the events that wait in it.
        window_s: how long decisions alike are alerted of once.
        allowed: networks that are not public and that webhooks may be in.
        pace: how fast things are done.
    """

    directory: Path
    max_bytes: int = 1_000_000_000
    window_s: float = 300.0
    allowed: Sequence[Network] = ()
    pace: Pace = field(default_factory=Pace)


class Deliveries:
    """Couriers for all connectors, the sender of alerts, and the reader of the change log."""

    def __init__(
        self,
        spool: Spool,
        connectors: Mapping[str, Connector],
        settings: ExportSettings,
        changes: ChangeLog | None,
    ) -> None:
        self._spool = spool
        self._pace = settings.pace
        self._changes = changes if connectors else None
        self._webhooks = Webhooks(settings.allowed)
        self._couriers = [
            Courier(each, made, spool, self._pace) for each, made in connectors.items()
        ]
        self._sender = Sender(self._webhooks, spool, self._pace)

    def wake(self) -> None:
        """Says that there is something new in the spool."""
        for courier in self._couriers:
            courier.wake()
        self._sender.wake()

    async def run(self, look: Callable[[], None]) -> None:
        """Delivers until it is cancelled, and then what waits as far as it goes in a short time.

        Args:
            look: called now and then, to see how things stand.
        """
        work = [*(each.run for each in self._couriers), self._sender.run, self._read_changes]
        running = [asyncio.create_task(_kept(each)) for each in work]
        try:
            while True:
                look()
                await asyncio.sleep(self._pace.poll_s)
        finally:
            await self._wind_up()
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            await self._webhooks.close()

    async def _wind_up(self) -> None:
        for courier in self._couriers:
            courier.hurry()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._pace.grace_s):
                await asyncio.gather(self._sender.end(), *(each.idle() for each in self._couriers))

    async def _read_changes(self) -> None:
        """Exports admin changes from where the last one who delivered has left off."""
        log, spool = self._changes, self._spool
        if log is None:
            return
        since = spool.mark(CHANGES)
        if since is None:
            # What was written before there was anyone to tell of it is no news.
            since = log.revision
            spool.append([], {CHANGES: since})
        while True:
            if log.revision > since:
                changes = await log.changes(since, _AT_ONCE)
                for change in changes:
                    since = change.revision
                spool.append(
                    [(change_uid(each), each.at, compact(event_of(each))) for each in changes],
                    {CHANGES: since},
                )
                self.wake()
            await asyncio.sleep(self._pace.poll_s)


async def _kept(work: Callable[[], Awaitable[None]]) -> None:
    """Runs `work` again whenever it fails: a fault must not end deliveries for good."""
    while True:
        try:
            await work()
        except Exception:
            _log.exception("deliveries were interrupted")
            await asyncio.sleep(1.0)
        else:
            return
