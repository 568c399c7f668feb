"""Delivers the events of one connector from the spool to the product.

The order is kept. An event is delivered once, as far as the protocol of the product allows, and the
worker retries until the product takes it.
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
class DeliveryTiming:
    """The timing of deliveries, in seconds.

    Attributes:
        linger_s: how long a batch that is not full waits for more events.
        poll_s: how often the spool is polled for events from other processes.
        min_backoff_s, max_backoff_s: the bounds of the pause between two attempts.
        gather_s: how long to wait for more records after the first one.
        grace_s: how long deliveries may continue when the server stops.
    """

    linger_s: float = 5.0
    poll_s: float = 0.5
    min_backoff_s: float = 0.5
    max_backoff_s: float = 60.0
    gather_s: float = 0.05
    grace_s: float = 3.0

    def backoff_s(self, attempts: int) -> float:
        """Returns the pause after a number of failed attempts.

        It is exponential with jitter, so that servers which failed together do not retry together.
        """
        bound = min(self.max_backoff_s, self.min_backoff_s * 2 ** min(attempts - 1, 30))
        return random.uniform(bound / 2, bound)  # noqa: S311 - not a secret


class DeliveryWorker:
    """Delivers to one connector until it is cancelled.

    Attributes:
        stuck: a delivery cannot be recorded in the spool, so no more is delivered.
    """

    def __init__(
        self, connector_id: str, connector: Connector, spool: Spool, timing: DeliveryTiming
    ) -> None:
        self.id = connector_id
        self._connector = connector
        self._spool = spool
        self._timing = timing
        self._wakeup = asyncio.Event()
        self._flushing = False
        self._failing = False
        self.stuck = False
        self._idle = asyncio.Event()

    def wake(self) -> None:
        """Signals that the spool has new events."""
        self._wakeup.set()

    def flush(self) -> None:
        """Delivers the waiting events without waiting for full batches."""
        self._flushing = True
        self._wakeup.set()
        if self._failing:
            self._idle.set()

    async def run(self) -> None:
        """Delivers the waiting events, and new ones as they come."""
        while True:
            events = self._next()
            if self._is_due(events):
                await self._deliver(events)
                continue
            self._wakeup.clear()
            if self._flushing:
                self._idle.set()
            try:
                async with asyncio.timeout(self._timing.poll_s):
                    await self._wakeup.wait()
            except TimeoutError:
                continue  # another process may have added events

    async def idle(self) -> None:
        """After `flush`: waits until no event waits or the product takes none."""
        await self._idle.wait()

    def _next(self) -> list[Event]:
        return self._spool.batch(self.id, self._connector.max_events, self._connector.max_bytes)

    def _is_due(self, events: Sequence[Event]) -> bool:
        if not events:
            return False
        full = len(events) == self._connector.max_events
        size = sum(len(each.body) for each in events)
        return (
            full
            or self._flushing
            or size * 2 > self._connector.max_bytes
            or time.time() - self._spool.queued_at(events[0].seq) >= self._timing.linger_s
        )

    async def _deliver(self, events: Sequence[Event]) -> None:
        """Delivers a batch. If it is refused, delivers its halves, to find the faulty event."""
        attempts = 0
        while True:
            try:
                refusals = await self._send(events)
            except BatchRefused as refused:
                await self._split(events, refused.reason)
                return
            except DeliveryFailed as failed:
                attempts += 1
                self._failing = True
                if self._flushing:
                    self._idle.set()
                await asyncio.sleep(self._record_failure(attempts, failed.reason, failed.after_s))
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
            # A bug in the connector: the events stay in the spool until it is fixed.
            _log.exception("a connector failed", connector=self.id)
            raise DeliveryFailed(
                f"internal error of the connector: {type(error).__name__}"
            ) from error

    async def _split(self, events: Sequence[Event], reason: str) -> None:
        if len(events) == 1:
            await self._acknowledge(events, [(events[0], reason)])
            return
        middle = len(events) // 2
        await self._deliver(events[:middle])
        await self._deliver(events[middle:])

    async def _acknowledge(
        self, events: Sequence[Event], refused: Sequence[tuple[Event, str]]
    ) -> None:
        """Records that events were delivered, and retries until this succeeds.

        Otherwise the events would be sent again.
        """
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
                    _log.error(
                        "a delivery cannot be recorded in the spool",
                        connector=self.id,
                        reason=str(error),
                    )
                self.stuck = True
                await asyncio.sleep(self._timing.backoff_s(3))
            else:
                self.stuck = False
                return

    def _record_failure(self, attempts: int, reason: str, after_s: float | None) -> float:
        """Records a failed attempt, and returns the pause before the next one."""
        with suppress(sqlite3.Error):  # the status is informative only
            self._spool.record_failure(self.id, reason)
        if attempts == 1:
            _log.warning("events cannot be delivered", connector=self.id, reason=reason)
        return max(self._timing.backoff_s(attempts), after_s or 0.0)
