"""Segments of a request's text, and locations in them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pdp.domain.decision import Span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


class SourceMap(NamedTuple):
    """Maps positions in a normalized text back to positions in the text that it was made from.

    A normalized text is a sequence of pieces. A piece is either a copied run of characters, or
    text that stands for some source characters as a whole, such as the character for an escape.
    Characters that normalization removed lie between pieces. An empty piece ends the sequence.

    Attributes:
        segment: the source segment.
        starts: the start of each piece in the normalized text.
        source_starts: the start of each piece in the text of `segment`.
        widths: how many source characters the piece stands for; 0 for a copied piece.
        trailing: how many removed source characters directly after the piece belong to its last
            character, such as the combining marks on a digit.
    """

    segment: Segment
    starts: Sequence[int]
    source_starts: Sequence[int]
    widths: Sequence[int]
    trailing: Sequence[int]

    def source_span(self, start: int, end: int) -> tuple[int, int]:
        """Returns the span of the source text for the span `start` to `end`."""
        first = self._source_start(start)
        return (first, first) if start == end else (first, self._source_end(end))

    def position_of(self, source_position: int, *, after: bool = False) -> int:
        """Returns the position in the normalized text for one in the source text.

        Args:
            source_position: the position in the source text.
            after: for a position inside a piece that stands for several characters: whether to
                return the end of the piece, not its start.
        """
        piece = max(0, bisect_right(self.source_starts, source_position) - 1)
        offset = max(0, source_position - self.source_starts[piece])
        if self.widths[piece]:
            return self.starts[piece + 1 if offset and after else piece]
        return min(self.starts[piece] + offset, self.starts[-1])

    def _source_start(self, position: int) -> int:
        piece = bisect_right(self.starts, position) - 1
        if self.widths[piece]:
            return self.source_starts[piece]
        return self.source_starts[piece] + position - self.starts[piece]

    def _source_end(self, position: int) -> int:
        piece = bisect_right(self.starts, position - 1) - 1
        end = self.source_starts[piece] + (self.widths[piece] or position - self.starts[piece])
        return end + self.trailing[piece] if self.starts[piece + 1] == position else end


LINE_END: Final = "\x1e\n"
"""Ends a line of labelled text. The separator is no white space, so that no match reaches from the
label of one line to the value of another."""


class Reading(Enum):
    """How a text was joined from several segments."""

    LABELLED = "labelled"
    """Members as lines of `label: "value"`, so that a key is context for its value."""

    COMMAND = "command"
    """The words of a list, with spaces: a command line; or an object as JSON text."""

    LINES = "lines"
    """The strings of a list, each on its own line."""


class JoinedPart(NamedTuple):
    """A part of a joined text: the text of a segment.

    Attributes:
        start: the start of the part in the joined text.
        end: its end.
        number: the number of the segment: see `JoinedParts.segment_of`.
        is_label: whether the part is the label of another part.
    """

    start: int
    end: int
    number: int
    is_label: bool = False


class JoinedParts(NamedTuple):
    """Maps positions in a joined text to the segments that it was joined from.

    Characters between the parts, such as quotes, belong to no segment.

    Attributes:
        reading: how the text was joined.
        parts: the parts, in order.
        segment_of: returns a segment by its number. Few of many parts hold a finding, so the
            segments of the others are never made.
    """

    reading: Reading
    parts: Sequence[JoinedPart]
    segment_of: Callable[[int], Segment]

    def overlapping(self, start: int, end: int) -> Sequence[JoinedPart]:
        """Returns the parts in the span `start` to `end`: values, or labels if there is no value.

        A label is context. It is only reported if nothing but a label is in the span.
        """
        parts = self.parts
        index = bisect_right(parts, start, key=_part_end)
        overlapping: list[JoinedPart] = []
        while index < len(parts) and parts[index].start < end:
            overlapping.append(parts[index])
            index += 1
        return [each for each in overlapping if not each.is_label] or overlapping


def _part_end(part: JoinedPart) -> int:
    return part.end


class Segment(NamedTuple):
    """One text that is scanned: the request's text, or a string, number or key in its arguments.

    A segment can also be made from other segments: a normalized variant, for example with
    percent-encoding decoded; a string of the JSON that another segment holds; or a joined text.

    Attributes:
        path: JSON Pointer into the arguments; None for the request's text.
        text: the text.
        data: the text as UTF-8.
        source: the map to the segments that it was made from; None if it is a part of the request.
        in_key: whether the text is the key of the member at `path`.
    """

    path: str | None
    text: str
    data: bytes
    source: SourceMap | JoinedParts | None = None
    in_key: bool = False

    @property
    def reading(self) -> Reading | None:
        """How the text was joined; None if it was not."""
        source = self.source
        while isinstance(source, SourceMap):
            source = source.segment.source
        return None if source is None else source.reading


class Place(NamedTuple):
    """A text of a request: the value or the key at a path; the request's text if it is None."""

    path: str | None
    in_key: bool = False


class Location(NamedTuple):
    """A span of a segment; offsets count code points of the segment's text."""

    segment: Segment
    start: int
    end: int

    @property
    def value(self) -> str:
        """The text of the span."""
        return self.segment.text[self.start : self.end]

    @property
    def place(self) -> Place:
        """The string, number or key that the span is in."""
        return Place(self.segment.path, self.segment.in_key)

    def whole(self) -> Location:
        """Returns the location of the whole text that the span is in."""
        return Location(self.segment, 0, len(self.segment.text))

    def span(self, entity_type: str = "") -> Span:
        """Returns the span of the request, as an obligation has it."""
        segment = self.segment
        return Span(self.start, self.end, entity_type, segment.path, segment.in_key)


class PatternMatch(NamedTuple):
    """A match of a pattern in a segment, and the span of its value; offsets count code points."""

    segment: Segment
    start: int
    end: int
    value_start: int
    value_end: int


def locate(segment: Segment, start: int, end: int) -> Sequence[Location]:
    """Returns the locations in the request of a span of `segment`.

    There is one location, unless the segment was joined from several. There is none if the span
    has only characters that are not in the request, such as those between joined parts.
    """
    source = segment.source
    if source is None:
        return (Location(segment, start, end),)
    if isinstance(source, SourceMap):
        return locate(source.segment, *source.source_span(start, end))
    locations: list[Location] = []
    for part in source.overlapping(start, end):
        segment = source.segment_of(part.number)
        if part.is_label:
            locations += locate(segment, 0, len(segment.text))
        else:
            first, last = max(start, part.start), min(end, part.end)
            locations += locate(segment, first - part.start, last - part.start)
    return locations


def describe(location: Location) -> str:
    """Returns where a location is, in words, without its value."""
    segment, start, end = location
    path = segment.path
    place = "the text" if path is None else f"arguments at {path}"
    if segment.in_key:
        place = f"the key of {place}"
    return f"{place}, {start} to {end}"


def whole_places(segment: Segment) -> Sequence[Location]:
    """Returns the whole of each string, number and key that `segment` was made from."""
    sources = dict.fromkeys(each.segment for each in locate(segment, 0, len(segment.text)))
    return [Location(source, 0, len(source.text)) for source in sources]


def strings_in(value: Any, path: str = "") -> Iterator[Segment]:
    """Yields each non-empty string in a JSON value, with its JSON Pointer (RFC 6901)."""
    if isinstance(value, str):
        if value:
            yield Segment(path, value, value.encode())
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from strings_in(item, member_path(path, key))
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from strings_in(item, f"{path}/{index}")


def member_path(path: str, key: str) -> str:
    """Returns the JSON Pointer of a member of the object at `path`."""
    return f"{path}/{key.replace('~', '~0').replace('/', '~1')}"
