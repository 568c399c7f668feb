"""In which parts of a long text its patterns occur, so that each is located there alone.

One pass says which patterns occur in a text. To locate one takes another pass over all of it, which
in a long text with many finds would be the greatest cost of a decision. So the set is run once
more, over chunks, and each pattern is located in the chunks that it occurs in. That is exact for
patterns whose matches are shorter than the chunks overlap; others are located in the whole text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pdp.engine.text.patterns import CompiledPattern, Window

MIN_BYTES: Final = 32 << 10
"""Shorter texts are passed over as a whole: that is as fast."""

CHUNK_BYTES: Final = 8 << 10
OVERLAP_BYTES: Final = 512
"""More than a match of any pattern that is located by chunk; see `CompiledPattern.reach`."""

MIN_PATTERNS: Final = 3
"""Fewer are as fast without."""


class Searchable(Protocol):
    """A group of patterns that are looked for together."""

    def search(self, data: bytes) -> Sequence[CompiledPattern]:
        """Returns the patterns that occur in `data`."""


class Neighbourhoods:
    """Of one text, the parts that each pattern occurs in."""

    __slots__ = ("_data", "_shards", "_windows")

    def __init__(self, shards: Sequence[Searchable], data: bytes) -> None:
        self._shards = shards
        self._data = data
        self._windows: dict[str, list[Window]] | None = None

    def of(self, pattern: CompiledPattern) -> Sequence[Window] | None:
        """Returns the parts that a pattern that occurs is to be looked for in; None for all."""
        if not 0 < pattern.reach < OVERLAP_BYTES:
            return None
        if self._windows is None:
            self._windows = self._found()
        return self._windows.get(pattern.source)

    def _found(self) -> dict[str, list[Window]]:
        found: dict[str, list[Window]] = {}
        length = len(self._data)
        for start in range(0, length, CHUNK_BYTES):
            begin = max(0, start - OVERLAP_BYTES)
            end = min(length, start + CHUNK_BYTES + OVERLAP_BYTES)
            chunk = self._data[begin:end]
            # A chunk more on either side of the match itself, for what decides where it ends.
            wide = (max(0, begin - OVERLAP_BYTES), min(length, end + OVERLAP_BYTES))
            for shard in self._shards:
                for pattern in shard.search(chunk):
                    _add(found.setdefault(pattern.source, []), wide)
        return found


def _add(windows: list[Window], window: Window) -> None:
    if windows and windows[-1][1] >= window[0]:
        windows[-1] = (windows[-1][0], window[1])
    else:
        windows.append(window)
