"""What an event of a stream holds: pieces of longer texts, and parts that are complete.

A *lane* is a text, or the arguments of a tool call, that several events bring piece by piece. Its
name is a JSON Pointer: where the text would stand in an answer that is not streamed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from pdp.domain.placement import ARGUMENTS
from pdp.payloads.payload import Payload, PayloadError, PayloadPart
from pdp.payloads.pointers import member, value_at
from pdp.payloads.reader import MAX_NAME, PartReader

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LARGEST: Final = 10_000_000_000
"""A count or a time from which it is judged: it may be the number of a card."""

_NAME: Final = re.compile(r"[A-Za-z_]{1,40}")

MAX_INDEX: Final = 1_000_000
"""The highest index of a choice, a block or an item."""


class Piece(NamedTuple):
    """A piece of a lane, or a mark that an event waits for a lane.

    Attributes:
        lane: the name of the lane.
        text: the piece.
        pointer: the place of the piece in the event; None if the event only waits for the lane.
        role: who writes the text.
        scope: see `PayloadPart`.
        tool: the tool that is called, if the piece says so.
        server: the server that has the tool, if the piece says so.
    """

    lane: str
    text: str
    pointer: str | None
    role: str
    scope: str
    tool: str = ""
    server: str = ""

    @property
    def is_call(self) -> bool:
        """Whether the lane is the arguments of a tool call."""
        return self.scope == ARGUMENTS


class Repeat(NamedTuple):
    """A value of an event that repeats texts of it, such as the probabilities of its tokens.

    Attributes:
        pointer: the place of the value.
        texts: the places of the texts that it repeats.
        replacement: the value that takes its place if one of the texts changes.
    """

    pointer: str
    texts: tuple[str, ...]
    replacement: Any


class StreamEvent(NamedTuple):
    """An event.

    Attributes:
        payload: what is judged by itself.
        pieces: the pieces of lanes in it.
        ends: names of lanes that end with it, and of what holds lanes; empty for all lanes.
        complete: names of lanes of calls whose arguments are judged as a whole, as a part of this
            event or a later one. Such a lane is not judged if it has no piece.
        repeats: what repeats the texts.
        is_keep_alive: whether it says only that the stream goes on.
    """

    payload: Payload
    pieces: tuple[Piece, ...] = ()
    ends: tuple[str, ...] = ()
    complete: tuple[str, ...] = ()
    repeats: tuple[Repeat, ...] = ()
    is_keep_alive: bool = False


class EventReader(PartReader):
    """Collects what an event holds."""

    def __init__(self, format_: str, data: str, document: Any) -> None:
        super().__init__(format_, data, document, is_output=True)
        self.is_keep_alive = False
        self._pieces: list[Piece] = []
        self._ends: list[str] = []
        self._complete: list[str] = []
        self._repeats: list[Repeat] = []
        self._lane_of: Callable[[str], str] | None = None

    def event(self) -> StreamEvent:
        """Returns the event.

        Raises:
            PayloadError: it exceeds a bound.
        """
        return StreamEvent(
            self.payload(),
            tuple(self._pieces),
            tuple(self._ends),
            tuple(self._complete),
            tuple(self._repeats),
            self.is_keep_alive,
        )

    def piece(
        self, lane: str, pointer: str, text: str, role: str = "assistant", scope: str = ""
    ) -> None:
        """Takes a piece of a text."""
        self.take(pointer)
        self._pieces.append(Piece(lane, text, pointer, role, scope or self.text_scope))

    def call_piece(
        self, lane: str, pointer: str | None, text: str = "", *, tool: str = "", server: str = ""
    ) -> None:
        """Takes a piece of the arguments of a call.

        Args:
            lane: the name of the lane.
            pointer: its place; None if the event only waits for the call.
            text: the piece.
            tool: the tool, if this event names it.
            server: the server that has it, if this event names it.
        """
        if len(tool) > MAX_NAME or len(server) > MAX_NAME:
            raise PayloadError(f"has the name of a tool of over {MAX_NAME} characters")
        if pointer is not None:
            self.take(pointer)
        self._pieces.append(Piece(lane, text, pointer, "assistant", ARGUMENTS, tool, server))

    def end(self, name: str) -> None:
        """Says that a lane ends with this event, and all lanes below it; empty for all lanes."""
        self._ends.append(name)

    def complete(self, lane: str) -> None:
        """Says that an event has the whole arguments of a call; see `StreamEvent.complete`."""
        self._complete.append(lane)

    def repeats(self, pointer: str, value: Any, texts: Sequence[str], replacement: Any) -> None:
        """Says that a value repeats texts of the event. An empty value repeats nothing.

        Args:
            pointer: its place.
            value: the value.
            texts: the place of the texts.
            replacement: see `Repeat`.
        """
        if value:
            self._repeats.append(Repeat(pointer, tuple(texts), replacement))

    def take(self, pointer: str) -> None:
        """Takes a value that is not judged here."""
        self._taken.add(pointer)

    def number(self, pointer: str, value: Any) -> None:
        """Takes a count, which is not judged. Another value is left to the rest."""
        if type(value) in {int, float} and abs(value) < LARGEST:
            self.take(pointer)

    def numbers(self, pointer: str, value: Any) -> None:
        """Takes all counts in a value. What has a name that may hold a text is left to the rest."""
        if isinstance(value, dict):
            for key, item in value.items():
                if _NAME.fullmatch(key):
                    self.numbers(member(pointer, key), item)
        elif isinstance(value, list):
            for index, item in enumerate(value):
                self.numbers(f"{pointer}/{index}", item)
        else:
            self.number(pointer, value)

    def texts_are_pieces(self, lane_of: Callable[[str], str]) -> None:
        """Takes each text of the model that is read from now on as a piece of a lane.

        Args:
            lane_of: returns the name of the lane for a pointer; empty if the text is complete.
        """
        self._lane_of = lane_of

    def text(self, pointer: str, value: str, role: str, scope: str = "") -> None:
        """See `PartReader.text`."""
        lane = self._lane_of(pointer) if self._lane_of and not scope else ""
        if lane:
            self.piece(lane, pointer, value, role, scope)
        else:
            super().text(pointer, value, role, scope)

    def nested(
        self,
        pointer: str,
        document: Any,
        read: Callable[[EventReader], None],
        inner: str = "",
    ) -> list[PayloadPart]:
        """Reads a value of the event as an answer that is not streamed.

        Args:
            pointer: the place of the value in the event.
            document: the answer that `read` reads: the value, or one that has it at `inner`.
            read: reads the parts of an answer.
            inner: the place of the value in `document`.

        Returns:
            The parts, with their pointers in the event, which are not taken yet: see `add_parts`.
        """
        reader = EventReader(self._format, "", document)
        read(reader)
        payload = reader.payload()
        self.model = self.model or payload.model
        self.session_id = self.session_id or payload.session_id
        self.take(pointer)
        self._unjudged += (pointer + each.removeprefix(inner) for each in payload.unjudged)
        self._repetitions += (
            pointer + each.removeprefix(inner)
            for each in payload.repetitions
            if value_at(document, each)  # an empty list repeats nothing
        )
        parts: list[PayloadPart] = []
        for part in payload.parts:
            if part.pointer or not inner:
                parts.append(part._replace(pointer=pointer + part.pointer.removeprefix(inner)))
                continue
            try:
                rest = value_at(part.values, inner)
            except KeyError:  # nothing is left of the value itself
                continue
            if isinstance(rest, dict):
                parts.append(part._replace(pointer=pointer, values=rest))
            elif rest is not None:
                parts.append(part._replace(pointer=pointer, values={"": rest}, is_wrapped=True))
        return parts

    def add_parts(self, parts: Sequence[PayloadPart]) -> None:
        """Adds parts that are complete in this event."""
        for each in parts:
            self._add(each)


class EventFormat(Protocol):
    """Reads the events of one stream, in order."""

    def read(self, reader: EventReader) -> None:
        """Reads an event, whose document is an object.

        Raises:
            PayloadError: it is not understood, or exceeds a bound.
        """


def index_of(value: Any, name: str, default: int = 0) -> int:
    """Returns the member of an object that is an index.

    Args:
        value: the object.
        name: the name of the member.
        default: the index if there is no such member.

    Raises:
        PayloadError: it is no index.
    """
    index = value.get(name, default)
    if type(index) is not int or not 0 <= index <= MAX_INDEX:
        raise PayloadError(f'has a member "{name}" that is no index')
    return index
