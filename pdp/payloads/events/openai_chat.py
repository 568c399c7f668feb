"""OpenAI Chat Completions: the chunks of a streamed answer.

Each string in a delta is a piece of a lane, also in a member that this version does not know, for
instance one with the reasoning of a model.
"""

from __future__ import annotations

from typing import Any, Final

from pdp.payloads.events.reading import EventReader, index_of
from pdp.payloads.payload import PayloadError
from pdp.payloads.pointers import member
from pdp.payloads.shapes import object_of, objects_of, text_of

_LABELS: Final = frozenset({"type", "id", "format", "role", "signature", "encrypted_content"})
"""Members that say what a part of a delta is, or that only the provider can read."""

_COMPLETE: Final = frozenset({"annotations", "citations"})
"""Members of deltas that are lists of complete values."""

_CALLS: Final = ("function", "custom")


def is_event(document: dict[str, Any]) -> bool:
    """Whether an event looks like a chunk."""
    return isinstance(document.get("choices"), list)


class ChatEvents:
    """Reads the chunks of one stream."""

    def read(self, reader: EventReader) -> None:
        """See `EventFormat.read`."""
        document = reader.document
        reader.model = text_of(document, "model")
        reader.number("/created", document.get("created"))
        reader.numbers("/usage", document.get("usage"))
        for pointer, choice in objects_of(document.get("choices"), "/choices"):
            _choice(reader, choice, pointer)


def _choice(reader: EventReader, choice: dict[str, Any], pointer: str) -> None:
    index = index_of(choice, "index")
    lane = f"/choices/{index}"
    reader.number(f"{pointer}/index", index)
    below, delta = object_of(choice, "delta", pointer)
    texts = _Texts(reader)
    for name, value in delta.items():
        if name == "tool_calls" and isinstance(value, list):
            for call_pointer, call in objects_of(value, f"{below}/tool_calls"):
                number = index_of(call, "index")
                reader.number(f"{call_pointer}/index", number)
                call_lane = f"{lane}/message/tool_calls/{number}"
                for kind in _CALLS:
                    _call(reader, call, kind, call_pointer, call_lane)
        elif name == "function_call" and isinstance(value, dict):
            _call(reader, delta, name, below, f"{lane}/message")
        elif name not in _COMPLETE:
            texts.read(name, value, member(below, name), member(f"{lane}/message", name))
    text = choice.get("text")
    if isinstance(text, str):  # the older Completions API
        texts.read("text", text, f"{pointer}/text", f"{lane}/text")
    tokens = choice.get("logprobs")
    if tokens:
        reader.repetition(f"{pointer}/logprobs", tokens)
    reader.repeats(f"{pointer}/logprobs", tokens, texts.pointers, None)
    if choice.get("finish_reason"):
        reader.end(lane)


class _Texts:
    """Takes the strings in a delta.

    Attributes:
        pointers: their places.
    """

    def __init__(self, reader: EventReader) -> None:
        self.pointers: list[str] = []
        self._reader = reader

    def read(self, name: str, value: Any, pointer: str, lane: str) -> None:
        """Takes the strings in a member.

        Args:
            name: the name of the member.
            value: its value.
            pointer: its place.
            lane: the name of the lane for it.
        """
        reader = self._reader
        if isinstance(value, str):
            if name not in _LABELS:
                self.pointers.append(pointer)
                reader.piece(lane, pointer, value)
        elif isinstance(value, dict):
            if name == "audio":
                reader.media(f"{pointer}/data")
            for key, item in value.items():
                if name != "audio" or key not in {"data", "expires_at"}:
                    self.read(key, item, member(pointer, key), member(lane, key))
        elif isinstance(value, list):
            for index, item in enumerate(value):
                number = index_of(item, "index", index) if isinstance(item, dict) else index
                self.read(name, item, f"{pointer}/{index}", f"{lane}/{number}")


def _call(reader: EventReader, owner: dict[str, Any], kind: str, pointer: str, lane: str) -> None:
    """Takes a piece of a call.

    Args:
        reader: reads the event.
        owner: the object that has the call.
        kind: the name of the member that is the call.
        pointer: the place of the object.
        lane: the lane of the object.
    """
    below, call = object_of(owner, kind, pointer)
    if not call:
        return
    name = "input" if kind == "custom" else "arguments"
    lane = f"{lane}/{kind}/{name}"
    tool, arguments = text_of(call, "name"), call.get(name)
    if isinstance(arguments, str):
        reader.call_piece(lane, f"{below}/{name}", arguments, tool=tool)
    elif arguments is None:
        reader.call_piece(lane, None, tool=tool)
    elif tool:  # some servers send the arguments as an object
        reader.call(f"{below}/{name}", tool, arguments)
    else:
        raise PayloadError("has a tool call without a name")
