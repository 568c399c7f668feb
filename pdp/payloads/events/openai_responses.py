"""OpenAI Responses: the events of a streamed answer.

A text comes in events whose type ends with `.delta`. Later events repeat it: the one that ends with
`.done`, the part, the item, and the whole response. Each of them is judged like an answer that is
not streamed, so that it is redacted like the pieces.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pdp.payloads.events.reading import EventReader, index_of
from pdp.payloads.openai_responses import read_response
from pdp.payloads.payload import PayloadError
from pdp.payloads.pointers import member
from pdp.payloads.shapes import object_of, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_PREFIX: Final = "response."
_DELTA: Final = ".delta"
_DONE: Final = ".done"
_ITEM_ADDED: Final = "response.output_item.added"
_ITEM_DONE: Final = "response.output_item.done"
_ENDS: Final = frozenset({"response.completed", "response.failed", "response.incomplete"})
_NUMBERS: Final = (
    "sequence_number",
    "output_index",
    "content_index",
    "summary_index",
    "annotation_index",
    "partial_image_index",
)
_RESPONSE_NUMBERS: Final = ("usage", "created_at", "completed_at", "max_output_tokens")
_CALL: Final = "call"
_TEXTS: Final = ("text", "refusal", "transcript", "delta")
_ARGUMENTS: Final = ("arguments", "input", "code")
_AUDIO: Final = "response.audio"
_IMAGE: Final = "partial_image_b64"
MAX_ITEMS: Final = 4096
"""Calls of one answer whose tools are remembered."""


class _Tool(NamedTuple):
    """The tool that an item calls."""

    name: str
    server: str


def is_event(document: dict[str, Any]) -> bool:
    """Whether an event looks like one of a response."""
    return text_of(document, "type").startswith(_PREFIX)


class ResponsesEvents:
    """Reads the events of one stream."""

    def __init__(self) -> None:
        self._tools: dict[int, _Tool] = {}

    def read(self, reader: EventReader) -> None:
        """See `EventFormat.read`."""
        document = reader.document
        kind = text_of(document, "type")
        for name in _NUMBERS:
            reader.number(f"/{name}", document.get(name))
        reader.media(f"/{_IMAGE}")
        pointer, response = object_of(document, "response", "")
        if response:
            reader.add_parts(reader.nested(pointer, response, _read_response))
            self._repeats(reader, document)
        elif kind in {_ITEM_ADDED, _ITEM_DONE}:
            self._item(reader, kind)
        elif kind.startswith(_PREFIX) and kind.endswith(_DELTA):
            self._delta(reader, kind)
        elif kind.startswith(_PREFIX) and kind.endswith(_DONE):
            self._done(reader, kind)
        elif kind == "response.content_part.added":
            self._part_added(reader)
        if kind in _ENDS:
            reader.end("")

    def _item(self, reader: EventReader, kind: str) -> None:
        index = index_of(reader.document, "output_index")
        pointer, item = object_of(reader.document, "item", "")
        if not item:
            return
        parts = reader.nested(pointer, {"output": [item]}, read_response, "/output/0")
        calls = [each for each in parts if each.tool]
        for call in calls:
            if len(self._tools) >= MAX_ITEMS:
                raise PayloadError(f"has more than {MAX_ITEMS} tool calls")
            self._tools[index] = _Tool(call.tool, call.server)
        lane = _lane(index)
        if kind == _ITEM_DONE:
            reader.add_parts(parts)
            self._repeats(reader, reader.document)
            reader.end(lane)
            return
        waiting = [each for each in calls if each.as_text and not each.values]
        for each in waiting:  # its arguments are still to come
            name = each.pointer.rpartition("/")[2]
            reader.call_piece(f"{lane}/{name}", None, tool=each.tool, server=each.server)
            reader.complete(f"{lane}/{name}")
        reader.add_parts([each for each in parts if each not in waiting])

    def _delta(self, reader: EventReader, kind: str) -> None:
        document = reader.document
        index = index_of(document, "output_index")
        delta = document.get("delta")
        if not isinstance(delta, str):
            return
        if kind == _AUDIO + _DELTA:
            reader.media("/delta")
            return
        name = kind.removeprefix(_PREFIX).removesuffix(_DELTA)
        lane = _lane(index)
        if _is_call(name):
            tool = self._tools.get(index)
            if tool is None:
                raise PayloadError("has arguments of a tool call that has not begun")
            lane = f"{lane}/{_argument(name)}"
            reader.call_piece(lane, "/delta", delta, tool=tool.name, server=tool.server)
            reader.complete(lane)
            return
        reader.piece(_text_lane(lane, document, name), "/delta", delta)
        reader.repeats("/logprobs", document.get("logprobs"), ["/delta"], [])
        _root_tokens(reader)

    def _done(self, reader: EventReader, kind: str) -> None:
        """Reads an event that has the whole of a text, of arguments or of a part."""
        document = reader.document
        index = index_of(document, "output_index")
        name = kind.removeprefix(_PREFIX).removesuffix(_DONE)
        lane = _lane(index)
        if _is_call(name):
            tool = self._tools.get(index, _Tool(text_of(document, "name"), ""))
            if not tool.name:
                raise PayloadError("has arguments of a tool call that has not begun")
            for member_name in _ARGUMENTS:
                if isinstance(document.get(member_name), str):
                    arguments = document[member_name]
                    reader.call(f"/{member_name}", tool.name, arguments, server=tool.server)
            reader.end(f"{lane}/{_argument(name)}")
            return
        for member_name in _TEXTS:
            if isinstance(document.get(member_name), str):
                reader.text(f"/{member_name}", document[member_name], "assistant")
        pointer, part = object_of(document, "part", "")
        if part:
            item = {"type": "message", "role": "assistant", "content": [part]}
            inner = "/output/0/content/0"
            reader.add_parts(reader.nested(pointer, {"output": [item]}, read_response, inner))
        self._repeats(reader, document)
        _root_tokens(reader)
        reader.end(_text_lane(lane, document, name))

    def _part_added(self, reader: EventReader) -> None:
        """Reads the begin of a part, whose text is empty, or the begin of the lane."""
        lane = _lane(index_of(reader.document, "output_index"))
        pointer, part = object_of(reader.document, "part", "")
        lane = _text_lane(lane, reader.document, text_of(part, "type"))
        for name in ("text", "refusal"):
            if isinstance(part.get(name), str):
                reader.piece(lane, f"{pointer}/{name}", part[name])

    def _repeats(self, reader: EventReader, document: dict[str, Any]) -> None:
        for pointer, value, texts in _probabilities(document, ""):
            reader.repeats(pointer, value, texts, [])


def _read_response(reader: EventReader) -> None:
    read_response(reader)
    for name in _RESPONSE_NUMBERS:
        reader.numbers(f"/{name}", reader.document.get(name))


def _root_tokens(reader: EventReader) -> None:
    """Takes the probabilities of the tokens of the event's own text."""
    tokens = reader.document.get("logprobs")
    if tokens:
        reader.repetition("/logprobs", tokens)


def _lane(index: int) -> str:
    return f"/output/{index}"


def _text_lane(lane: str, document: dict[str, Any], name: str) -> str:
    """Returns the lane of a text in an item.

    Args:
        lane: the lane of the item.
        document: the event.
        name: the type of the event, without its begin and end, for instance `output_text`.
    """
    for kind, place in (("content_index", "content"), ("summary_index", "summary")):
        if kind in document:
            return f"{lane}/{place}/{index_of(document, kind)}/{name}"
    return f"{lane}/{name}"


def _is_call(name: str) -> bool:
    """Whether the events of this type have arguments of calls."""
    return _CALL in name.split("_") or name.endswith("arguments")


def _argument(name: str) -> str:
    """Returns the member of the item that the pieces form."""
    return next((each for each in _ARGUMENTS if name.endswith(each)), name)


def _probabilities(value: Any, pointer: str) -> Iterator[tuple[str, Any, Sequence[str]]]:
    """Yields the probabilities of tokens in a value, with the texts beside them."""
    if isinstance(value, dict):
        texts = [f"{pointer}/{name}" for name in _TEXTS if isinstance(value.get(name), str)]
        for key, item in value.items():
            if key == "logprobs" and texts:
                yield f"{pointer}/logprobs", item, texts
            elif isinstance(item, (dict, list)):
                yield from _probabilities(item, member(pointer, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _probabilities(item, f"{pointer}/{index}")
