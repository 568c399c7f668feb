"""Where in a request something was found."""

from __future__ import annotations

from typing import NamedTuple


class Segment(NamedTuple):
    """One text that is scanned: the request's own, or a string of its arguments.

    Attributes:
        path: JSON Pointer into the arguments; None for the request's text.
        text: the text.
        data: the text as UTF-8.
    """

    path: str | None
    text: str
    data: bytes


class Location(NamedTuple):
    """Where something was found; offsets count code points of the segment's text."""

    segment: Segment
    start: int
    end: int

    @property
    def value(self) -> str:
        """What was found."""
        return self.segment.text[self.start : self.end]
