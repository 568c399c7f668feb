"""Anthropic Messages: requests and responses."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from pdp.domain.placement import SYSTEM
from pdp.payloads.dialects import ANTHROPIC, may_be
from pdp.payloads.shapes import object_of, objects_of, text_of, tool_of
from pdp.payloads.turns import last_answer

if TYPE_CHECKING:
    from pdp.payloads.reader import PartReader

NAME: Final = "anthropic.messages"

_Take = Callable[[str, str], None]

_TEXTS: Final = ("text", "thinking", "title", "context", "page_age", "stdout", "stderr")
"""The members of blocks that are texts, in their order in documents."""

_RESULT_BLOCKS: Final = frozenset(
    {
        "text",
        "image",
        "document",
        "search_result",
        "web_search_result",
        "web_fetch_result",
        "code_execution_result",
        "encrypted_code_execution_result",
        "bash_code_execution_result",
        "text_editor_code_execution_view_result",
        "code_execution_output",
        "bash_code_execution_output",
        "advisor_result",
        "advisor_redacted_result",
    }
)
"""The types of blocks in results whose members `_block` knows."""


def is_request(document: Any) -> bool:
    """Whether a document looks like a request."""
    return may_be(document, ANTHROPIC)


def is_response(document: Any) -> bool:
    """Whether a document looks like a response."""
    return (
        isinstance(document, dict)
        and document.get("type") == "message"
        and document.get("role") == "assistant"
        and isinstance(document.get("content"), list)
    )


def read_request(reader: PartReader) -> None:
    """Reads a request."""
    document = reader.document
    _model(reader)
    _content(reader, document.get("system"), "/system", _taker(reader, "system"))
    messages = document.get("messages")
    last = last_answer(messages, _is_answer)
    for pointer, message in objects_of(messages, "/messages"):
        take = _taker(reader, text_of(message, "role"))
        _content(reader, message.get("content"), f"{pointer}/content", take)
        if pointer == f"/messages/{last}":
            reader.end_of_earlier()
    if "tools" in document:
        reader.structure("/tools", document["tools"], "tools")


def read_response(reader: PartReader) -> None:
    """Reads a response."""
    document = reader.document
    _model(reader)
    _content(reader, document.get("content"), "/content", _taker(reader, "assistant"))


def _model(reader: PartReader) -> None:
    reader.model = text_of(reader.document, "model")


def _is_answer(message: dict[str, Any]) -> bool:
    return message.get("role") == "assistant"


def _taker(reader: PartReader, role: str) -> _Take:
    scope = SYSTEM if role == "system" else ""
    return lambda pointer, text: reader.text(pointer, text, role, scope)


def _content(reader: PartReader, content: Any, pointer: str, take: _Take) -> None:
    if isinstance(content, str):
        take(pointer, content)
    for below, block in objects_of(content, pointer):
        _block(reader, block, below, take)


def _block(reader: PartReader, block: dict[str, Any], pointer: str, take: _Take) -> None:
    kind = text_of(block, "type")
    if kind.endswith("tool_use"):
        _call(reader, block, pointer)
    elif kind.endswith("tool_result"):
        _result(reader, block.get("content"), f"{pointer}/content")
    else:
        for name in _TEXTS:
            text = block.get(name)
            if isinstance(text, str):
                take(f"{pointer}/{name}", text)
        _source(reader, block, pointer, take)
        if kind != "web_fetch_result":  # `_result_block` reads the page
            _content(reader, block.get("content"), f"{pointer}/content", take)


def _call(reader: PartReader, block: dict[str, Any], pointer: str) -> None:
    tool, server = tool_of(block, pointer), text_of(block, "server_name")
    if "input" in block:
        reader.call(f"{pointer}/input", tool, block["input"], server=server)
    else:
        reader.call(pointer, tool, block, server=server)


def _result(reader: PartReader, content: Any, pointer: str) -> None:
    """Takes the content of a result: a text, a block, or blocks."""
    if isinstance(content, list):
        for index, block in enumerate(content):
            _result_block(reader, block, f"{pointer}/{index}")
    elif content is not None:
        _result_block(reader, content, pointer)


def _result_block(reader: PartReader, block: Any, pointer: str) -> None:
    if not isinstance(block, dict) or text_of(block, "type") not in _RESULT_BLOCKS:
        reader.result(pointer, block)
        return
    for name in ("url", "source"):  # addresses of what was found
        address = block.get(name)
        if isinstance(address, str):
            reader.result(f"{pointer}/{name}", address)
    if block["type"] == "web_fetch_result":
        _result(reader, block.get("content"), f"{pointer}/content")
    _block(reader, block, pointer, reader.result)


def _source(reader: PartReader, block: dict[str, Any], pointer: str, take: _Take) -> None:
    """Takes the source of an image or a document. Addresses are left to the rest."""
    below, source = object_of(block, "source", pointer)
    kind = text_of(source, "type")
    data = source.get("data")
    if kind == "base64":
        reader.media(f"{below}/data")
    elif isinstance(data, str):
        take(f"{below}/data", data)
    reader.url_or_media(f"{below}/url", source.get("url"))
    _content(reader, source.get("content"), f"{below}/content", take)
