"""Segments of a request's text, and locations in them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class SourceMap(NamedTuple):
    """Maps positions in a normalized text back to positions in the text that it was made from.

    A normalized text is a sequence of pieces. A piece is either a copied run of characters, or one
    character that replaces one or more source characters. Characters that normalization removed
    lie between pieces. An empty piece ends the sequence.

    Attributes:
        segment: the source segment.
        starts: the start of each piece in the normalized text.
        source_starts: the start of each piece in the text of `segment`.
        widths: how many source characters the one character of the piece replaces; 0 for a copied
            piece.
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

    def _source_start(self, position: int) -> int:
        piece = bisect_right(self.starts, position) - 1
        if self.widths[piece]:
            return self.source_starts[piece]
        return self.source_starts[piece] + position - self.starts[piece]

    def _source_end(self, position: int) -> int:
        piece = bisect_right(self.starts, position - 1) - 1
        end = self.source_starts[piece] + (self.widths[piece] or position - self.starts[piece])
        return end + self.trailing[piece] if self.starts[piece + 1] == position else end


class Segment(NamedTuple):
    """One text that is scanned: the request's text, or a string in its arguments.

    A segment can also be a normalized variant of another segment, for example without invisible
    characters or with percent-encoding decoded.

    Attributes:
        path: JSON Pointer into the arguments; None for the request's text.
        text: the text.
        data: the text as UTF-8.
        source_map: for a normalized variant, the map to its source; else None.
    """

    path: str | None
    text: str
    data: bytes
    source_map: SourceMap | None = None


class Location(NamedTuple):
    """A span of a segment; offsets count code points of the segment's text."""

    segment: Segment
    start: int
    end: int

    @property
    def value(self) -> str:
        """The text of the span."""
        return self.segment.text[self.start : self.end]


class PatternMatch(NamedTuple):
    """A match of a pattern in a segment, and the span of its value; offsets count code points."""

    segment: Segment
    start: int
    end: int
    value_start: int
    value_end: int


def locate(segment: Segment, start: int, end: int) -> Location:
    """Returns the location in the request of a span of `segment`.

    If `segment` is a normalized variant, the location is in the segment that it was made from.
    """
    while (source_map := segment.source_map) is not None:
        start, end = source_map.source_span(start, end)
        segment = source_map.segment
    return Location(segment, start, end)


def strings_in(value: Any, path: str = "") -> Iterator[Segment]:
    """Yields each non-empty string in a JSON value, with its JSON Pointer (RFC 6901)."""
    if isinstance(value, str):
        if value:
            yield Segment(path, value, value.encode())
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from strings_in(item, f"{path}/{key.replace('~', '~0').replace('/', '~1')}")
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from strings_in(item, f"{path}/{index}")
