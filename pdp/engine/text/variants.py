"""Builds variants of a segment, with the map back to it."""

from __future__ import annotations

from pdp.engine.text.locations import Segment, SourceMap


class VariantBuilder:
    """Builds a variant of a segment piece by piece: see `SourceMap`."""

    def __init__(self, segment: Segment) -> None:
        self.segment = segment
        self.text: list[str] = []
        self.length = 0
        self.starts: list[int] = []
        self.source_starts: list[int] = []
        self.widths: list[int] = []
        self.trailing: list[int] = []

    def add(self, text: str, source_start: int, width: int = 0, trailing: int = 0) -> None:
        """Adds a piece; ignores an empty one.

        Args:
            text: the text of the piece.
            source_start: where its source starts.
            width: 0 for a copied run. Else the number of source characters that the whole piece
                stands for: a finding in any part of the piece is located at all of them.
            trailing: see `SourceMap`.
        """
        if not text:
            return
        self.text.append(text)
        self.starts.append(self.length)
        self.source_starts.append(source_start)
        self.widths.append(width)
        self.trailing.append(trailing)
        self.length += len(text)

    def build(self) -> Segment:
        """Returns the variant."""
        end = (self.source_starts[-1] + (self.widths[-1] or len(self.text[-1]))) if self.text else 0
        source = SourceMap(
            self.segment,
            (*self.starts, self.length),
            (*self.source_starts, end),
            (*self.widths, 0),
            (*self.trailing, 0),
        )
        segment = self.segment
        text, data = encoded("".join(self.text))
        return Segment(segment.path, text, data, source, segment.in_key)


def encoded(text: str) -> tuple[str, bytes]:
    """Returns a text and its UTF-8; a lone surrogate becomes a question mark in both."""
    try:
        return text, text.encode()
    except UnicodeEncodeError:
        data = text.encode(errors="replace")
        return data.decode(), data
