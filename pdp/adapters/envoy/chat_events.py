"""The events of OpenAI Chat Completions: from a stream to the answer that it makes, and back."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from pdp.errors import InvalidArgument, Violation
from pdp.strictjson.objects import read_object
from pdp.strictjson.problems import InvalidValue

MAX_EVENTS: Final = 100_000
MAX_CHOICES: Final = 128
MAX_CALLS: Final = 1024

DONE: Final = "[DONE]"

_NAMES: Final = frozenset({"", "message", "error"})
"""The names that an event may have."""

_IDENTIFIERS: Final = frozenset({"id", "type", "role", "index"})
"""Members that are not texts in pieces: they have the same value wherever they are."""


def events_of(raw: bytes) -> tuple[list[str], list[str]]:
    """Returns the data of each event of a stream, and the other texts in it: comments and ids.

    Raises:
        InvalidArgument: the stream is not UTF-8, has other lines, or is too long.
    """
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise _refused("is not UTF-8") from None
    events: list[str] = []
    notes: list[str] = []
    data: list[str] = []
    for line in (*text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), ""):
        name, _, rest = line.partition(":")
        value = rest.removeprefix(" ")
        if not line and data:
            events.append("\n".join(data))
            data = []
        elif name == "data":
            data.append(value)
        elif name == "event" and value not in _NAMES:
            raise _refused("has an event of an unknown name")
        elif name not in ("", "event", "id", "retry"):
            raise _refused("is not a stream of events")
        elif value and name != "event":
            notes.append(value)
        if len(events) + len(notes) > MAX_EVENTS:
            raise _refused(f"has more than {MAX_EVENTS} events")
    return events, notes


def assemble(raw: bytes) -> str:
    """Returns the answer that a stream makes, as the JSON of a chat completion.

    What is in the events besides is in its members `rest` and `notes`, so that it is judged, too.

    Raises:
        InvalidArgument: the stream is not understood.
    """
    document: dict[str, Any] = {"object": "chat.completion", "choices": []}
    choices: dict[int, dict[str, Any]] = {}
    rest: list[Any] = []
    is_done = False
    events, notes = events_of(raw)
    for data in events:
        if is_done:
            raise _refused(f"goes on after {DONE}")
        if data.strip() == DONE:
            is_done = True
            continue
        chunk = _chunk(data)
        for each in chunk.pop("choices", None) or ():
            _add_choice(choices, each)
        _add_rest(document, rest, chunk)
    document["choices"] = [choices[index] for index in sorted(choices)]
    if rest:
        document["rest"] = rest
    if notes:
        document["notes"] = notes
    return msgspec.json.encode(document).decode()


def disassemble(body: bytes) -> bytes:
    """Returns a chat completion as a stream of events: one for each choice, and one for its end."""
    document = read_object(body.decode())
    choices = document.pop("choices")
    rest = document.pop("rest", [])
    document.pop("notes", None)  # clients ignore them
    document["object"] = "chat.completion.chunk"
    usage = document.pop("usage", None)
    events: list[dict[str, Any]] = []
    for choice in choices:
        index, reason = choice["index"], choice.pop("finish_reason", None)
        delta = choice.pop("message")
        for position, call in enumerate(delta.get("tool_calls", ())):
            call["index"] = position
        events += [
            {**document, "choices": [{**choice, "delta": delta, "finish_reason": None}]},
            {**document, "choices": [{"index": index, "delta": {}, "finish_reason": reason}]},
        ]
    events += [{**document, "choices": [], **each} for each in rest]
    if usage is not None:
        events.append({**document, "choices": [], "usage": usage})
    lines = [b"data: " + msgspec.json.encode(each) + b"\n\n" for each in events]
    return b"".join([*lines, b"data: [DONE]\n\n"])


def _chunk(data: str) -> dict[str, Any]:
    try:
        return read_object(data)
    except InvalidValue:
        raise _refused("has an event that is not a JSON object") from None


def _add_rest(document: dict[str, Any], rest: list[Any], chunk: dict[str, Any]) -> None:
    chunk.pop("obfuscation", None)  # random characters that hide the length of a token
    chunk.pop("object", None)
    for name in ("id", "created", "model", "system_fingerprint", "service_tier", "usage"):
        value = chunk.pop(name, None)
        if value is not None:
            if name == "model" and document.get(name, value) != value:
                raise _refused("names two models")
            document[name] = value
    if chunk:
        rest.append(chunk)


def _add_choice(choices: dict[int, dict[str, Any]], piece: Any) -> None:
    index = piece.get("index") if isinstance(piece, dict) else None
    if not isinstance(index, int) or not 0 <= index < MAX_CHOICES:
        raise _refused("has a choice without an index")
    choice = choices.setdefault(
        index, {"index": index, "message": {"role": "assistant"}, "finish_reason": None}
    )
    for name, value in piece.items():
        if name == "delta":
            _add_delta(choice["message"], value)
        elif name != "index" and value is not None:
            if choice.get(name) not in (None, value):
                raise _refused(f"has a choice with two values of {name[:64]}")
            choice[name] = value


def _add_delta(message: dict[str, Any], delta: Any) -> None:
    if not isinstance(delta, dict):
        raise _refused("has a choice without a delta")
    for name, value in delta.items():
        if name == "tool_calls":
            for call in value or ():
                _add_call(message.setdefault(name, []), call)
        elif name == "function_call" and isinstance(value, dict):
            _merge(message.setdefault(name, {}), value)
        elif value is not None:
            _merge(message, {name: value})


def _add_call(calls: list[dict[str, Any]], piece: Any) -> None:
    index = piece.get("index") if isinstance(piece, dict) else None
    if not isinstance(index, int) or not 0 <= index <= len(calls) or index >= MAX_CALLS:
        raise _refused("has a tool call out of order")
    if index == len(calls):
        calls.append({})
    call = calls[index]
    for name, value in piece.items():
        if isinstance(value, dict):
            _merge(call.setdefault(name, {}), value)
        elif name != "index" and value is not None:
            _merge(call, {name: value})


def _merge(owner: dict[str, Any], pieces: dict[str, Any]) -> None:
    """Adds pieces of members: texts are appended, and all else must not change."""
    for name, value in pieces.items():
        present = owner.get(name)
        if value is None or (present == value and (name in _IDENTIFIERS or not _is_text(value))):
            continue
        if present is None:
            owner[name] = value
        elif _is_text(present) and _is_text(value) and name not in _IDENTIFIERS:
            owner[name] = present + value
        else:
            raise _refused(f"has two values of {name[:64]}")


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _refused(reason: str) -> InvalidArgument:
    return InvalidArgument.of(Violation("body", reason))
