"""DecideService."""

from __future__ import annotations

import asyncio
from time import perf_counter, time
from typing import TYPE_CHECKING, Any, Final, cast

import structlog

from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp.decisions.recording import Records, unrecorded
from pdp.domain.decision import Decision, Fault
from pdp.domain.ids import new_id
from pdp.domain.layers import ENGINE
from pdp.domain.request import Request
from pdp.engine.dlp.named_entities import texts_of, with_findings
from pdp.engine.evaluate import evaluate, stopped, unjudged
from pdp.errors import PdpError, RevisionUnavailable, StoreUnavailable, TenantMismatch, Violation
from pdp.messages.conversion import MAX_REVISION, to_request, to_response
from pdp.transport.guards import settle_tenant
from pdp.transport.servicers.decide_stream import ChunkServicer
from pdp.transport.status import STATUSES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from google.protobuf.message import Message

    from pdp.admin.workspace import Workspace
    from pdp.domain.ner import NerFinder
    from pdp.engine.snapshot import Snapshot
    from pdp.publisher import Publisher
    from pdp.transport.call import Call, Endpoint
    from pdp.transport.metrics import Metrics
    from pdp.usage.meter import Meter

MAX_WAIT_S: Final = 1.0
"""How long `min_revision` is waited for where the caller sets no deadline (decide.md)."""

LARGE: Final = 65_536
"""Characters of text, or bytes of a request with arguments, from which it is judged off the event
loop, so that others need not wait."""

ITEMS_A_TURN: Final = 32
"""Items of a batch that are judged before other calls have their turn."""

_log = structlog.get_logger("pdp.decisions")


Judged = tuple[Decision, Any]
"""A decision, and what its answer is to wait for: see `Records.take`."""


class PoliciesUnavailable(StoreUnavailable):
    """A tenant's policies are not in memory and cannot be had."""


class DecideServicer:
    """Judges requests on the snapshot in force."""

    def __init__(
        self,
        publisher: Publisher,
        workspace: Workspace,
        meter: Meter,
        metrics: Metrics,
        ner: NerFinder,
        *,
        records: Records | None = None,
    ) -> None:
        self._publisher = publisher
        self._workspace = workspace
        self.meter = meter
        self._metrics = metrics
        self._ner = ner
        self.records = records or Records()
        self.chunks = ChunkServicer(self)

    def handlers(self) -> Mapping[str, Endpoint]:
        """Returns the handler of each RPC, by its name."""
        return {"Decide": self.decide, "DecideBatch": self.batch, "DecideStream": self.item}

    async def decide(self, call: Call, message: Message) -> pb.DecideResponse:
        """Judges one request.

        Raises:
            RevisionUnavailable: `min_revision` was not reached in time.
        """
        request: Request = call.request  # type: ignore[assignment] # a guard has set it
        asked: pb.DecideRequest = message  # type: ignore[assignment] # the contract says so
        return await self._decide(call, request, asked)

    async def _decide(
        self, call: Call, request: Request, asked: pb.DecideRequest
    ) -> pb.DecideResponse:
        # Nearly always the snapshot is there and the request is small: then nothing is awaited.
        min_revision = asked.min_revision
        snapshot = None if min_revision else self._publisher.current(request.tenant_id)
        if snapshot is None:
            try:
                snapshot = await self.snapshot(call, request.tenant_id, min_revision)
            except PoliciesUnavailable as error:
                return self.answer(await recorded(*self._unjudged(request, error)))
        if snapshot.limits is None and not snapshot.ner and not _is_large(request, asked):
            began = perf_counter()
            marks = [("", began)] if snapshot.timed else None
            decision = evaluate(snapshot, request, new_id(), None, marks)
            ticket = self.records.take(snapshot, request, decision, began, marks or ())
        else:
            decision, ticket = await self._judge(snapshot, request, asked)
        return self.answer(decision if ticket is None else await recorded(decision, ticket))

    async def batch(self, call: Call, message: Message) -> pb.DecideBatchResponse:
        """Judges many requests on one snapshot; each is answered in its place.

        Raises:
            RevisionUnavailable: the highest `min_revision` was not reached in time.
        """
        items = cast("pb.DecideBatchRequest", message).requests
        # A revision out of its bounds is the item's own fault, and is answered in its place.
        revisions = [item.min_revision for item in items if item.min_revision < MAX_REVISION]
        wanted = max(revisions, default=0)
        response = pb.DecideBatchResponse()
        try:
            snapshot = await self.snapshot(call, call.tenant_id, wanted)
        except PoliciesUnavailable as error:
            judged = [self._unjudged(_stub(call, item.request_id), error) for item in items]
        else:
            response.revision = snapshot.revision
            judged = await self._batch_items(call, snapshot, items)
        # All are judged before any record is waited for, so that they are written down together.
        for decision, ticket in judged:
            response.responses.append(self.answer(await recorded(decision, ticket)))
        return response

    async def _batch_items(
        self, call: Call, snapshot: Snapshot, items: Sequence[pb.DecideRequest]
    ) -> list[Judged]:
        judged: list[Judged] = []
        for begin in range(0, len(items), ITEMS_A_TURN):
            turn = (
                self._batch_item(call, snapshot, item, begin + place)
                for place, item in enumerate(items[begin : begin + ITEMS_A_TURN])
            )
            if snapshot.ner and snapshot.limits is None:
                # Models take what waits for them together. Where there are limits, one item must
                # have been judged before it is known what is left for the next.
                judged += await asyncio.gather(*turn)
            else:
                for each in turn:
                    judged.append(await each)
            if begin + ITEMS_A_TURN < len(items):
                await asyncio.sleep(0)
        return judged

    async def _batch_item(
        self, call: Call, snapshot: Snapshot, item: pb.DecideRequest, index: int
    ) -> Judged:
        path = f"requests[{index}]."
        try:
            if item.tenant_id and item.tenant_id != call.tenant_id:
                raise TenantMismatch(
                    f'{path}tenant_id is "{item.tenant_id}" in a batch of "{call.tenant_id}"',
                    Violation(f"{path}tenant_id", "differs from the batch's"),
                )
            request = to_request(item, call.tenant_id, item.request_id or new_id(), path)
        except PdpError as error:
            return self.refused(call, item.request_id, error)
        return await self._judge(snapshot, request, item)

    async def item(self, call: Call, message: Message) -> pb.DecideStreamResponse:
        """Judges one message of a stream; it is always answered, so that the stream goes on."""
        asked = cast("pb.DecideStreamRequest", message)
        item = asked.request
        if asked.HasField("chunk"):
            return await self.chunks.chunk(call, asked)
        try:
            call.tenant_id = settle_tenant(call, item.tenant_id, "request.tenant_id")
            request = to_request(item, call.tenant_id, item.request_id or new_id(), "request.")
            response = await self._decide(call, request, item)
        except PdpError as error:
            judged = self.refused(call, item.request_id, error)
            response = self.answer(await recorded(*judged))
        return pb.DecideStreamResponse(response=response)

    async def snapshot(self, call: Call, tenant_id: str, min_revision: int) -> Snapshot:
        """Returns the tenant's snapshot, once it is of `min_revision` at least.

        Raises:
            RevisionUnavailable: `min_revision` was not reached within the call's deadline.
            PoliciesUnavailable: the tenant's policies are not in memory, and cannot be read or do
                not compile.
        """
        publisher = self._publisher
        if min_revision > publisher.revision and not await self._workspace.reach(
            min_revision, call.remaining(MAX_WAIT_S)
        ):
            raise RevisionUnavailable(
                f"revision {min_revision} was not reached in time; "
                f"this server is at {publisher.revision}"
            )
        snapshot = publisher.current(tenant_id)
        if snapshot is not None:
            return snapshot
        try:
            return await self._workspace.load(tenant_id)
        except Exception as error:  # whatever it is, there is nothing to judge by
            raise PoliciesUnavailable("the tenant's policies cannot be loaded now") from error

    async def _judge(self, snapshot: Snapshot, request: Request, asked: pb.DecideRequest) -> Judged:
        """Counts a request, judges it, and has that recorded; a large one in a thread.

        RE2 works there without holding up the event loop. Where the caller goes away meanwhile,
        what was counted stays counted.
        """
        charge = self.meter.charge(snapshot, request)
        if charge is not None:
            request = charge.request
        if snapshot.ner and not stopped(snapshot, request):
            request = await self.named(snapshot, request)
        began = perf_counter()
        marks = [("", began)] if snapshot.timed else None
        work = (snapshot, request, new_id(), None, marks)
        if _is_large(request, asked):
            decision = await asyncio.to_thread(evaluate, *work)
        else:
            decision = evaluate(*work)
        if charge is not None:
            self.meter.settle(charge, decision)
        return decision, self.records.take(snapshot, request, decision, began, marks or ())

    async def named(self, snapshot: Snapshot, request: Request) -> Request:
        """Returns `request` with what models find in it, where a rule in force needs them."""
        if not snapshot.ner:
            return request
        texts = texts_of(request)
        if not texts:
            return request
        return with_findings(request, await self._ner.find(texts, snapshot.ner))

    def standing(self, snapshot: Snapshot, request: Request) -> Request:
        """Returns `request` with what its limits were used for so far, for a simulation."""
        return self.meter.with_usage(snapshot, request)

    def answer(self, decision: Decision) -> pb.DecideResponse:
        """Counts a decision, and returns it as it is sent."""
        self.note(decision)
        return to_response(decision)

    def note(self, decision: Decision) -> None:
        """Counts a decision, and logs what could not be judged."""
        self._metrics.decision(decision.outcome, decision.reason_code)
        for match in decision.matches:
            self._metrics.match(match.layer, match.action)
        for fault in decision.faults:
            self._metrics.fault(fault.layer)
            # The error's own words may hold what the request said, so only its type is kept.
            _log.error(
                "could not judge",
                layer=fault.layer,
                error=type(fault.error).__name__,
                decision_id=decision.decision_id,
                request_id=decision.request_id,
            )

    def _unjudged(self, request: Request, error: PoliciesUnavailable) -> Judged:
        """Returns what a request comes to whose policies cannot be had."""
        fault = Fault(ENGINE, error.__cause__ or error)
        decision = unjudged(request.request_id, new_id(), fault=fault)
        return decision, self.records.take(None, request, decision)

    def refused(self, call: Call, request_id: str, error: PdpError) -> Judged:
        """Returns what an item comes to that is itself at fault; it is answered in its place."""
        decision = unjudged(
            request_id,
            new_id(),
            reason_code=error.reason,
            message=error.message,
            status_hint=STATUSES[error.reason].http,
        )
        if not call.tenant_id:  # the fault is that it is nobody's
            return decision, None
        return decision, self.records.take(None, _stub(call, request_id), decision)


async def recorded(decision: Decision, ticket: Any) -> Decision:
    """Returns the decision once its record is on disk; a BLOCK where it cannot be written."""
    return decision if ticket is None or await ticket else unrecorded(decision)


def _stub(call: Call, request_id: str) -> Request:
    """Returns what is recorded of a request that could not be read."""
    return Request(request_id=request_id, tenant_id=call.tenant_id, timestamp=time())


def _is_large(request: Request, asked: pb.DecideRequest) -> bool:
    return len(request.text) >= LARGE or (
        request.arguments is not None and asked.ByteSize() >= LARGE
    )
