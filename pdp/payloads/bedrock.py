"""Amazon Bedrock Converse: requests and responses."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from pdp.domain.placement import SYSTEM
from pdp.payloads.dialects import BEDROCK, has_mark, may_be
from pdp.payloads.shapes import object_of, objects_of, text_of, tool_of
from pdp.payloads.turns import last_answer

if TYPE_CHECKING:
    from pdp.payloads.reader import PartReader

NAME: Final = "bedrock.converse"

_Take = Callable[[str, str], None]

_MEDIA: Final = ("image", "video", "audio", "document")


def is_request(document: Any) -> bool:
    """Whether a document looks like a request."""
    if may_be(document, BEDROCK):
        return has_mark(document, BEDROCK)
    # A stored prompt needs no messages.
    return (
        isinstance(document, dict)
        and "messages" not in document
        and isinstance(document.get("promptVariables"), dict)
    )


def is_response(document: Any) -> bool:
    """Whether a document looks like a response."""
    if not isinstance(document, dict):
        return False
    output = document.get("output")
    return isinstance(output, dict) and isinstance(output.get("message"), dict)


def read_request(reader: PartReader) -> None:
    """Reads a request."""
    document = reader.document
    reader.model = text_of(document, "modelId")
    _content(reader, document.get("system"), "/system", _taker(reader, "system"))
    messages = document.get("messages")
    last = last_answer(messages, _is_answer)
    for pointer, message in objects_of(messages, "/messages"):
        _message(reader, message, pointer)
        if pointer == f"/messages/{last}":
            reader.end_of_earlier()
    if "promptVariables" in document:
        reader.structure("/promptVariables", document["promptVariables"], "user")
    if "toolConfig" in document:
        reader.structure("/toolConfig", document["toolConfig"], "tools")


def read_response(reader: PartReader) -> None:
    """Reads a response."""
    pointer, output = object_of(reader.document, "output", "")
    pointer, message = object_of(output, "message", pointer)
    _message(reader, message, pointer)


def _is_answer(message: dict[str, Any]) -> bool:
    return message.get("role") == "assistant"


def _message(reader: PartReader, message: dict[str, Any], pointer: str) -> None:
    take = _taker(reader, text_of(message, "role"))
    _content(reader, message.get("content"), f"{pointer}/content", take)


def _taker(reader: PartReader, role: str) -> _Take:
    scope = SYSTEM if role == "system" else ""
    return lambda pointer, text: reader.text(pointer, text, role, scope)


def _content(reader: PartReader, content: Any, pointer: str, take: _Take) -> None:
    for below, block in objects_of(content, pointer):
        _block(reader, block, below, take)


def _block(reader: PartReader, block: dict[str, Any], pointer: str, take: _Take) -> None:
    _text(block, "text", pointer, take)
    for name in _MEDIA:
        below, medium = object_of(block, name, pointer)
        _medium(reader, medium, below, take)
    below, call = object_of(block, "toolUse", pointer)
    if call:
        if "input" in call:
            reader.call(f"{below}/input", tool_of(call, below), call["input"])
        else:
            reader.call(below, tool_of(call, below), call)
    below, result = object_of(block, "toolResult", pointer)
    _result(reader, result.get("content"), f"{below}/content")
    below, found = object_of(block, "searchResult", pointer)
    for name in ("source", "title"):
        _text(found, name, below, take)
    _content(reader, found.get("content"), f"{below}/content", take)
    below, cited = object_of(block, "citationsContent", pointer)
    _content(reader, cited.get("content"), f"{below}/content", take)
    below, guarded = object_of(block, "guardContent", pointer)
    _guarded(reader, guarded, below, take)
    below, reasoning = object_of(block, "reasoningContent", pointer)
    below, thought = object_of(reasoning, "reasoningText", below)
    _text(thought, "text", below, take)


def _text(owner: dict[str, Any], name: str, pointer: str, take: _Take) -> None:
    text = owner.get(name)
    if isinstance(text, str):
        take(f"{pointer}/{name}", text)


def _medium(reader: PartReader, medium: dict[str, Any], pointer: str, take: _Take) -> None:
    """Takes an image, a video, a sound or a document. Addresses are left to the rest."""
    for name in ("name", "context"):
        _text(medium, name, pointer, take)
    below, source = object_of(medium, "source", pointer)
    reader.media(f"{below}/bytes")
    _text(source, "text", below, take)
    _content(reader, source.get("content"), f"{below}/content", take)


def _guarded(reader: PartReader, guarded: dict[str, Any], pointer: str, take: _Take) -> None:
    """Takes what a guardrail is to judge."""
    below, text = object_of(guarded, "text", pointer)
    _text(text, "text", below, take)
    below, image = object_of(guarded, "image", pointer)
    _medium(reader, image, below, take)


def _result(reader: PartReader, content: Any, pointer: str) -> None:
    for below, block in objects_of(content, pointer):
        if "json" in block:
            reader.result(f"{below}/json", block["json"])
        _block(reader, block, below, reader.result)
