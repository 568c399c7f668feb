"""Takes the events of one connector from the spool to the product: in order, each once as far as
the protocol lets one tell, for as long as it takes.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from pdp.export.siem.base import BatchRefused, DeliveryFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pdp.export.siem.base import Connector, Event, Refusal
    from pdp.export.spool import Spool

_log: Final = structlog.get_logger("pdp.siem")


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast things are done, in seconds.

    Attributes:
        linger_s: how long a batch that is not full waits for more.
        poll_s: how often the spool is looked into for what other processes have put there.
        first_s, most_s: the bounds of the time between two attempts, which doubles.
        gather_s: how long more records are waited for where some have come.
        grace_s: what deliveries under way, and what waits for a batch, get when the server ends.
    """

    linger_s: float = 5.0
    poll_s: float = 0.5
    first_s: float = 0.5
    most_s: float = 60.0
    gather_s: float = 0.05
    grace_s: float = 3.0

    def after(self, attempts: int) -> float:
        """Returns how long to wait after so many failed attempts: at random up to a bound that
        doubles, so that servers which failed together do not come back together.
        """
        bound = min(self.most_s, self.first_s * 2 ** min(attempts - 1, 30))
        return random.uniform(bound / 2, bound)  # noqa: S311 - no secret


class DeliveryWorker:
    """Delivers to one connector, until it is cancelled.

    Attributes:
        stuck: what was delivered cannot be noted, so nothing more is.
    """

    def __init__(self, connector_id: str, connector: Connector, spool: Spool, pace: Pace) -> None:
        self.id = connector_id
        self._connector = connector
        self._spool = spool
        self._pace = pace
        self._news = asyncio.Event()
        self._hurried = False
        self._failing = False
        self.stuck = False
        self._idle = asyncio.Event()

    def wake(self) -> None:
        """Says that there is something new in the spool."""
        self._news.set()

    def hurry(self) -> None:
        """Has what there is delivered without waiting for more, as far as the product takes it."""
        self._hurried = True
        self._news.set()
        if self._failing:
            self._idle.set()

    async def run(self) -> None:
        """Delivers what there is, and what comes."""
        while True:
            events = self._next()
            if self._is_due(events):
                await self._deliver(events)
                continue
            self._news.clear()
            if self._hurried:
                self._idle.set()
            try:
                async with asyncio.timeout(self._pace.poll_s):
                    await self._news.wait()
            except TimeoutError:
                continue  # another process may have put something there

    async def idle(self) -> None:
        """Waits until nothing waits, or nothing is taken, once `hurry` was called."""
        await self._idle.wait()

    def _next(self) -> list[Event]:
        return self._spool.batch(self.id, self._connector.max_events, self._connector.max_bytes)

    def _is_due(self, events: Sequence[Event]) -> bool:
        if not events:
            return False
        full = len(events) == self._connector.max_events
        size = sum(len(each.body) for each in events)
        waited = self._spool.queued_since(events[0].seq)
        return (
            full
            or self._hurried
            or size * 2 > self._connector.max_bytes
            or time.time() - waited >= self._pace.linger_s
        )

    async def _deliver(self, events: Sequence[Event]) -> None:
        """Delivers a batch; where it is refused, its halves, until what is at fault is found."""
        attempts = 0
        while True:
            try:
                refusals = await self._send(events)
            except BatchRefused as refused:
                await self._divide(events, refused.reason)
                return
            except DeliveryFailed as failed:
                attempts += 1
                self._failing = True
                if self._hurried:
                    self._idle.set()
                await asyncio.sleep(self._note(attempts, failed.reason, failed.after_s))
                continue
            self._failing = False
            if attempts:
                _log.info("events are delivered again", connector=self.id)
            await self._acknowledge(
                events, [(events[each.position], each.reason) for each in refusals]
            )
            return

    async def _send(self, events: Sequence[Event]) -> Sequence[Refusal]:
        try:
            return await self._connector.send(events)
        except (DeliveryFailed, BatchRefused):
            raise
        except Exception as error:
            # A fault of ours: the events stay, and whoever reads the log can do something.
            _log.exception("a connector failed", connector=self.id)
            raise DeliveryFailed(f"a fault of the connector: {type(error).__name__}") from error

    async def _divide(self, events: Sequence[Event], reason: str) -> None:
        if len(events) == 1:
            await self._acknowledge(events, [(events[0], reason)])
            return
        middle = len(events) // 2
        await self._deliver(events[:middle])
        await self._deliver(events[middle:])

    async def _acknowledge(
        self, events: Sequence[Event], refused: Sequence[tuple[Event, str]]
    ) -> None:
        """Notes that events were taken, however long that takes: else they would be sent again."""
        if refused:
            _log.error(
                "events were refused and are dead letters",
                connector=self.id,
                events=len(refused),
                reason=refused[0][1],
            )
        while True:
            try:
                self._spool.acknowledge(self.id, events, refused)
            except sqlite3.Error as error:
                if not self.stuck:
                    _log.error("a delivery cannot be noted", connector=self.id, reason=str(error))
                self.stuck = True
                await asyncio.sleep(self._pace.after(3))
            else:
                self.stuck = False
                return

    def _note(self, attempts: int, reason: str, after_s: float | None) -> float:
        with suppress(sqlite3.Error):  # it is for people to see; delivering goes on without
            self._spool.failed(self.id, reason)
        wait = max(self._pace.after(attempts), after_s or 0.0)
        if attempts == 1:
            _log.warning("events cannot be delivered", connector=self.id, reason=reason)
        return wait
