"""Finds the parts of a long text in which patterns occur, so that only those are searched.

The scan reports which patterns occur in a text, but not at which positions. Locating one pattern
takes another pass over the whole text. For a long text with many findings, these passes would be
the largest cost of a decision. Therefore the pattern set runs once more, over chunks, and each
pattern is located only in the chunks in which it occurs.

The result is exact for patterns whose matches are shorter than the overlap of the chunks. All other
patterns are located in the whole text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pdp.engine.text.patterns import ByteRange, CompiledPattern

MIN_BYTES: Final = 32 << 10
"""Shorter texts are searched as a whole, which is as fast."""

CHUNK_BYTES: Final = 8 << 10
OVERLAP_BYTES: Final = 512
"""Longer than a match of any pattern that is located by chunk: see `CompiledPattern.max_bytes`."""

MIN_PATTERNS: Final = 3
"""If fewer patterns occur, chunks save no time."""


class Searchable(Protocol):
    """Patterns that are searched together."""

    def search(self, data: bytes, /) -> Sequence[CompiledPattern]:
        """Returns the patterns that occur in `data`."""


class ChunkIndex:
    """The parts of one text in which each pattern occurs. Built on first use."""

    __slots__ = ("_data", "_patterns", "_ranges")

    def __init__(self, patterns: Sequence[Searchable], data: bytes) -> None:
        self._patterns = patterns
        self._data = data
        self._ranges: dict[str, list[ByteRange]] | None = None

    def ranges(self, pattern: CompiledPattern) -> Sequence[ByteRange] | None:
        """Returns the parts to search for a pattern that occurs; None for the whole text."""
        if not 0 < pattern.max_bytes < OVERLAP_BYTES:
            return None
        if self._ranges is None:
            self._ranges = self._search_chunks()
        return self._ranges.get(pattern.source)

    def _search_chunks(self) -> dict[str, list[ByteRange]]:
        ranges: dict[str, list[ByteRange]] = {}
        length = len(self._data)
        for start in range(0, length, CHUNK_BYTES):
            begin = max(0, start - OVERLAP_BYTES)
            end = min(length, start + CHUNK_BYTES + OVERLAP_BYTES)
            chunk = self._data[begin:end]
            # One more overlap on each side, for the context that decides the end of a match.
            extended = (max(0, begin - OVERLAP_BYTES), min(length, end + OVERLAP_BYTES))
            for each in self._patterns:
                for pattern in each.search(chunk):
                    _append(ranges.setdefault(pattern.source, []), extended)
        return ranges


def _append(ranges: list[ByteRange], new: ByteRange) -> None:
    """Appends a range; merges it with the last one if the two touch."""
    if ranges and ranges[-1][1] >= new[0]:
        ranges[-1] = (ranges[-1][0], new[1])
    else:
        ranges.append(new)
