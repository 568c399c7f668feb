"""Amazon Bedrock ConverseStream: the events of a streamed answer, as JSON.

On the wire they are binary frames. The enforcement point decodes these; each event is then an
object with one member, the type of the event, as the SDKs have it. The content of the frame alone
is read as well.
"""

from __future__ import annotations

from typing import Any, Final

from pdp.domain.placement import TOOL_RESULT
from pdp.payloads.events.reading import EventReader, index_of
from pdp.payloads.payload import PayloadError
from pdp.payloads.shapes import object_of, objects_of, text_of

_TYPES: Final = (
    "messageStart",
    "contentBlockStart",
    "contentBlockDelta",
    "contentBlockStop",
    "messageStop",
    "metadata",
)
_STOP: Final = frozenset({"contentBlockIndex", "p"})
"""The members of the content of a frame that ends a block. `p` is padding."""


def is_event(document: dict[str, Any]) -> bool:
    """Whether an event looks like one of a message."""
    return (
        any(each in document for each in _TYPES)
        or "contentBlockIndex" in document
        or ("role" in document and document.keys() <= {"role", "p"})
    )


class ConverseEvents:
    """Reads the events of one stream."""

    def __init__(self) -> None:
        self._calls: set[int] = set()

    def read(self, reader: EventReader) -> None:
        """See `EventFormat.read`."""
        document = reader.document
        kinds = [each for each in _TYPES if each in document]
        for kind in kinds:
            pointer, content = object_of(document, kind, "")
            self._event(reader, content, pointer)
            if kind == "contentBlockStop":
                _stop(reader, content)
        if not kinds:
            self._event(reader, document, "")
            if "contentBlockIndex" in document and document.keys() <= _STOP:
                _stop(reader, document)

    def _event(self, reader: EventReader, content: dict[str, Any], pointer: str) -> None:
        for name in ("usage", "metrics"):
            reader.numbers(f"{pointer}/{name}", content.get(name))
        if "contentBlockIndex" in content:
            index = index_of(content, "contentBlockIndex")
            reader.number(f"{pointer}/contentBlockIndex", index)
            self._start(reader, content, pointer, index)
            self._delta(reader, content, pointer, index)
        if "stopReason" in content:
            reader.end("")

    def _start(
        self, reader: EventReader, content: dict[str, Any], pointer: str, index: int
    ) -> None:
        pointer, start = object_of(content, "start", pointer)
        if "toolUse" in start:
            self._calls.add(index)
            tool = text_of(object_of(start, "toolUse", "")[1], "name")
            reader.call_piece(f"{_lane(index)}/toolUse/input", None, tool=tool)

    def _delta(
        self, reader: EventReader, content: dict[str, Any], pointer: str, index: int
    ) -> None:
        lane = _lane(index)
        pointer, delta = object_of(content, "delta", pointer)
        if isinstance(delta.get("text"), str):
            reader.piece(f"{lane}/text", f"{pointer}/text", delta["text"])
        below, call = object_of(delta, "toolUse", pointer)
        if isinstance(call.get("input"), str):
            if index not in self._calls:
                raise PayloadError("has arguments of a tool call that has not begun")
            reader.call_piece(f"{lane}/toolUse/input", f"{below}/input", call["input"])
        below, thought = object_of(delta, "reasoningContent", pointer)
        if isinstance(thought.get("text"), str):
            reader.piece(
                f"{lane}/reasoningContent/reasoningText/text", f"{below}/text", thought["text"]
            )
        results = f"{pointer}/toolResult"
        for number, (below, result) in enumerate(objects_of(delta.get("toolResult"), results)):
            if isinstance(result.get("text"), str):
                reader.piece(
                    f"{lane}/toolResult/content/{number}/text",
                    f"{below}/text",
                    result["text"],
                    "tool",
                    TOOL_RESULT,
                )
        below, image = object_of(delta, "image", pointer)
        below, _ = object_of(image, "source", below)
        reader.media(f"{below}/bytes")


def _stop(reader: EventReader, content: dict[str, Any]) -> None:
    reader.end(_lane(index_of(content, "contentBlockIndex")))


def _lane(index: int) -> str:
    return f"/output/message/content/{index}"
