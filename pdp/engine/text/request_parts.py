"""The parts of one request: which of its texts are arguments, documents, and talk about a use.

Everything is read when it is first asked for, and at most once. A caller asks only for the place of
something that was found, so that a plain request costs nothing.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pdp.domain.placement import ARGUMENTS, OUTPUT, TEXT
from pdp.engine.text.command_quotes import quoted_texts
from pdp.engine.text.document_fields import is_document
from pdp.engine.text.json_text import may_be_json, read_tokens
from pdp.engine.text.json_tree import JsonNode, TooMuchJson, TreeReader, strings_below
from pdp.engine.text.locations import Place, Segment, SourceMap, locate
from pdp.engine.text.readings import MAX_NESTED
from pdp.engine.text.sql_prose import SqlProse
from pdp.engine.text.tool_calls import Leaf, TextCalls
from pdp.engine.text.variants import encoded

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from pdp.domain.request import Request
    from pdp.engine.text.json_tree import Path
    from pdp.engine.text.locations import Location
    from pdp.engine.text.tool_calls import ToolCall

MAX_JUDGED: Final = 50
"""How many locations of a request are judged to be talk or not; further ones are not talk."""


_MARKS: Final = frozenset(" \t\n\r\"'`\\")


class _Span(NamedTuple):
    """A string in a text of the request, and its span in that text."""

    start: int
    end: int
    leaf: Leaf


class RequestParts:
    """The parts of one request.

    Attributes:
        request: the request.
        document_tools: the tools that write documents.
    """

    __slots__ = (
        "_calls",
        "_documents",
        "_judged",
        "_prose",
        "_quotes",
        "_spans",
        "document_tools",
        "request",
    )

    def __init__(self, request: Request, document_tools: Collection[str] = ()) -> None:
        self.request = request
        self.document_tools = document_tools
        self._calls: dict[Place, TextCalls] = {}
        self._spans: dict[Place, Sequence[_Span]] = {}
        self._quotes: dict[str, Sequence[tuple[int, int]]] = {}
        self._prose: dict[str, SqlProse] = {}
        self._judged: dict[tuple[Place, int, int, str], bool] = {}
        self._documents: dict[object, bool] = {}

    def scope_of(self, location: Location) -> str:
        """Returns the place of `pdp.domain.placement.SCOPES` that a location is in."""
        segment = location.segment
        place = self.request.place
        if segment.path is not None and not place:
            return ARGUMENTS
        # Most texts have no object, and so no tool call.
        if "{" in segment.text and self._calls_of(location).hold(location):
            return ARGUMENTS
        return place or (OUTPUT if self.request.direction == "output" else TEXT)

    def is_command_talk(self, location: Location) -> bool:
        """Returns whether a command in arguments is in a document, or in a quoted text."""
        return self._judge(location, self._is_command_talk)

    def is_sql_talk(self, location: Location) -> bool:
        """Returns whether prose talks about SQL: in a text, or in a document that a tool writes."""
        return self._judge(location, self._is_sql_talk)

    def _judge(self, location: Location, is_talk: Callable[[Location], bool]) -> bool:
        """Returns whether a location is talk, as `is_talk` says; at most `MAX_JUDGED` are asked."""
        location = _without_marks(location)
        # The same place is found several times if the text has several readings.
        key = (location.place, location.start, location.end, is_talk.__name__)
        if key not in self._judged:
            self._judged[key] = len(self._judged) < MAX_JUDGED and is_talk(location)
        return self._judged[key]

    def _is_command_talk(self, location: Location) -> bool:
        if self._is_document(location):
            return True
        leaf = self._leaf_at(location)
        if leaf is None:
            return False
        text = leaf.segment.text
        if text not in self._quotes:
            self._quotes[text] = quoted_texts(text)
        start, end = _inner_span(leaf.segment, location)
        return any(first <= start and end <= last for first, last in self._quotes[text])

    def _is_sql_talk(self, location: Location) -> bool:
        if self.scope_of(location) == ARGUMENTS and not self._is_document(location):
            return False
        leaf = self._leaf_at(location)
        if leaf is None:
            return False
        text = leaf.segment.text
        if text not in self._prose:
            # People read an answer and a document. Only in an input can words ask to run SQL.
            is_input = self.request.direction != "output" and self.scope_of(location) == TEXT
            self._prose[text] = SqlProse(text, is_input=is_input)
        return self._prose[text].is_talk(*_inner_span(leaf.segment, location))

    def _calls_around(self, location: Location) -> Sequence[ToolCall | None]:
        """Returns the tool calls in a text that a location is in; `[None]` if it may be in one."""
        calls = self._calls_of(location)
        return [None] if calls.is_unknown else calls.around(location)

    def _calls_of(self, location: Location) -> TextCalls:
        """Returns the tool calls in the text that has a location."""
        place = location.place
        calls = self._calls.get(place)
        if calls is None:
            calls = self._calls[place] = TextCalls(location.segment)
        return calls

    def _is_document(self, location: Location) -> bool:
        """Returns whether a location is in a document that a tool writes."""
        segment = location.segment
        if segment.in_key:
            return False
        calls = self._calls_around(location)
        if segment.path is None:
            call = calls[0] if len(calls) == 1 else None
            return call is not None and self._is_document_of(call, location)
        # A call in an argument is run by someone, whatever the tool is for.
        if calls or self.request.tool not in self.document_tools:
            return False
        arguments = self.request.arguments or {}
        if len(arguments) == 1 and may_be_json(segment.text):
            spans = self._spans_of(segment)
            span = _span_at(spans, location)
            return span is not None and self._is_document_at(
                (segment.path, *span.leaf.path), span.leaf.path, [each.leaf for each in spans]
            )
        path = _path_of(arguments, segment.path)
        return self._is_document_at((segment.path,), path, _leaves(arguments, ()))

    def _is_document_of(self, call: ToolCall, location: Location) -> bool:
        if call.tool not in self.document_tools:
            return False
        path = next((leaf.path for leaf in call.leaves() if _holds(leaf.segment, location)), None)
        return path is not None and self._is_document_at((call.start, *path), path, call.leaves())

    def _is_document_at(self, key: object, path: Path, leaves: Iterable[Leaf]) -> bool:
        """Returns `is_document`, which is asked once for each string."""
        if key not in self._documents:
            self._documents[key] = is_document(path, leaves)
        return self._documents[key]

    def _leaf_at(self, location: Location) -> Leaf | None:
        """Returns the innermost string that a location is in; None if it is in several."""
        segment = location.segment
        if segment.in_key:
            return None
        calls = self._calls_around(location)
        if calls and segment.path is None:
            call = calls[-1]
            if call is None:
                return None
            spans: Sequence[_Span] = list(_spans_of_call(call))
            return next((each.leaf for each in spans if _covers(each, location)), None)
        if not may_be_json(segment.text):
            return Leaf((), segment)
        span = _span_at(self._spans_of(segment), location)
        return None if span is None else span.leaf

    def _spans_of(self, segment: Segment) -> Sequence[_Span]:
        """Returns the strings of the JSON that a text is, in order; the text if it is no JSON."""
        place = Place(segment.path, segment.in_key)
        spans = self._spans.get(place)
        if spans is None:
            try:
                spans = list(_spans_in(segment, (), TreeReader(), 0))
            except TooMuchJson:
                spans = ()
            self._spans[place] = spans
        return spans


def _spans_in(segment: Segment, path: Path, reader: TreeReader, depth: int) -> Iterator[_Span]:
    """Yields the innermost strings of a text.

    Raises:
        TooMuchJson: there is more JSON than may be read.
    """
    if depth == MAX_NESTED or read_tokens(segment.text) is None:
        for place in locate(segment, 0, len(segment.text)):
            yield _Span(place.start, place.end, Leaf(path, segment))
        return
    for root in reader.read(segment):
        yield from _spans_below(root, path, reader, depth)


def _spans_below(node: JsonNode, path: Path, reader: TreeReader, depth: int) -> Iterator[_Span]:
    for below, string in strings_below(node):
        yield from _spans_in(string.string(), (*path, *below), reader, depth + 1)


def _spans_of_call(call: ToolCall) -> Iterator[_Span]:
    """Yields the innermost strings of the arguments of a call; none if there is too much JSON."""
    reader = TreeReader()
    try:
        if call.arguments is not None:
            yield from _spans_below(call.arguments, (), reader, 0)
        elif call.text is not None:
            yield from _spans_in(call.text, (), reader, 0)
    except TooMuchJson:
        return


def _span_at(spans: Sequence[_Span], location: Location) -> _Span | None:
    index = bisect_right(spans, location.start, key=_span_start) - 1
    if index < 0 or not _covers(spans[index], location):
        return None
    return spans[index]


def _span_start(span: _Span) -> int:
    return span.start


def _covers(span: _Span, location: Location) -> bool:
    return span.start <= location.start and location.end <= span.end


def _holds(segment: Segment, location: Location) -> bool:
    """Whether a location is in a string, which is a part of the same text."""
    places = locate(segment, 0, len(segment.text))
    return any(
        each.start <= location.start and location.end <= each.end and each.place == location.place
        for each in places
    )


def _without_marks(location: Location) -> Location:
    """Returns a location without the quotes and blanks at its ends, which may end a string."""
    text, start, end = location.segment.text, location.start, location.end
    while start < end and text[start] in _MARKS:
        start += 1
    while start < end and text[end - 1] in _MARKS:
        end -= 1
    return location._replace(start=start, end=end)


def _inner_span(segment: Segment, location: Location) -> tuple[int, int]:
    """Returns the span in a string of JSON for a location in the text that has the JSON."""
    return (
        _position_in(segment, location.start, after=False),
        _position_in(segment, location.end, after=True),
    )


def _position_in(segment: Segment, position: int, *, after: bool) -> int:
    source = segment.source
    if not isinstance(source, SourceMap):
        return position
    return source.position_of(_position_in(source.segment, position, after=after), after=after)


def _path_of(arguments: Any, pointer: str) -> Path:
    """Returns the keys and indexes of a JSON Pointer into the arguments."""
    path: list[str | int] = []
    value = arguments
    for part in pointer.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(value, Mapping):
            path.append(key)
            value = value[key]
        else:
            path.append(int(key))
            value = value[int(key)]
    return tuple(path)


def _leaves(value: Any, path: Path) -> Iterator[Leaf]:
    """Yields each string in the arguments."""
    if isinstance(value, str):
        yield Leaf(path, Segment(None, *encoded(value)))
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(item, (*path, key))
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _leaves(item, (*path, index))
