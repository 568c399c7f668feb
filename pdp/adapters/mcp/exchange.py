"""What passes between a client and a server: the rules, without a transport."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import structlog

from pdp.adapters.mcp.judge import McpRefusal, MessageJudge, local_refusal
from pdp.adapters.mcp.messages import (
    DENIED,
    INTERNAL_ERROR,
    METHOD_NOT_FOUND,
    UNSUPPORTED_VERSION,
    MalformedMessage,
    McpMessage,
    error_answer,
    take_tokens,
)
from pdp.adapters.mcp.methods import (
    FROM_CLIENT,
    FROM_SERVER,
    INITIALIZE,
    SUPPORTED,
    TOOLS_CALL,
    TOOLS_LIST,
    McpJudgement,
    judgement_of_answer,
    needs_no_judgement,
    version_of,
)
from pdp.adapters.meta_tokens import META, has_tokens
from pdp.strictjson.objects import to_text
from pdp.strictjson.problems import excerpt

if TYPE_CHECKING:
    from pdp.adapters.mcp.judge import McpCaller
    from pdp.adapters.mcp.messages import MessageId
    from pdp.adapters.mcp.tools import ToolGuard

_log: Final = structlog.get_logger("pdp.mcp")


HELD_KEY: Final = "dev.pdp/held"
"""The member of a result's `_meta` that says what a call waits for."""


class McpSide(Enum):
    """One of the two ends."""

    CLIENT = "client"
    SERVER = "server"


class ToolDenialForm(Enum):
    """How a denied call of a tool is answered.

    Attributes:
        ERROR: by a JSON-RPC error.
        RESULT: by a result with `isError`, which clients show to the model.
    """

    ERROR = "error"
    RESULT = "result"


class Passage(NamedTuple):
    """What becomes of a message. If both fields are None, it ends here.

    Attributes:
        forward: what the other side gets.
        answer: what the sender gets in reply.
    """

    forward: McpMessage | None = None
    answer: str | None = None


class McpExchange:
    """Judges what one side sends before the other gets it."""

    def __init__(
        self, judge: MessageJudge, tools: ToolGuard, denials: ToolDenialForm = ToolDenialForm.ERROR
    ) -> None:
        """Args:
        judge: judges the messages.
        tools: filters lists of tools.
        denials: how denied calls of tools are answered.
        """
        self._judge = judge
        self.tools = tools
        self._denials = denials

    async def request(self, message: McpMessage, sender: McpSide, caller: McpCaller) -> Passage:
        """Returns what becomes of a request: it is forwarded, or the sender gets an error."""
        tokens: tuple[str, ...] | None = None  # only a client can ask its user
        if sender is McpSide.CLIENT:
            try:
                message, tokens = await take_tokens(message)
            except MalformedMessage as fault:
                return Passage(answer=error_answer(fault.id, fault.code, fault.message))
        refusal = self._known(message, sender)
        if refusal is None and message.method == TOOLS_CALL:
            refusal = self._check_tool(message)
        if refusal is None:
            judged = await self._judge_request(message, sender, caller, tokens)
            if isinstance(judged, McpMessage):
                return Passage(forward=judged)
            refusal = judged
        _log_refusal("request denied", message.method, refusal)
        return Passage(answer=self._refused(message, refusal))

    async def _judge_request(
        self,
        message: McpMessage,
        sender: McpSide,
        caller: McpCaller,
        tokens: tuple[str, ...] | None,
    ) -> McpMessage | McpRefusal:
        if needs_no_judgement(message):
            return message
        methods = FROM_CLIENT if sender is McpSide.CLIENT else FROM_SERVER
        judgement = methods[message.method]
        return await self._judge.judge(message, caller, judgement, tokens=tokens)

    def _known(self, message: McpMessage, sender: McpSide) -> McpRefusal | None:
        version = version_of(message)
        if version and version not in SUPPORTED:
            data = {"supported": list(SUPPORTED), "requested": excerpt(version)}
            return McpRefusal(UNSUPPORTED_VERSION, "Unsupported protocol version", data)
        methods = FROM_CLIENT if sender is McpSide.CLIENT else FROM_SERVER
        if message.method in methods:
            return None
        text = f'The method "{excerpt(message.method)}" is not known here, so it is denied.'
        return McpRefusal(METHOD_NOT_FOUND, text, {"reason": "UNKNOWN_METHOD"})

    def _check_tool(self, message: McpMessage) -> McpRefusal | None:
        name = message.params.get("name")
        return self.tools.check_call(name) if isinstance(name, str) else None

    def _refused(self, message: McpMessage, refusal: McpRefusal) -> str:
        by_result = message.method == TOOLS_CALL and self._denials is ToolDenialForm.RESULT
        if by_result and refusal.code == DENIED:
            return _denied_result(message.id, refusal, modern=bool(version_of(message)))
        return error_answer(message.id, refusal.code, refusal.message, refusal.data)

    async def answer(
        self, message: McpMessage, method: str, sender: McpSide, caller: McpCaller
    ) -> McpMessage:
        """Returns what the other side gets for an answer: the answer, or an error in its place.

        Args:
            message: the answer.
            method: of the request; empty if it is not known.
            sender: the side that answers.
            caller: for whom the client works.
        """
        result = message.result
        # Only servers have tools. A client must not have an effect on the pins of a server.
        is_list = sender is McpSide.SERVER and isinstance(result, dict) and "tools" in result
        judged: McpMessage | McpRefusal
        if method == INITIALIZE and isinstance(result, dict) and not _is_supported(result):
            judged = McpRefusal(
                INTERNAL_ERROR,
                "The server speaks a version that is not supported.",
                {"reason": "UNSUPPORTED_VERSION", "supported": list(SUPPORTED)},
            )
        elif (method == TOOLS_LIST and result is not None) or (is_list and not method):
            judged = await self.tools.filter(message, caller)
        elif result == {}:
            return message
        else:
            judgement = judgement_of_answer(method, result)
            judged = await self._judge.judge(message, caller, judgement, method)
        if isinstance(judged, McpMessage):
            return judged
        _log_refusal("answer denied", method, judged)
        return _error_in_place(message, judged)

    async def notification(self, message: McpMessage, caller: McpCaller) -> McpMessage | None:
        """Returns a notification as the other side gets it; None if it may not pass."""
        if needs_no_judgement(message):
            return message
        judged: McpMessage | McpRefusal
        if has_tokens(message.params):
            judged = local_refusal("TOKENS_MISPLACED", "A notification cannot be confirmed.")
        else:
            judged = await self._judge.judge(message, caller, McpJudgement.SIMULATE)
        if isinstance(judged, McpMessage):
            return judged
        _log_refusal("notification denied", message.method, judged)
        return None


def _is_supported(result: dict[str, Any]) -> bool:
    return result.get("protocolVersion") in SUPPORTED


def _error_in_place(message: McpMessage, refusal: McpRefusal) -> McpMessage:
    text = error_answer(message.id, refusal.code, refusal.message, refusal.data)
    error = {"code": refusal.code, "message": refusal.message, "data": refusal.data}
    return McpMessage(text, {"jsonrpc": "2.0", "id": message.id, "error": error}, message.id)


def _denied_result(message_id: MessageId | None, refusal: McpRefusal, *, modern: bool) -> str:
    decision = refusal.data.get("decisionId")
    reference = f", decision {decision}" if decision else ""
    text = f"{refusal.message} ({refusal.reason}{reference})"
    result: dict[str, Any] = {"content": [{"type": "text", "text": text}], "isError": True}
    if refusal.notice:
        result[META] = {HELD_KEY: refusal.notice}  # clients do not show it to models
    if modern:
        result["resultType"] = "complete"
    return to_text({"jsonrpc": "2.0", "id": message_id, "result": result})


def _log_refusal(event: str, method: str, refusal: McpRefusal) -> None:
    _log.warning(
        event,
        method=excerpt(method) or "unknown",
        code=refusal.code,
        reason=refusal.reason,
        decision_id=refusal.data.get("decisionId", ""),
    )
