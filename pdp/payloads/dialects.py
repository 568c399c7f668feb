"""Tells requests with `messages` apart: three formats have this member.

Each format accepts what no mark says to be of another. So a document without any mark may be of
more than one format, and the first in `pdp.payloads.formats.FORMATS` is taken.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

OPENAI: Final = "openai"
ANTHROPIC: Final = "anthropic"
BEDROCK: Final = "bedrock"

_OPENAI_MEMBERS: Final = frozenset({"functions", "max_completion_tokens", "response_format"})
_OPENAI_ROLES: Final = frozenset({"tool", "developer", "function"})
_OPENAI_CALLS: Final = frozenset({"tool_calls", "function_call"})
_OPENAI_BLOCKS: Final = frozenset({"image_url", "input_audio", "file", "video_url"})

_ANTHROPIC_MEMBERS: Final = frozenset({"anthropic_version", "anthropic_beta", "mcp_servers"})
_ANTHROPIC_BLOCKS: Final = frozenset({"redacted_thinking", "search_result", "container_upload"})
_WITH_SOURCE: Final = frozenset({"image", "document"})
_VERSIONED_TOOL: Final = re.compile(r"[a-z_]+_[0-9]{8}")

_BEDROCK_MEMBERS: Final = frozenset(
    {
        "inferenceConfig",
        "toolConfig",
        "guardrailConfig",
        "additionalModelRequestFields",
        "additionalModelResponseFieldPaths",
        "performanceConfig",
        "promptVariables",
        "requestMetadata",
    }
)
_BEDROCK_BLOCKS: Final = frozenset(
    {
        "text",
        "image",
        "document",
        "video",
        "audio",
        "toolUse",
        "toolResult",
        "guardContent",
        "cachePoint",
        "reasoningContent",
        "citationsContent",
        "searchResult",
        "toolAddition",
        "toolRemoval",
    }
)


def may_be(document: Any, dialect: str) -> bool:
    """Whether no mark of a request with `messages` contradicts a dialect.

    Args:
        document: any JSON value.
        dialect: `OPENAI`, `ANTHROPIC` or `BEDROCK`.
    """
    if not isinstance(document, dict) or not isinstance(document.get("messages"), list):
        return False
    return set(_marks(document)) <= {dialect}


def has_mark(document: Any, dialect: str) -> bool:
    """Whether a request has a mark of a dialect."""
    return isinstance(document, dict) and dialect in set(_marks(document))


def _marks(document: dict[str, Any]) -> Iterator[str]:
    for dialect, members in (
        (OPENAI, _OPENAI_MEMBERS),
        (ANTHROPIC, _ANTHROPIC_MEMBERS),
        (BEDROCK, _BEDROCK_MEMBERS),
    ):
        if not members.isdisjoint(document):
            yield dialect
    system = document.get("system")
    if isinstance(system, str):
        yield ANTHROPIC
    for block in _objects(system):
        yield ANTHROPIC if "type" in block else BEDROCK
    for tool in _objects(document.get("tools")):
        yield from _tool_marks(tool)
    for message in _objects(document.get("messages")):
        role = message.get("role")
        has_role = isinstance(role, str) and role in _OPENAI_ROLES
        if has_role or not _OPENAI_CALLS.isdisjoint(message):
            yield OPENAI
        for block in _objects(message.get("content")):
            yield from _block_marks(block)


def _tool_marks(tool: dict[str, Any]) -> Iterator[str]:
    if isinstance(tool.get("function"), dict):
        yield OPENAI
    kind = tool.get("type")
    if "input_schema" in tool or (isinstance(kind, str) and _VERSIONED_TOOL.fullmatch(kind)):
        yield ANTHROPIC


def _block_marks(block: dict[str, Any]) -> Iterator[str]:
    kind = block.get("type")
    if not isinstance(kind, str):
        if not _BEDROCK_BLOCKS.isdisjoint(block):
            yield BEDROCK
    elif kind in _OPENAI_BLOCKS:
        yield OPENAI
    elif (
        kind in _ANTHROPIC_BLOCKS
        or kind.endswith(("tool_use", "tool_result"))
        or (kind in _WITH_SOURCE and isinstance(block.get("source"), dict))
        or (kind == "thinking" and "signature" in block)
    ):
        yield ANTHROPIC


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    for item in value if isinstance(value, list) else ():
        if isinstance(item, dict):
            yield item
