"""How adapters of enforcement points ask for decisions: through the guards of DecideService."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, cast

from pdp._gen.pdp.v1 import approval_pb2
from pdp.transport.admission import admit_all
from pdp.transport.call import Call

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.message import Message

    from pdp._gen.pdp.v1 import decide_pb2 as pb
    from pdp.errors import PdpError
    from pdp.transport.admission import Check
    from pdp.transport.call import Endpoint, TransportName
    from pdp.transport.methods import Method
    from pdp.transport.metrics import Metrics

DECIDE: Final = "/pdp.v1.DecideService/Decide"
BATCH: Final = "/pdp.v1.DecideService/DecideBatch"
STREAM: Final = "/pdp.v1.DecideService/DecideStream"
APPROVAL: Final = "/pdp.v1.ApprovalService/GetApproval"


class DecidePort:
    """Asks for decisions. Identity, tenant, rates, bounds, metrics and tracing are the guards'."""

    def __init__(
        self,
        methods: Mapping[str, Method],
        endpoints: Mapping[str, Endpoint],
        admissions: Mapping[str, Check] = {},
        metrics: Metrics | None = None,
    ) -> None:
        """Takes what it asks.

        Args:
            methods: the RPCs, by gRPC path.
            endpoints: their guarded endpoints.
            admissions: their admission checks.
            metrics: counts calls that are refused before they reach an endpoint.
        """
        self._metrics = metrics
        self._methods = methods
        self._endpoints = endpoints
        self._admit = admissions.get(DECIDE, admit_all)

    def call(
        self,
        metadata: Mapping[str, str],
        transport: TransportName,
        peer: tuple[str, ...] = (),
        deadline: float | None = None,
    ) -> Call:
        """Returns a call of an enforcement point. See `Call` for the arguments."""
        return Call(self._methods[DECIDE], metadata, transport, deadline=deadline, peer=peer)

    def admit(self, call: Call) -> None:
        """Asks for the credential, before the body of a call is read.

        Raises:
            PdpError: the caller is not admitted. `call.reply` has headers for the answer.
        """
        self._admit(call)

    def count_refusal(self, call: Call, error: PdpError, begin: float) -> None:
        """Counts a call that was refused before it reached an endpoint; the guards count others.

        Args:
            call: the call.
            error: why it is refused.
            begin: when it began, by `time.perf_counter`.
        """
        if self._metrics is not None and not call.is_counted:
            duration_s = time.perf_counter() - begin
            self._metrics.call(call.transport, call.method.name, error.reason, duration_s)

    async def decide(self, call: Call, request: pb.DecideRequest) -> pb.DecideResponse:
        """Returns the decision on a request.

        Args:
            call: the call of the enforcement point. Several requests may be decided in one call.
            request: the request. If it has no tenant, the header or the credential names it.

        Raises:
            PdpError: the request is not valid, or its tenant is not one of the credential.
        """
        answer = await self._ask(DECIDE, call, request)
        return cast("pb.DecideResponse", answer)

    async def decide_all(self, call: Call, batch: pb.DecideBatchRequest) -> pb.DecideBatchResponse:
        """Returns the decisions on many requests, which all count against the caller's rate.

        Raises:
            PdpError: see `decide`.
        """
        answer = await self._ask(BATCH, call, batch)
        return cast("pb.DecideBatchResponse", answer)

    async def decide_chunk(
        self, call: Call, message: pb.DecideStreamRequest
    ) -> pb.DecideStreamResponse:
        """Returns the answer to a message of a stream; `call` has the session of the stream.

        Raises:
            PdpError: see `decide`.
        """
        answer = await self._ask(STREAM, call, message)
        return cast("pb.DecideStreamResponse", answer)

    async def approval(self, call: Call, approval_id: str) -> approval_pb2.Approval:
        """Returns an approval that the caller may see.

        Raises:
            PdpError: there is no such approval, or it cannot be read now.
        """
        message = approval_pb2.GetApprovalRequest(id=approval_id)
        answer = cast("approval_pb2.GetApprovalResponse", await self._ask(APPROVAL, call, message))
        return answer.approval

    async def _ask(self, path: str, call: Call, message: Message) -> object:
        asked = Call(
            self._methods[path],
            call.metadata,
            call.transport,
            deadline=call.deadline,
            peer=call.peer,
            principal=call.principal,
            admitted=call.admitted,
            session=call.session,
        )
        call.is_counted = True
        try:
            return await self._endpoints[path](asked, message)
        finally:
            call.request_id = asked.request_id
            call.reply.update(asked.reply)
