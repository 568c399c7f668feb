"""Lists of tools: which tools a caller sees, and whether their definitions are trusted."""

from __future__ import annotations

import asyncio
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

import structlog

from pdp.adapters.mcp.judge import McpRefusal, MessageJudge, local_refusal
from pdp.adapters.mcp.messages import INTERNAL_ERROR, McpMessage, read_message
from pdp.adapters.mcp.methods import TOOLS_CALL, TOOLS_LIST, McpJudgement
from pdp.adapters.mcp.pins import PinFault, Pins, PinState, hash_of
from pdp.strictjson.objects import to_text
from pdp.strictjson.problems import excerpt

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pdp.adapters.mcp.judge import McpCaller

MAX_TOOLS_IN_PAGE: Final = 1000
MAX_DEFINITIONS: Final = 10_000
"""Definitions that are remembered, for the headers of calls and for pins."""

CONCURRENT: Final = 8
"""Simulations of one list at a time."""

TOOL_CHANGED: Final = "TOOL_DEFINITION_CHANGED"
TOOL_NOT_PINNED: Final = "TOOL_NOT_PINNED"
TOOL_NOT_LISTED: Final = "TOOL_NOT_LISTED"

_log: Final = structlog.get_logger("pdp.mcp")


class PinAction(Enum):
    """What happens if the definition of a tool has changed.

    Attributes:
        REPORT: it is logged.
        BLOCK: it is logged, the tool is not listed, and calls of it are denied.
    """

    REPORT = "report"
    BLOCK = "block"


class ToolGuard:
    """Filters lists of tools, and denies calls of tools that are not trusted."""

    def __init__(
        self, judge: MessageJudge, server: str, pins: Pins, action: PinAction = PinAction.REPORT
    ) -> None:
        """Args:
        judge: simulates calls of the tools.
        server: the name of the MCP server, for logs.
        pins: the pins of the server.
        action: what a change of a definition leads to. Locked pins block in any case.
        """
        self._judge = judge
        self._server = server
        self._pins = pins
        self._blocks = action is PinAction.BLOCK or pins.locked
        self._comparing = asyncio.Lock()
        self._states: dict[str, PinState] = {}
        self._schemas: dict[str, Any] = {}
        self._slots = asyncio.Semaphore(CONCURRENT)

    def schema_of(self, tool: str) -> Any:
        """Returns the input schema of a tool; None if it has not been listed."""
        return self._schemas.get(tool)

    def check_call(self, tool: str) -> McpRefusal | None:
        """Returns why a call of a tool is denied because of its definition; None if it is not."""
        if not self._blocks:
            return None
        state = self._states.get(tool)
        if state is None:
            return local_refusal(
                TOOL_NOT_LISTED,
                "The definition of this tool has not been compared with its pin. "
                "Call tools/list, then retry.",
            )
        return self._refusal(state)

    def _refusal(self, state: PinState) -> McpRefusal | None:
        if state is PinState.CHANGED:
            return local_refusal(
                TOOL_CHANGED, "The definition of this tool has changed since it was pinned."
            )
        if state is PinState.NEW and self._pins.locked:
            return local_refusal(TOOL_NOT_PINNED, "This tool is not pinned, and pins are locked.")
        return None

    async def filter(self, message: McpMessage, caller: McpCaller) -> McpMessage | McpRefusal:
        """Returns the answer to `tools/list` with the tools that the caller may use.

        Args:
            message: the answer of the server.
            caller: who has asked for the list.
        """
        result: dict[str, Any] = message.result
        tools = result.get("tools")
        problem = _problem_of(tools)
        if problem or not isinstance(tools, list):
            return McpRefusal(
                INTERNAL_ERROR, f"The list of tools {problem}.", {"reason": "INVALID_TOOL_LIST"}
            )
        try:
            trusted = await self._compare(tools)
        except PinFault as fault:
            _log.error("pins cannot be stored", server=self._server, reason=str(fault))
            return McpRefusal(
                INTERNAL_ERROR, "The pins of the tools cannot be stored.", {"reason": "PIN_FAULT"}
            )
        callable_tools = await self._keep_callable(trusted, caller)
        if isinstance(callable_tools, McpRefusal):
            return callable_tools
        return await self._judge_definitions(message, callable_tools, caller)

    async def _compare(self, tools: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        hashes = await asyncio.to_thread(lambda: {each["name"]: hash_of(each) for each in tools})
        async with self._comparing:
            states = await asyncio.to_thread(self._pins.compare, hashes)
        for each in tools:
            self._remember(each, states[each["name"]])
        return [
            each
            for each in tools
            if not (self._blocks and self._refusal(states[each["name"]]) is not None)
        ]

    def _remember(self, tool: Mapping[str, Any], state: PinState) -> None:
        name = tool["name"]
        if state is PinState.CHANGED and self._states.get(name) is not PinState.CHANGED:
            _log.warning(
                "tool definition changed",
                server=self._server,
                tool=excerpt(name),
                blocked=self._blocks,
            )
        if name not in self._states and len(self._states) >= MAX_DEFINITIONS:
            oldest = next(iter(self._states))
            del self._states[oldest]
            self._schemas.pop(oldest, None)
        self._states[name] = state
        self._schemas[name] = tool.get("inputSchema")

    async def _keep_callable(
        self, tools: Sequence[dict[str, Any]], caller: McpCaller
    ) -> list[dict[str, Any]] | McpRefusal:
        """Returns the tools that the caller may call, some of them only after a person has agreed.

        Or why there are no decisions.
        """
        refusals = await asyncio.gather(*(self._try_call(each["name"], caller) for each in tools))
        for refusal in refusals:
            if refusal is not None and refusal.code == INTERNAL_ERROR:
                return refusal
        return [
            each
            for each, refusal in zip(tools, refusals, strict=True)
            if refusal is None or refusal.is_held
        ]

    async def _try_call(self, tool: str, caller: McpCaller) -> McpRefusal | None:
        params = {"name": tool, "arguments": {}}
        document = {"jsonrpc": "2.0", "id": 0, "method": TOOLS_CALL, "params": params}
        async with self._slots:
            judged = await self._judge.judge(_message(document), caller, McpJudgement.SIMULATE)
        return judged if isinstance(judged, McpRefusal) else None

    async def _judge_definitions(
        self, message: McpMessage, tools: Sequence[dict[str, Any]], caller: McpCaller
    ) -> McpMessage | McpRefusal:
        """Returns the answer with the tools whose definitions may pass, redacted if need be."""
        whole = await self._judge.judge(
            _with_tools(message, tools), caller, McpJudgement.SIMULATE, TOOLS_LIST
        )
        if not isinstance(whole, McpRefusal) or whole.code == INTERNAL_ERROR or not tools:
            return whole
        judged = await asyncio.gather(*(self._judge_one(message, each, caller) for each in tools))
        passing = [each for each in judged if each is not None]
        return await self._judge.judge(
            _with_tools(message, passing), caller, McpJudgement.SIMULATE, TOOLS_LIST
        )

    async def _judge_one(
        self, message: McpMessage, tool: dict[str, Any], caller: McpCaller
    ) -> dict[str, Any] | None:
        async with self._slots:
            judged = await self._judge.judge(
                _with_tools(message, [tool]), caller, McpJudgement.SIMULATE, TOOLS_LIST
            )
        if isinstance(judged, McpRefusal):
            name = excerpt(tool["name"])
            _log.warning("tool definition denied", server=self._server, tool=name)
            return None
        (redacted,) = judged.result["tools"]
        return redacted if isinstance(redacted, dict) else None


def _problem_of(tools: Any) -> str:
    """Returns what is wrong with a list of tools; empty if nothing is."""
    if not isinstance(tools, list):
        return "is no list"
    if len(tools) > MAX_TOOLS_IN_PAGE:
        return f"has more than {MAX_TOOLS_IN_PAGE} tools"
    names: set[str] = set()
    for each in tools:
        name = each.get("name") if isinstance(each, dict) else None
        if not isinstance(name, str) or not name:
            return "has a tool without a name"
        if name in names:
            return "has two tools of one name"
        names.add(name)
    return ""


def _with_tools(message: McpMessage, tools: Sequence[dict[str, Any]]) -> McpMessage:
    """Returns an answer with other tools. It depends on the caller, so it is cached privately."""
    result = {**message.result, "tools": list(tools)}
    if "cacheScope" in result or "ttlMs" in result:
        result["cacheScope"] = "private"
    if result == message.result:
        return message
    return _message({**message.document, "result": result})


def _message(document: dict[str, Any]) -> McpMessage:
    return read_message(to_text(document).encode())
