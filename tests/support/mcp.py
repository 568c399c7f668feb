"""MCP for tests: decisions that depend on words, and messages of clients and servers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp.adapters.mcp.exchange import McpExchange, ToolDenialForm
from pdp.adapters.mcp.judge import DecisionFailed, McpCaller, MessageJudge
from pdp.adapters.mcp.messages import McpMessage, read_message
from pdp.adapters.mcp.pins import Pins
from pdp.adapters.mcp.tools import PinAction, ToolGuard

if TYPE_CHECKING:
    from collections.abc import Sequence

CALLER: Final = McpCaller("acme", "", "ada", ("staff",), "agent-1", "session-1")

MODERN_META: Final = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}


class WordDecisions:
    """Decides by words in the payload.

    `forbidden` is blocked, `secret` is redacted, `rerouted` and `masked` need what a proxy cannot
    do, `limited` exceeds a limit, `asked` needs an answer of the user, `unclear` is no payload, and
    without `reachable` there are no decisions.

    Attributes:
        requests: what was asked, each with whether it was a decision or a simulation.
        reachable: whether there are decisions.
    """

    def __init__(self) -> None:
        self.requests: list[tuple[str, pb.DecideRequest]] = []
        self.reachable = True

    async def decide(self, request: pb.DecideRequest) -> pb.DecideResponse:
        """Returns a decision."""
        return self._answer("decide", request)

    async def simulate(self, request: pb.DecideRequest) -> pb.DecideResponse:
        """Returns a simulated decision."""
        return self._answer("simulate", request)

    @property
    def kinds(self) -> list[str]:
        """How each request was asked."""
        return [kind for kind, _ in self.requests]

    def _answer(self, kind: str, request: pb.DecideRequest) -> pb.DecideResponse:
        self.requests.append((kind, request))
        body = request.payload.body
        if not self.reachable:
            raise DecisionFailed("UNAVAILABLE", "no connection", at_fault=False)
        if "unclear" in body:
            raise DecisionFailed("INVALID_ARGUMENT", "payload.body: is odd", at_fault=True)
        answer = pb.DecideResponse(
            decision_id=f"d{len(self.requests)}",
            outcome=pb.OUTCOME_ALLOW,
            allowed=True,
            status_hint=200,
        )
        for word, (outcome, reason) in _STOPPED.items():
            if word in body:
                answer.outcome, answer.allowed = outcome, False
                answer.reason_code, answer.message = reason, f"Stopped: {reason}."
                answer.status_hint = 403
                return answer
        for word, obligation in _OBLIGATIONS.items():
            if word in body:
                answer.outcome = pb.OUTCOME_REDACT
                answer.obligations.append(obligation)
        if "secret" in body:
            answer.outcome = pb.OUTCOME_REDACT
            answer.obligations.append(pb.Obligation(type=pb.OBLIGATION_TYPE_REDACT))
            answer.redacted_payload = body.replace("secret", "[REDACTED]")
        return answer


_STOPPED: Final[dict[str, tuple[pb.Outcome.ValueType, str]]] = {
    "forbidden": (pb.OUTCOME_BLOCK, "STATIC_POLICY_BLOCK"),
    "limited": (pb.OUTCOME_BLOCK, "LIMIT_EXCEEDED"),
    "asked": (pb.OUTCOME_PROMPT, "PROMPT_REQUIRED"),
}
_OBLIGATIONS: Final = {
    "rerouted": pb.Obligation(type=pb.OBLIGATION_TYPE_ROUTE_TO),
    "masked": pb.Obligation(type=pb.OBLIGATION_TYPE_MASK_FIELDS),
}


def exchange_of(
    decisions: WordDecisions,
    *,
    pins: Pins | None = None,
    action: PinAction = PinAction.REPORT,
    denials: ToolDenialForm = ToolDenialForm.ERROR,
    simulates: bool = True,
) -> McpExchange:
    """Returns an exchange that works with these decisions."""
    judge = MessageJudge(decisions, "demo", simulates=simulates)
    tools = ToolGuard(judge, "demo", pins or Pins("demo"), action)
    return McpExchange(judge, tools, denials)


def request(method: str, params: Any = None, message_id: Any = 1) -> McpMessage:
    """Returns a request."""
    document = {"jsonrpc": "2.0", "id": message_id, "method": method}
    return message_of({**document, **({} if params is None else {"params": params})})


def call(tool: str, message_id: Any = 1, **arguments: Any) -> McpMessage:
    """Returns a request that calls a tool."""
    return request("tools/call", {"name": tool, "arguments": arguments}, message_id)


def notification(method: str, params: Any = None) -> McpMessage:
    """Returns a notification."""
    document = {"jsonrpc": "2.0", "method": method}
    return message_of({**document, **({} if params is None else {"params": params})})


def result(value: Any, message_id: Any = 1) -> McpMessage:
    """Returns an answer."""
    return message_of({"jsonrpc": "2.0", "id": message_id, "result": value})


def tool_list(*tools: dict[str, Any], **members: Any) -> McpMessage:
    """Returns the answer to `tools/list`."""
    return result({"tools": list(tools), **members})


def tool(name: str, description: str = "A tool.", **properties: Any) -> dict[str, Any]:
    """Returns the definition of a tool."""
    schema = {"type": "object", "properties": properties}
    return {"name": name, "description": description, "inputSchema": schema}


def message_of(document: Any) -> McpMessage:
    """Returns a document as a message."""
    return read_message(json.dumps(document).encode())


def error_of(text: str | None) -> dict[str, Any]:
    """Returns the error of an answer."""
    assert text is not None
    error: dict[str, Any] = json.loads(text)["error"]
    return error


def names_of(message: McpMessage) -> Sequence[str]:
    """Returns the names of the tools in an answer."""
    return [each["name"] for each in message.result["tools"]]
