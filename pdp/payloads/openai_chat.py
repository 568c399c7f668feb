"""OpenAI Chat Completions: requests, responses, and the chunks of streamed responses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pdp.domain.placement import SYSTEM
from pdp.payloads.dialects import OPENAI, may_be
from pdp.payloads.shapes import object_of, objects_of, text_of, tool_of
from pdp.payloads.turns import last_answer

if TYPE_CHECKING:
    from pdp.payloads.reader import PartReader

NAME: Final = "openai.chat_completions"

_SYSTEM_ROLES: Final = frozenset({"system", "developer"})
_RESULT_ROLES: Final = frozenset({"tool", "function"})
_URLS: Final = frozenset({"image_url", "video_url", "audio_url"})
"""The types of parts of contents that hold an address, which may be a `data:` URL."""

_DATA: Final = {"input_audio": "data", "file": "file_data"}
"""The types of parts of contents that hold data, with the member that has it."""


_ROLES: Final = frozenset({"user", "assistant", *_SYSTEM_ROLES, *_RESULT_ROLES})
_PLAIN: Final = frozenset({"role", "content"})


def is_request(document: Any) -> bool:
    """Whether a document looks like a request."""
    return may_be(document, OPENAI)


def is_response(document: Any) -> bool:
    """Whether a document looks like a response, or like a chunk of one."""
    return isinstance(document, dict) and isinstance(document.get("choices"), list)


def read_request(reader: PartReader) -> None:
    """Reads a request."""
    document = reader.document
    reader.model = text_of(document, "model")
    messages = document.get("messages")
    last = last_answer(messages, _is_answer)
    for pointer, message in objects_of(messages, "/messages"):
        _message(reader, message, pointer)
        if pointer == f"/messages/{last}":
            reader.end_of_earlier()
    for name in ("tools", "functions"):
        if name in document:
            reader.structure(f"/{name}", document[name], "tools")


def read_response(reader: PartReader) -> None:
    """Reads a response."""
    document = reader.document
    reader.model = text_of(document, "model")
    for pointer, choice in objects_of(document.get("choices"), "/choices"):
        for name in ("message", "delta"):
            below, message = object_of(choice, name, pointer)
            _message(reader, message, below, "assistant")
        text = choice.get("text")
        if isinstance(text, str):  # the older Completions API
            reader.text(f"{pointer}/text", text, "assistant")
        reader.repetition(f"{pointer}/logprobs", choice.get("logprobs"))


def _is_answer(message: dict[str, Any]) -> bool:
    return message.get("role") == "assistant"


def _message(reader: PartReader, message: dict[str, Any], pointer: str, role: str = "") -> None:
    role = text_of(message, "role") or role
    reader.word(f"{pointer}/role", text_of(message, "role"), _ROLES)
    content = message.get("content")
    if isinstance(content, str):
        _text(reader, f"{pointer}/content", content, role)
        if message.keys() == _PLAIN:  # most messages
            return
    for below, part in objects_of(content, f"{pointer}/content"):
        _content_part(reader, part, below, role)
    for name in ("refusal", "reasoning_content", "reasoning"):
        text = message.get(name)
        if isinstance(text, str):
            reader.text(f"{pointer}/{name}", text, role)
    _audio(reader, message, pointer, role)
    for below, call in objects_of(message.get("tool_calls"), f"{pointer}/tool_calls"):
        _call(reader, call, below, "function", "arguments")
        _call(reader, call, below, "custom", "input")
    _call(reader, message, pointer, "function_call", "arguments")


def _audio(reader: PartReader, message: dict[str, Any], pointer: str, role: str) -> None:
    if "audio" not in message:
        return
    below, audio = object_of(message, "audio", pointer)
    reader.media(f"{below}/data")
    transcript = audio.get("transcript")
    if isinstance(transcript, str):
        reader.text(f"{below}/transcript", transcript, role)


def _text(reader: PartReader, pointer: str, text: str, role: str) -> None:
    if role in _RESULT_ROLES:
        reader.result(pointer, text)
    else:
        reader.text(pointer, text, role, SYSTEM if role in _SYSTEM_ROLES else "")


def _content_part(reader: PartReader, part: dict[str, Any], pointer: str, role: str) -> None:
    kind = text_of(part, "type")
    for name in ("text", "refusal"):
        text = part.get(name)
        if isinstance(text, str):
            _text(reader, f"{pointer}/{name}", text, role)
    below, medium = object_of(part, kind, pointer)
    if kind in _URLS:
        reader.url_or_media(below, part.get(kind))  # some clients send no object
        reader.url_or_media(f"{below}/url", medium.get("url"))
    elif kind in _DATA:
        reader.media(f"{below}/{_DATA[kind]}")


def _call(reader: PartReader, owner: dict[str, Any], pointer: str, kind: str, name: str) -> None:
    below, function = object_of(owner, kind, pointer)
    tool = tool_of(function, below)
    if name in function:
        reader.call(f"{below}/{name}", tool, function[name])
    elif tool:  # a client may call a tool without arguments too
        reader.call(below, tool, function)
