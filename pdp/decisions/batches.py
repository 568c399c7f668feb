"""Decides batches: many requests of one tenant on one snapshot.

A tenant has one batch under way at a time, and a batch holds the event loop only for short slices.
"""

from __future__ import annotations

import asyncio
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from pdp.decisions.decider import InvalidItem, PoliciesUnavailable
from pdp.decisions.loop_time import LoopTime
from pdp.decisions.request_requirements import check_requirements
from pdp.decisions.turns import TenantTurns
from pdp.errors import InvalidArgument, PdpError, RateLimited
from pdp.usage.metering import GroupMeter

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator

    from pdp.decisions.decider import Decider, PendingDecision
    from pdp.decisions.recording import DecisionRecorder
    from pdp.domain.decision import Decision
    from pdp.domain.request import Request
    from pdp.engine.snapshot import Snapshot
    from pdp.payloads.payload import Payload
    from pdp.usage.metering import ChargedRequest

INVALID_STATUS: Final = 400
"""The `status_hint` for an item that does not meet the tenant's requirements."""

BUSY_STATUS: Final = 429
"""The `status_hint` for an item that finds too many decisions of its tenant waiting."""

GROUP: Final = 32
"""Items for which models run together, or that are charged together."""


class BatchItem(NamedTuple):
    """A valid item of a batch.

    Attributes:
        request: what to decide.
        encoded_bytes: see `Decider.decide`.
        place: its index in the batch.
        payload: the payload; None if the request has none.
        history: see `pdp.decisions.payloads.judge`.
    """

    request: Request
    encoded_bytes: int = 0
    place: int = 0
    payload: Payload | None = None
    history: str = ""


class LargeItem(NamedTuple):
    """An item of a batch that a thread converts when it is its turn.

    Attributes:
        convert: returns the item.
        refuse: returns the item as invalid, because it cannot be converted now.
    """

    convert: Callable[[], BatchItem | InvalidItem]
    refuse: Callable[[PdpError], InvalidItem]


Item = BatchItem | LargeItem | InvalidItem


class Batches:
    """Decides batches. All methods are called on one event loop.

    Attributes:
        loop_time: shares the event loop between batches and other calls.
    """

    def __init__(self, decider: Decider) -> None:
        """Takes what decides the items."""
        self._decider = decider
        meter = decider.meter
        self._group_meter = meter if isinstance(meter, GroupMeter) else None
        self._turns = TenantTurns("batches")
        self.loop_time = LoopTime()

    async def decide(
        self,
        tenant_id: str,
        items: Iterable[Item],
        *,
        min_revision: int = 0,
        deadline: float | None = None,
    ) -> tuple[int, list[Decision]]:
        """Decides a batch.

        Args:
            tenant_id: the tenant of all items.
            items: read one after the other, while the batch is decided.
            min_revision: see `Decider.decide`.
            deadline: see `Decider.decide`.

        Returns:
            The revision of the snapshot, 0 if there is none; and the decisions in the order of the
            items.

        Raises:
            RevisionUnavailable: `min_revision` was not reached in time.
            RateLimited: too many batches of the tenant wait.
        """
        decider = self._decider
        try:
            snapshot = await decider.snapshot(tenant_id, min_revision, deadline)
        except PoliciesUnavailable as error:
            revision, pending = 0, [self._unavailable(item, error) for item in items]
        else:
            async with self._turns.turn(tenant_id):
                snapshot = decider.current(tenant_id) or snapshot  # it may have waited for its turn
                revision, pending = snapshot.revision, await self._run_all(snapshot, items)
        # All items are decided before the first record is waited for: one commit writes them all.
        return revision, await self._answer(pending)

    async def _run_all(self, snapshot: Snapshot, items: Iterable[Item]) -> list[PendingDecision]:
        checked = iter(items)
        if snapshot.has_requirements:
            checked = (_checked(snapshot, item) for item in items)
        # Models take what waits for them together. With limits, an item must be decided before it
        # is known what is left for the next.
        if snapshot.ner and snapshot.limits is None:
            return await self._run_together(snapshot, checked)
        return await self._run_in_order(snapshot, checked)

    def _unavailable(self, item: Item, error: PoliciesUnavailable) -> PendingDecision:
        """Returns the BLOCK for an item of a tenant whose policies are not available."""
        decider = self._decider
        if isinstance(item, BatchItem):
            return decider.undecidable(item.request, error.__cause__ or error)
        return decider.refused(item.refuse(error) if isinstance(item, LargeItem) else item)

    async def _run_together(
        self, snapshot: Snapshot, items: Iterator[Item]
    ) -> list[PendingDecision]:
        pending: list[PendingDecision] = []
        while group := list(islice(items, GROUP)):
            with self._decider.recorder.together() as recorder:
                pending += await asyncio.gather(
                    *(self._result(snapshot, item, recorder) for item in group)
                )
            await asyncio.sleep(0)
        return pending

    async def _run_in_order(
        self, snapshot: Snapshot, items: Iterator[Item]
    ) -> list[PendingDecision]:
        if self._group_meter is not None and snapshot.limits is not None:
            return await self._run_in_groups(snapshot, items, self._group_meter)
        pending: list[PendingDecision] = []
        with self.loop_time.share() as slices, self._decider.recorder.together() as recorder:
            for item in items:
                run = self._run(snapshot, item, recorder)
                pending.append(run if isinstance(run, tuple) else await run)
                if slices.are_over():
                    await slices.next()
        return pending

    async def _run_in_groups(
        self, snapshot: Snapshot, items: Iterator[Item], meter: GroupMeter
    ) -> list[PendingDecision]:
        """Decides items in their order. Those of a group are charged by one call."""
        pending: list[PendingDecision] = []
        with self.loop_time.share() as slices, self._decider.recorder.together() as recorder:
            for group in _groups(items):
                charges: list[ChargedRequest | None] = [None] * len(group)
                requests = [item.request for item in group if isinstance(item, BatchItem)]
                if requests:
                    charges = list(await meter.charge_all(snapshot, requests))
                try:
                    for item in group:
                        charge = _current(charges.pop(0), meter)
                        pending.append(await self._result(snapshot, item, recorder, charge))
                        await slices.next_if_over()
                finally:
                    self._decider.uncharge(charges)
        return pending

    async def _result(
        self,
        snapshot: Snapshot,
        item: Item,
        recorder: DecisionRecorder,
        charge: ChargedRequest | None = None,
    ) -> PendingDecision:
        run = self._run(snapshot, item, recorder, charge)
        return run if isinstance(run, tuple) else await run

    def _run(
        self,
        snapshot: Snapshot,
        item: Item,
        recorder: DecisionRecorder,
        charge: ChargedRequest | None = None,
    ) -> PendingDecision | Awaitable[PendingDecision]:
        if isinstance(item, InvalidItem):
            return self._decider.refused(item)
        if isinstance(item, LargeItem):
            return self._run_large(snapshot, item, recorder)
        if item.payload is not None:
            payload_run = self._decider.run_payload(
                snapshot, item.request, item.payload, item.history, recorder, charge=charge
            )
            return self._run_slow(item.request, payload_run)
        run = self._decider.run(snapshot, item.request, item.encoded_bytes, recorder, charge=charge)
        return run if isinstance(run, tuple) else self._run_slow(item.request, run)

    async def _run_large(
        self, snapshot: Snapshot, item: LargeItem, recorder: DecisionRecorder
    ) -> PendingDecision:
        try:
            converted = await self._decider.evaluator.heavy.run(snapshot.tenant_id, item.convert)
        except RateLimited as error:
            return self._decider.refused(item.refuse(error))
        return await self._result(snapshot, _checked(snapshot, converted), recorder)

    async def _run_slow(self, request: Request, run: Awaitable[PendingDecision]) -> PendingDecision:
        try:
            return await run
        except RateLimited as error:  # the items before it are decided, counted and recorded
            ids = request.request_id, request.tenant_id
            return self._decider.refused(
                InvalidItem(*ids, error.reason, error.message, BUSY_STATUS)
            )

    async def _answer(self, pending: list[PendingDecision]) -> list[Decision]:
        decider = self._decider
        decisions: list[Decision] = []
        with self.loop_time.share() as slices:
            for decision, acknowledgement in pending:
                if acknowledgement is not None:
                    decisions.append(await decider.answer(decision, acknowledgement))
                else:
                    decider.observe(decision)
                    decisions.append(decision)
                if slices.are_over():
                    await slices.next()
        return decisions


def _groups(items: Iterator[Item]) -> Iterator[list[Item]]:
    """Yields groups of items that are charged together. Any other item is a group of its own."""
    group: list[Item] = []
    for item in items:
        if not isinstance(item, BatchItem):
            if group:
                yield group
            yield [item]
            group = []
            continue
        group.append(item)
        if len(group) == GROUP:
            yield group
            group = []
    if group:
        yield group


def _current(charge: ChargedRequest | None, meter: GroupMeter) -> ChargedRequest | None:
    """Returns a charge; None if it found no room and may have room by now."""
    return None if charge is None or meter.is_outdated(charge) else charge


def _checked(snapshot: Snapshot, item: Item) -> Item:
    """Returns an item as invalid if it does not have what the tenant's settings require."""
    if not isinstance(item, BatchItem) or not snapshot.has_requirements:
        return item
    request = item.request
    try:
        check_requirements(snapshot, request, f"requests[{item.place}].")
    except InvalidArgument as error:
        ids = request.request_id, request.tenant_id
        return InvalidItem(*ids, error.reason, error.message, INVALID_STATUS)
    return item
