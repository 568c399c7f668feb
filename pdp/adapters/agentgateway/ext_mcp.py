"""agentgateway's guardrails for MCP: the RPCs of `agentgateway.dev.ext_mcp.ExtMcp`.

Refusals are answers, not gRPC errors: the gateway may be configured to go on after an error.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar, cast

import structlog

from pdp._gen.agentgateway import ext_mcp_pb2 as ext
from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp.adapters.agentgateway.facts import read_metadata
from pdp.adapters.agentgateway.rpc_messages import (
    RpcMessage,
    check_services,
    request_message,
    result_message,
)
from pdp.adapters.agentgateway.tool_lists import TOOLS_LIST, usable_tools
from pdp.adapters.approvals import decide_approved
from pdp.adapters.mapping.refusals import refusal_of
from pdp.adapters.mapping.verdicts import may_pass, obligation_names
from pdp.adapters.simulations import Simulator
from pdp.domain.request import MCP_SERVER
from pdp.errors import (
    InvalidArgument,
    MalformedRequest,
    PdpError,
    RateLimited,
    RequestTooLarge,
    WorkLimitExceeded,
)
from pdp.jsonpb.structs import fill_struct, struct_object
from pdp.strictjson.objects import object_text, to_text
from pdp.strictjson.problems import InvalidValue
from pdp.transport.beside import run_beside
from pdp.transport.foreign import foreign_handler, foreign_method

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.message import Message

    from pdp.decisions.decider import Decider
    from pdp.transport.call import Call, Endpoint, Handler
    from pdp.transport.decide_port import DecidePort
    from pdp.transport.methods import Method

P = ParamSpec("P")
T = TypeVar("T")

FORMAT: Final = "mcp.jsonrpc"
LISTS: Final = "/list"

_Error = ext.AuthorizationError

_CODES: Final[tuple[tuple[type[PdpError], _Error.Code.ValueType], ...]] = (
    (RateLimited, _Error.RESOURCE_EXHAUSTED),
    (InvalidArgument, _Error.INVALID),
    (MalformedRequest, _Error.INVALID),
    (RequestTooLarge, _Error.INVALID),
    (WorkLimitExceeded, _Error.INVALID),
)

LARGE: Final = 65_536
"""Bytes of parameters or a result from which a thread reads and writes them."""

_LIMIT_EXCEEDED: Final = "LIMIT_EXCEEDED"

_log: Final = structlog.get_logger("pdp.agentgateway")


def methods() -> dict[str, Method]:
    """Returns the RPCs, by gRPC path."""
    service = ext.DESCRIPTOR.services_by_name["ExtMcp"]
    found = [foreign_method(descriptor) for descriptor in service.methods]
    return {method.path: method for method in found}


def handlers(port: DecidePort, decider: Decider) -> dict[str, Handler]:
    """Returns how the RPCs are handled, by gRPC path.

    Args:
        port: asks for decisions.
        decider: simulates decisions on lists.
    """
    guardrail = ExtMcp(port, decider)
    handle: dict[str, Endpoint] = {
        "CheckRequest": guardrail.check_request,
        "CheckResponse": guardrail.check_response,
    }
    return {path: foreign_handler(handle[method.name]) for path, method in methods().items()}


class ExtMcp:
    """Judges the requests of MCP clients and the results of MCP servers."""

    def __init__(self, port: DecidePort, decider: Decider) -> None:
        self._port = port
        self._decider = decider

    async def check_request(self, call: Call, message: Message) -> ext.McpRequestResult:
        """Answers a question about a request. Never raises."""
        body = cast("ext.McpRequest", message)
        try:
            return await self._request(call, body)
        except Exception as error:
            return ext.McpRequestResult(error=_error_of(call, error))

    async def check_response(self, call: Call, message: Message) -> ext.McpResponseResult:
        """Answers a question about a result. Never raises."""
        body = cast("ext.McpResponse", message)
        try:
            return await self._response(call, body)
        except Exception as error:
            return ext.McpResponseResult(error=_error_of(call, error))

    async def _request(self, call: Call, body: ext.McpRequest) -> ext.McpRequestResult:
        params = body.mcp_request if body.HasField("mcp_request") else None
        size = len(params or b"")
        message = await run_beside(size, request_message, body.method, params)
        question = _decide_request(call, body, message, "input")
        question.tokens.extend(message.tokens)
        decision = await decide_approved(partial(self._port.decide, call), question)
        metadata = {"pdp_decision_id": decision.decision_id}
        answer = ext.McpRequestResult()
        if may_pass(decision) and not message.tokens:
            _pass(answer)
            fill_struct(answer.metadata, metadata)
            return answer
        if may_pass(decision):
            passing: bytes | None = message.inner
        else:
            passing = await run_beside(size, _redacted, decision, message)
        if passing is None:
            return ext.McpRequestResult(error=_refusal(decision, confirmable=True))
        answer.mutated = passing
        fill_struct(answer.metadata, metadata)
        return answer

    async def _response(self, call: Call, body: ext.McpResponse) -> ext.McpResponseResult:
        size = len(body.mcp_response)
        message = await run_beside(size, result_message, body.mcp_response)
        if not body.method.endswith(LISTS):
            request = _decide_request(call, body, message, "output")
            decision = await decide_approved(partial(self._port.decide, call), request)
            return await run_beside(size, _response_result, decision, message)
        # A list is no use of a tool: it neither counts nor is recorded.
        request = _decide_request(call, body, message, "input")
        request.ClearField("payload")
        simulator = await Simulator.of(self._decider, call, request)
        filtered = None
        if body.method == TOOLS_LIST:
            filtered = await usable_tools(message.value, body.service_names, simulator)
        if filtered is not None:
            message = await run_beside(size, _message_of, filtered)
        request = _decide_request(call, body, message, "output")
        answer = await run_beside(size, _response_result, await simulator.decide(request), message)
        if filtered is not None and answer.WhichOneof("result") == "pass":
            return ext.McpResponseResult(mutated=message.inner)
        return answer


def _message_of(result: dict[str, Any]) -> RpcMessage:
    return result_message(to_text(result).encode())


def _pass(answer: ext.McpRequestResult | ext.McpResponseResult) -> None:
    getattr(answer, "pass").SetInParent()  # `pass` is a keyword


def _decide_request(
    call: Call, body: ext.McpRequest | ext.McpResponse, message: RpcMessage, direction: str
) -> pb.DecideRequest:
    services = list(body.service_names)
    check_services(services)
    metadata = struct_object(body.metadata_context)
    request = pb.DecideRequest(
        request_id=call.request_id,
        direction=direction,
        channel="api",
        payload=pb.Payload(
            format=FORMAT,
            body=message.body,
            answers=body.method if isinstance(body, ext.McpResponse) else "",
        ),
        context_json=_context(metadata, body.method, services),
    )
    if len(services) == 1:
        request.target.resource_type = MCP_SERVER
        request.target.resource_id = services[0]
    read_metadata(request, metadata)
    return request


def _context(metadata: Mapping[str, Any], method: str, services: list[str]) -> str:
    context = {"agentgateway": dict(metadata), "mcp": {"method": method, "servers": services}}
    try:
        return object_text(context)
    except InvalidValue as error:
        raise InvalidArgument(f"metadata_context: {error}") from None


def _redacted(decision: pb.DecideResponse, message: RpcMessage) -> bytes | None:
    """Returns the redacted parameters or result; None if the decision must be a refusal."""
    if not may_pass(decision, ("REDACT",)) or not decision.HasField("redacted_payload"):
        return None
    return message.cut(decision.redacted_payload)


def _response_result(decision: pb.DecideResponse, message: RpcMessage) -> ext.McpResponseResult:
    if may_pass(decision):
        answer = ext.McpResponseResult()
        _pass(answer)
        return answer
    redacted = _redacted(decision, message)
    if redacted is None:
        return ext.McpResponseResult(error=_refusal(decision))
    return ext.McpResponseResult(mutated=redacted)


def _refusal(decision: pb.DecideResponse, *, confirmable: bool = False) -> _Error:
    refusal = refusal_of(decision, confirmable=confirmable)
    reason, notice = refusal.message, refusal.notice
    if decision.allowed:
        names = ", ".join(dict.fromkeys(obligation_names(decision))) or "a change"
        reason = f"The policy requires {names}, which agentgateway cannot carry out here."
    limited = decision.reason_code == _LIMIT_EXCEEDED
    reason = f"{reason} ({refusal.reason}, decision {decision.decision_id})"
    if notice.expires_at:
        reason = f"{notice.explain(reason, 'call again')}, before {notice.expires_at}"
    facts = notice.facts()
    return _Error(
        code=_Error.RESOURCE_EXHAUSTED if limited else _Error.PERMISSION_DENIED,
        reason=reason,
        mcp_error=to_text(facts).encode() if facts else None,
    )


def _error_of(call: Call, error: Exception) -> _Error:
    """Returns the answer to a message on which there is no decision."""
    if not isinstance(error, PdpError):
        _log.error("call failed", request_id=call.request_id, exc_info=error)
        reason = f"internal error (request {call.request_id})"
        return _Error(code=_Error.UNKNOWN, reason=reason)
    code: _Error.Code.ValueType | None = next(
        (code for kind, code in _CODES if isinstance(error, kind)), None
    )
    if code is None:
        denied = error.reason in {"TENANT_MISMATCH", "ACCESS_DENIED", "UNAUTHENTICATED"}
        code = _Error.PERMISSION_DENIED if denied else _Error.UNKNOWN
    reason = f"{error.reason}: {error.message} (request {call.request_id})"
    return _Error(code=code, reason=reason)
