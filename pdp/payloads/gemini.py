"""Google Gemini `generateContent`: requests, responses, and lists of streamed responses.

Google reads member names in camel case and in snake case, and one object in the place of a list.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from pdp.domain.placement import SYSTEM
from pdp.payloads.pointers import member
from pdp.payloads.shapes import objects_of, text_of, tool_of
from pdp.payloads.turns import last_answer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pdp.payloads.reader import PartReader

NAME: Final = "google.generate_content"

_MODEL_ROLE: Final = "model"
_MODELS: Final = "models/"
_CODE_EXECUTION: Final = "code_execution"
_CAPITAL: Final = re.compile(r"[A-Z]")
_NO_CONTENT: Final = ("promptFeedback", "prompt_feedback", "usageMetadata", "usage_metadata")
"""Members of responses, and of streamed parts of them, that may have no candidates."""


def is_request(document: Any) -> bool:
    """Whether a document looks like a request."""
    if not isinstance(document, dict) or "messages" in document or "candidates" in document:
        return False
    contents = document.get("contents")
    return isinstance(contents, (dict, list)) and all(
        isinstance(each, dict) and ("parts" in each or "role" in each)
        for each in (contents if isinstance(contents, list) else [contents])
    )


def is_response(document: Any) -> bool:
    """Whether a document looks like a response, or like a list of streamed ones."""
    responses = document if isinstance(document, list) else [document]
    return bool(responses) and all(
        isinstance(each, dict)
        and (
            isinstance(each.get("candidates"), list)
            or any(isinstance(each.get(name), dict) for name in _NO_CONTENT)
        )
        for each in responses
    )


def read_request(reader: PartReader) -> None:
    """Reads a request."""
    document = reader.document
    model = text_of(document, "model")
    reader.model = model.rpartition(_MODELS)[2]
    for pointer, instruction in _members(document, "systemInstruction", ""):
        if isinstance(instruction, str):
            reader.text(pointer, instruction, "system", SYSTEM)
        elif isinstance(instruction, dict):
            _content(reader, instruction, pointer, "system")
    contents = document.get("contents")
    last = last_answer(contents, _is_answer)
    for pointer, content in _objects(contents, "/contents"):
        _content(reader, content, pointer, text_of(content, "role") or "user")
        if pointer == f"/contents/{last}":
            reader.end_of_earlier()
    if "tools" in document:
        reader.structure("/tools", document["tools"], "tools")


def read_response(reader: PartReader) -> None:
    """Reads a response, or a list of streamed ones."""
    for pointer, response in _objects(reader.document, ""):
        for _, model in _members(response, "modelVersion", pointer):
            reader.model = model if isinstance(model, str) else reader.model
        for below, candidate in objects_of(response.get("candidates"), f"{pointer}/candidates"):
            content = candidate.get("content")
            if isinstance(content, dict):
                _content(reader, content, f"{below}/content", _MODEL_ROLE)
            for place, tokens in _members(candidate, "logprobsResult", below):
                reader.repetition(place, tokens)


def _is_answer(content: dict[str, Any]) -> bool:
    return content.get("role") == _MODEL_ROLE


def _members(owner: dict[str, Any], name: str, pointer: str) -> Iterator[tuple[str, Any]]:
    """Yields a member in each of its two spellings that is there, with its pointer."""
    snake_case = _CAPITAL.sub(lambda capital: f"_{capital[0].lower()}", name)
    for spelling in dict.fromkeys((name, snake_case)):
        if spelling in owner:
            yield member(pointer, spelling), owner[spelling]


def _nested(owner: dict[str, Any], name: str, pointer: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for below, value in _members(owner, name, pointer):
        if isinstance(value, dict):
            yield below, value


def _objects(value: Any, pointer: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(value, dict):
        yield pointer, value
    yield from objects_of(value, pointer)


def _content(reader: PartReader, content: dict[str, Any], pointer: str, role: str) -> None:
    for below, part in _objects(content.get("parts"), f"{pointer}/parts"):
        _part(reader, part, below, role)


def _part(reader: PartReader, part: dict[str, Any], pointer: str, role: str) -> None:
    text = part.get("text")
    if isinstance(text, str):
        reader.text(f"{pointer}/text", text, role, SYSTEM if role == "system" else "")
    _media(reader, part, pointer)
    for below, call in _nested(part, "functionCall", pointer):
        _call(reader, call, below, tool_of(call, below))
    for below, call in _nested(part, "toolCall", pointer):
        kinds = [kind for _, kind in _members(call, "toolType", below) if isinstance(kind, str)]
        _call(reader, call, below, kinds[0] if kinds else "")
    for name in ("functionResponse", "toolResponse"):
        for below, response in _nested(part, name, pointer):
            _response(reader, response, below)
    for below, code in _nested(part, "executableCode", pointer):
        if isinstance(code.get("code"), str):
            reader.call(f"{below}/code", _CODE_EXECUTION, code["code"])
    for below, result in _nested(part, "codeExecutionResult", pointer):
        if "output" in result:
            reader.result(f"{below}/output", result["output"])
    for below, transcript in _nested(part, "audioTranscription", pointer):
        if isinstance(transcript.get("text"), str):
            reader.text(f"{below}/text", transcript["text"], role)


def _call(reader: PartReader, call: dict[str, Any], pointer: str, tool: str) -> None:
    if "args" in call:
        reader.call(f"{pointer}/args", tool, call["args"])
    else:  # a function without parameters
        reader.call(pointer, tool, call)


def _response(reader: PartReader, response: dict[str, Any], pointer: str) -> None:
    if "response" in response:
        reader.result(f"{pointer}/response", response["response"])
    for below, part in _objects(response.get("parts"), f"{pointer}/parts"):
        _media(reader, part, below)


def _media(reader: PartReader, part: dict[str, Any], pointer: str) -> None:
    for below, _ in _nested(part, "inlineData", pointer):
        reader.media(f"{below}/data")
    for below, file in _nested(part, "fileData", pointer):
        for uri_pointer, uri in _members(file, "fileUri", below):
            reader.url_or_media(uri_pointer, uri)
