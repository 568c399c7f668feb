"""The methods of MCP, in all versions that are supported, and how their messages are judged.

A method that is not named here is denied.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pdp.adapters.mcp.messages import McpMessage

INITIALIZE: Final = "initialize"
PING: Final = "ping"
TOOLS_CALL: Final = "tools/call"
TOOLS_LIST: Final = "tools/list"
TASKS_GET: Final = "tasks/get"
CANCELLED: Final = "notifications/cancelled"
LISTEN: Final = "subscriptions/listen"

MODERN: Final = "2026-07-28"
"""The first version without sessions. Its requests name their version."""

SUPPORTED: Final = ("2026-07-28", "2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
"""The versions whose messages are understood."""

VERSION_KEY: Final = "io.modelcontextprotocol/protocolVersion"

NAMED: Final[Mapping[str, str]] = {
    TOOLS_CALL: "name",
    "prompts/get": "name",
    "resources/read": "uri",
}
"""Methods that act on one thing, with the parameter that names it."""


class McpJudgement(Enum):
    """How a message is judged.

    Attributes:
        DECIDE: by a decision, which counts and is recorded.
        SIMULATE: by the same policies, but it neither counts nor is recorded.
    """

    DECIDE = "decide"
    SIMULATE = "simulate"


FROM_CLIENT: Final[Mapping[str, McpJudgement]] = {
    INITIALIZE: McpJudgement.SIMULATE,
    "server/discover": McpJudgement.SIMULATE,
    PING: McpJudgement.SIMULATE,
    "logging/setLevel": McpJudgement.SIMULATE,
    TOOLS_LIST: McpJudgement.SIMULATE,
    TOOLS_CALL: McpJudgement.DECIDE,
    "prompts/list": McpJudgement.SIMULATE,
    "prompts/get": McpJudgement.DECIDE,
    "resources/list": McpJudgement.SIMULATE,
    "resources/templates/list": McpJudgement.SIMULATE,
    "resources/read": McpJudgement.DECIDE,
    "resources/subscribe": McpJudgement.DECIDE,
    "resources/unsubscribe": McpJudgement.SIMULATE,
    LISTEN: McpJudgement.DECIDE,
    "completion/complete": McpJudgement.DECIDE,
    TASKS_GET: McpJudgement.SIMULATE,
    "tasks/list": McpJudgement.SIMULATE,
    "tasks/cancel": McpJudgement.SIMULATE,
    "tasks/result": McpJudgement.DECIDE,
    "tasks/update": McpJudgement.DECIDE,
}
"""The requests that clients send, and servers answer."""

FROM_SERVER: Final[Mapping[str, McpJudgement]] = {
    PING: McpJudgement.SIMULATE,
    "sampling/createMessage": McpJudgement.DECIDE,
    "elicitation/create": McpJudgement.DECIDE,
    "roots/list": McpJudgement.SIMULATE,
    TASKS_GET: McpJudgement.SIMULATE,
    "tasks/list": McpJudgement.SIMULATE,
    "tasks/cancel": McpJudgement.SIMULATE,
    "tasks/result": McpJudgement.DECIDE,
}
"""The requests that servers send, and clients answer, up to version 2025-11-25."""

_TASK_CONTENT: Final = ("result", "error", "inputRequests")
"""Members of a task that its end brings. Until then, a client asks again and again."""


def judgement_of_answer(method: str, result: Any) -> McpJudgement:
    """Returns how the answer to a request is judged.

    Args:
        method: of the request; empty if it is not known.
        result: of the answer; None for an error.
    """
    if method == TASKS_GET and isinstance(result, dict):
        has_content = any(name in result for name in _TASK_CONTENT)
        return McpJudgement.DECIDE if has_content else McpJudgement.SIMULATE
    return FROM_CLIENT.get(method) or FROM_SERVER.get(method) or McpJudgement.DECIDE


_NUMBERS: Final = frozenset({"progress", "total"})
_IDENTIFIERS: Final = frozenset({"requestId", "progressToken"})
_META: Final = frozenset({"progressToken", "io.modelcontextprotocol/subscriptionId", VERSION_KEY})
_IDENTIFIER: Final = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


def needs_no_judgement(message: McpMessage) -> bool:
    """Whether a ping or a notification has nothing but identifiers and numbers."""
    if message.method != PING and not message.is_notification:
        return False
    params = message.params
    meta = params.get("_meta", {})
    return (
        isinstance(meta, dict)
        and all(key in _META and _is_identifier(value) for key, value in meta.items())
        and all(_is_plain(key, value) for key, value in params.items() if key != "_meta")
    )


def _is_plain(key: str, value: Any) -> bool:
    if key in _NUMBERS:
        return isinstance(value, (int, float))
    return key in _IDENTIFIERS and _is_identifier(value)


def _is_identifier(value: Any) -> bool:
    if isinstance(value, str):
        return _IDENTIFIER.fullmatch(value) is not None
    return isinstance(value, int)


def version_of(message: McpMessage) -> str:
    """Returns the version that a request names in its parameters; empty if it names none."""
    meta = message.params.get("_meta")
    version = meta.get(VERSION_KEY) if isinstance(meta, dict) else None
    return version if isinstance(version, str) else ""
