"""OpenAI Chat Completions: requests, responses, and the chunks of streamed responses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pdp.domain.placement import SYSTEM
from pdp.payloads.shapes import object_of, objects_of, text_of

if TYPE_CHECKING:
    from pdp.payloads.reader import Reader

NAME: Final = "openai.chat_completions"

_SYSTEM_ROLES: Final = frozenset({"system", "developer"})
_RESULT_ROLES: Final = frozenset({"tool", "function"})
_MEDIA: Final = {"image_url": "url", "input_audio": "data", "file": "file_data"}
"""The types of parts of contents that hold media, with the member that has the data."""


def is_request(document: Any) -> bool:
    """Whether a document looks like a request."""
    return isinstance(document, dict) and isinstance(document.get("messages"), list)


def is_response(document: Any) -> bool:
    """Whether a document looks like a response, or like a chunk of one."""
    return isinstance(document, dict) and isinstance(document.get("choices"), list)


def read_request(reader: Reader) -> None:
    """Reads a request."""
    document = reader.document
    reader.model = text_of(document, "model")
    reader.identifier("/model", document.get("model"))
    messages = document.get("messages")
    last = _last_answer(messages)
    for pointer, message in objects_of(messages, "/messages"):
        _message(reader, message, pointer)
        if pointer == f"/messages/{last}":
            reader.end_of_earlier()
    for name in ("tools", "functions"):
        if name in document:
            reader.structure(f"/{name}", document[name], "tools")


def read_response(reader: Reader) -> None:
    """Reads a response."""
    document = reader.document
    reader.model = text_of(document, "model")
    for name in ("id", "model", "object", "system_fingerprint"):
        reader.identifier(f"/{name}", document.get(name))
    for pointer, choice in objects_of(document.get("choices"), "/choices"):
        for name in ("message", "delta"):
            below, message = object_of(choice, name, pointer)
            _message(reader, message, below, "assistant")
        text = choice.get("text")
        if isinstance(text, str):  # the older Completions API
            reader.text(f"{pointer}/text", text, "assistant")


def _last_answer(messages: Any) -> int:
    """Returns the index of the last answer that the caller has replied to; -1 if there is none.

    An answer at the end of a request is written by the caller too: the model goes on with it.
    """
    roles = [
        each.get("role") if isinstance(each, dict) else None
        for each in (messages if isinstance(messages, list) else ())
    ]
    while roles and roles[-1] == "assistant":
        roles.pop()
    return max((index for index, role in enumerate(roles) if role == "assistant"), default=-1)


def _message(reader: Reader, message: dict[str, Any], pointer: str, role: str = "") -> None:
    role = text_of(message, "role") or role
    reader.identifier(f"{pointer}/role", message.get("role"))
    reader.identifier(f"{pointer}/tool_call_id", message.get("tool_call_id"))
    content = message.get("content")
    if isinstance(content, str):
        _text(reader, f"{pointer}/content", content, role)
    for below, part in objects_of(content, f"{pointer}/content"):
        _content_part(reader, part, below, role)
    for name in ("refusal", "reasoning_content", "reasoning"):
        text = message.get(name)
        if isinstance(text, str):
            reader.text(f"{pointer}/{name}", text, role)
    below, audio = object_of(message, "audio", pointer)
    if "data" in audio:
        reader.media(f"{below}/data")
    for below, call in objects_of(message.get("tool_calls"), f"{pointer}/tool_calls"):
        _call(reader, call, below)
    below, call = object_of(message, "function_call", pointer)
    if "arguments" in call:
        reader.call(f"{below}/arguments", text_of(call, "name"), call["arguments"])


def _text(reader: Reader, pointer: str, text: str, role: str) -> None:
    if role in _RESULT_ROLES:
        reader.result(pointer, text)
    else:
        reader.text(pointer, text, role, SYSTEM if role in _SYSTEM_ROLES else "")


def _content_part(reader: Reader, part: dict[str, Any], pointer: str, role: str) -> None:
    kind = text_of(part, "type")
    for name in ("text", "refusal"):
        text = part.get(name)
        if isinstance(text, str):
            _text(reader, f"{pointer}/{name}", text, role)
    if kind in _MEDIA:
        below, medium = object_of(part, kind, pointer)
        name = _MEDIA[kind]
        if name == "url":
            reader.url_or_media(f"{below}/{name}", medium.get(name))
        elif name in medium:
            reader.media(f"{below}/{name}")


def _call(reader: Reader, call: dict[str, Any], pointer: str) -> None:
    reader.identifier(f"{pointer}/id", call.get("id"))
    below, function = object_of(call, "function", pointer)
    if "arguments" in function:
        reader.call(f"{below}/arguments", text_of(function, "name"), function["arguments"])
    below, custom = object_of(call, "custom", pointer)
    if "input" in custom:
        reader.call(f"{below}/input", text_of(custom, "name"), custom["input"])
