"""DecideService."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, cast

import structlog

from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp.domain.decision import Decision, Fault
from pdp.domain.layers import ENGINE
from pdp.engine.evaluate import evaluate, unjudged
from pdp.engine.ner import texts_of, with_findings
from pdp.errors import PdpError, RevisionUnavailable, StoreUnavailable, TenantMismatch, Violation
from pdp.transport.call import Call, Endpoint, new_id
from pdp.transport.chain import settle_tenant
from pdp.transport.convert import MAX_REVISION, to_request, to_response
from pdp.transport.servicers.decide_stream import ChunkServicer
from pdp.transport.status import STATUSES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.message import Message

    from pdp.admin.meter import Meter
    from pdp.admin.workspace import Workspace
    from pdp.domain.ner import NerFinder
    from pdp.domain.request import Request
    from pdp.engine.snapshot import Snapshot
    from pdp.publisher import Publisher
    from pdp.transport.metrics import Metrics

MAX_WAIT_S: Final = 1.0
"""How long `min_revision` is waited for where the caller sets no deadline (decide.md)."""

LARGE: Final = 65_536
"""Characters of text, or bytes of a request with arguments, from which it is judged off the event
loop, so that others need not wait."""

ITEMS_A_TURN: Final = 32
"""Items of a batch that are judged before other calls have their turn."""

_log = structlog.get_logger("pdp.decisions")


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
    ) -> None:
        self._publisher = publisher
        self._workspace = workspace
        self.meter = meter
        self._metrics = metrics
        self._ner = ner
        self._chunks = ChunkServicer(self)

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
                return self._unjudged(request.request_id, error)
        if snapshot.limits is None and not snapshot.ner and not _is_large(request, asked):
            return self._answer(evaluate(snapshot, request, new_id()))
        return self._answer(await self._judge(snapshot, request, asked))

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
            response.responses.extend(self._unjudged(item.request_id, error) for item in items)
            return response
        response.revision = snapshot.revision
        for index, item in enumerate(items):
            response.responses.append(await self._batch_item(call, snapshot, item, index))
            if index % ITEMS_A_TURN == ITEMS_A_TURN - 1:
                await asyncio.sleep(0)
        return response

    async def _batch_item(
        self, call: Call, snapshot: Snapshot, item: pb.DecideRequest, index: int
    ) -> pb.DecideResponse:
        path = f"requests[{index}]."
        try:
            if item.tenant_id and item.tenant_id != call.tenant_id:
                raise TenantMismatch(
                    f'{path}tenant_id is "{item.tenant_id}" in a batch of "{call.tenant_id}"',
                    Violation(f"{path}tenant_id", "differs from the batch's"),
                )
            request = to_request(item, call.tenant_id, item.request_id or new_id(), path)
        except PdpError as error:
            return self.refused(item.request_id, error)
        return self._answer(await self._judge(snapshot, request, item))

    async def item(self, call: Call, message: Message) -> pb.DecideStreamResponse:
        """Judges one message of a stream; it is always answered, so that the stream goes on."""
        asked = cast("pb.DecideStreamRequest", message)
        item = asked.request
        if asked.HasField("chunk"):
            return await self._chunks.chunk(call, asked)
        try:
            tenant_id = settle_tenant(call, item.tenant_id, "request.tenant_id")
            request = to_request(item, tenant_id, item.request_id or new_id(), "request.")
            response = await self._decide(call, request, item)
        except PdpError as error:
            response = self.refused(item.request_id, error)
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

    async def _judge(
        self, snapshot: Snapshot, request: Request, asked: pb.DecideRequest
    ) -> Decision:
        """Counts a request and judges it; a large one in a thread.

        RE2 works there without holding up the event loop. Where the caller goes away meanwhile,
        what was counted stays counted.
        """
        charge = self.meter.charge(snapshot, request)
        if charge is not None:
            request = charge.request
        request = await self.named(snapshot, request)
        if _is_large(request, asked):
            decision = await asyncio.to_thread(evaluate, snapshot, request, new_id())
        else:
            decision = evaluate(snapshot, request, new_id())
        if charge is not None:
            self.meter.settle(charge, decision)
        return decision

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
        return self.meter.standing(snapshot, request)

    def _answer(self, decision: Decision) -> pb.DecideResponse:
        self.note(decision)
        return to_response(decision)

    def note(self, decision: Decision) -> None:
        """Counts a decision, and logs what could not be judged."""
        self._metrics.decision(decision.outcome, decision.reason_code)
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

    def _unjudged(self, request_id: str, error: PoliciesUnavailable) -> pb.DecideResponse:
        """Answers a request whose policies cannot be had."""
        fault = Fault(ENGINE, error.__cause__ or error)
        return self._answer(unjudged(request_id, new_id(), fault=fault))

    def refused(self, request_id: str, error: PdpError) -> pb.DecideResponse:
        """Answers an item that is itself at fault, in its place."""
        status = STATUSES[error.reason].http
        decision = unjudged(
            request_id,
            new_id(),
            reason_code=error.reason,
            message=error.message,
            status_hint=status,
        )
        return self._answer(decision)


def _is_large(request: Request, asked: pb.DecideRequest) -> bool:
    return len(request.text) >= LARGE or (
        request.arguments is not None and asked.ByteSize() >= LARGE
    )
