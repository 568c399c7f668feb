"""Anthropic Messages: the events of a streamed answer."""

from __future__ import annotations

from typing import Any, Final

from pdp.payloads.anthropic import read_response
from pdp.payloads.events.reading import EventReader, index_of
from pdp.payloads.payload import PayloadError
from pdp.payloads.pointers import member
from pdp.payloads.shapes import object_of, text_of

_TYPES: Final = frozenset(
    {
        "message_start",
        "message_delta",
        "message_stop",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
    }
)
_LABELS: Final = frozenset({"type", "signature", "encrypted_content"})
"""Members of a delta that are no piece of a text."""

_LANES: Final = frozenset({"text", "thinking"})
"""The types of blocks whose texts come in pieces."""


def is_event(document: dict[str, Any]) -> bool:
    """Whether an event looks like one of a message."""
    return document.get("type") in _TYPES


class MessageEvents:
    """Reads the events of one stream."""

    def __init__(self) -> None:
        self._calls: set[int] = set()

    def read(self, reader: EventReader) -> None:
        """See `EventFormat.read`."""
        document = reader.document
        kind = text_of(document, "type")
        reader.numbers("/usage", document.get("usage"))
        if kind == "message_start":
            pointer, message = object_of(document, "message", "")
            if message:
                reader.add_parts(reader.nested(pointer, message, _read_message))
        elif kind == "content_block_start":
            self._start(reader, index_of(document, "index"))
        elif kind == "content_block_delta":
            self._delta(reader, index_of(document, "index"))
        elif kind == "content_block_stop":
            reader.number("/index", document.get("index"))
            reader.end(_lane(index_of(document, "index")))
        elif kind == "message_stop":
            reader.end("")
        elif kind == "ping":
            reader.is_keep_alive = True

    def _start(self, reader: EventReader, index: int) -> None:
        reader.number("/index", index)
        pointer, block = object_of(reader.document, "content_block", "")
        if not block:
            return
        kind = text_of(block, "type")
        lane = _lane(index)
        if kind in _LANES:
            for name in _LANES:
                if isinstance(block.get(name), str):
                    reader.piece(member(lane, name), member(pointer, name), block[name])
            return
        if kind.endswith("tool_use"):
            self._calls.add(index)
            tool, server = text_of(block, "name"), text_of(block, "server_name")
            reader.call_piece(f"{lane}/input", None, tool=tool, server=server)
            if block.get("input") in (None, {}, ""):
                return
            reader.complete(f"{lane}/input")
        parts = reader.nested(
            pointer,
            {"type": "message", "role": "assistant", "content": [block]},
            read_response,
            "/content/0",
        )
        reader.add_parts(parts)

    def _delta(self, reader: EventReader, index: int) -> None:
        reader.number("/index", index)
        pointer, delta = object_of(reader.document, "delta", "")
        for name, value in delta.items():
            below = member(pointer, name)
            if not isinstance(value, str) or name in _LABELS:
                continue
            if name == "partial_json":
                if index not in self._calls:
                    raise PayloadError("has arguments of a tool call that has not begun")
                reader.call_piece(f"{_lane(index)}/input", below, value)
            else:
                reader.piece(member(_lane(index), name), below, value)


def _read_message(reader: EventReader) -> None:
    read_response(reader)
    reader.numbers("/usage", reader.document.get("usage"))


def _lane(index: int) -> str:
    return f"/content/{index}"
