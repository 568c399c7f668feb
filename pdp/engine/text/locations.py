"""Where in a request something was found."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence


class Origin(NamedTuple):
    """What another reading of a text was made from, and which of its characters come from where.

    A reading is a row of pieces: either copied, or one character that stands for some others. What
    was left out lies between pieces. An empty piece closes the row.

    Attributes:
        segment: what was read.
        at: where each piece begins in the reading.
        to: where it begins in the text of `segment`.
        widths: how many characters of that text its one character stands for; 0 of what is copied.
        trailing: how many characters that follow it were left out but are of its last one, such as
            the marks on a digit.
    """

    segment: Segment
    at: Sequence[int]
    to: Sequence[int]
    widths: Sequence[int]
    trailing: Sequence[int]

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Returns where `start` to `end` of the reading is in the text that was read."""
        first = self._begin(start)
        return (first, first) if start == end else (first, self._end(end))

    def _begin(self, position: int) -> int:
        piece = bisect_right(self.at, position) - 1
        if self.widths[piece]:
            return self.to[piece]
        return self.to[piece] + position - self.at[piece]

    def _end(self, position: int) -> int:
        piece = bisect_right(self.at, position - 1) - 1
        end = self.to[piece] + (self.widths[piece] or position - self.at[piece])
        return end + self.trailing[piece] if self.at[piece + 1] == position else end


class Segment(NamedTuple):
    """One text that is scanned: the request's own, or a string of its arguments.

    Or another reading of one: with its invisible characters left out, or with what is encoded in it
    decoded.

    Attributes:
        path: JSON Pointer into the arguments; None for the request's text.
        text: the text.
        data: the text as UTF-8.
        origin: of another reading, what it was made from.
    """

    path: str | None
    text: str
    data: bytes
    origin: Origin | None = None


class Location(NamedTuple):
    """Where something was found; offsets count code points of the segment's text."""

    segment: Segment
    start: int
    end: int

    @property
    def value(self) -> str:
        """What was found."""
        return self.segment.text[self.start : self.end]


def located(segment: Segment, start: int, end: int) -> Location:
    """Returns the place of a span of `segment`, which may be a reading, in the request itself."""
    while (origin := segment.origin) is not None:
        start, end = origin.span(start, end)
        segment = origin.segment
    return Location(segment, start, end)
