"""Shards: patterns that are searched together, with one RE2 pass for each text.

Each shard is one `RE2::Set`, which reports which patterns occur. It reports "no match" if it runs
out of memory. Therefore each shard contains a canary: a pattern that matches the end of any text
and costs nothing. If a pass does not report the canary, the pass failed, and `search` raises an
error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import re2

from pdp.engine.text.patterns import CompiledPattern, has_anchors, needs_whole_text
from pdp.errors import InvalidPattern, Violation

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

SHARD_BASE_BYTES: Final = 32 << 20
"""Memory that the automaton of a shard may use, regardless of its number of patterns."""

GROUP_BASE_BYTES: Final = 64 << 20
"""The same for a shard of a group: all tenants share it, and so all texts build its states. If they
do not fit, they are built again and again."""

SHARD_PATTERN_BYTES: Final = 16 << 10
"""Memory in addition for each pattern of a shard."""

SHARD_CHARACTER_BYTES: Final = 192
"""Memory in addition for each character of its patterns. Long patterns have many states; an
automaton whose states do not fit is built again and again."""

_CANARY: Final = rb"\z"

ONLY_CANARY: Final = 1
"""How many indices a shard returns for a text in which no pattern occurs."""

# Each new shard searches these texts, so that the automaton states that most texts need exist
# before the first decision.
_WARM_UP: Final = (
    b"",
    b"The quick brown fox jumps over the lazy dog, 0123456789 times (or so); isn't it?",
    b"SELECT name, id FROM users WHERE id = 1 ORDER BY name LIMIT 10; -- a comment /* and */",
    b'{"path": "/var/log/app.log", "url": "https://example.com/a?b=c&d=e", "n": [1, 2.5, null]}',
)


class ScanMemoryExhausted(Exception):
    """RE2 ran out of memory during a scan, so the result is unknown."""


class Shard:
    """A group of patterns that are searched together.

    Attributes:
        match: returns the indices of the patterns that occur in a text, and that of the canary.
        patterns: the patterns.
        by_source: the patterns by their source.
        group: their group; empty for those that have none.
    """

    __slots__ = ("_batches", "_match_lines", "by_source", "group", "match", "patterns")

    def __init__(self, patterns: Sequence[CompiledPattern], group: str = "") -> None:
        """Compiles `patterns` into one automaton.

        Args:
            patterns: the patterns.
            group: their group; empty for those that have none.

        Raises:
            InvalidPattern: the patterns are too large for one automaton.
        """
        self.group = group
        self.patterns = tuple(patterns)
        self.by_source: Mapping[str, CompiledPattern] = {each.source: each for each in patterns}
        sources = [pattern.source for pattern in patterns]
        base_bytes = GROUP_BASE_BYTES if group else SHARD_BASE_BYTES
        self.match = compile_set(sources, base_bytes)
        # In a batch, the ends of a line stand for the ends of a text.
        lines = [f"(?m){each}" if has_anchors(each) else each for each in sources]
        self._match_lines = self.match if lines == sources else compile_set(lines, base_bytes)
        self._batches = not any(map(needs_whole_text, sources))

    def search(self, data: bytes) -> Sequence[CompiledPattern]:
        """Returns the patterns that occur in `data`.

        Raises:
            ScanMemoryExhausted: RE2 ran out of memory.
        """
        return self.patterns_at(self.match(data))

    def patterns_at(self, indices: Sequence[int]) -> Sequence[CompiledPattern]:
        """Returns the patterns that occur, by what `match` has returned.

        Raises:
            ScanMemoryExhausted: RE2 ran out of memory.
        """
        if not indices:
            raise ScanMemoryExhausted
        if len(indices) == ONLY_CANARY:
            return ()
        patterns = self.patterns
        return [patterns[index] for index in indices if index < len(patterns)]

    def may_match(self, lines: bytes) -> bool:
        """Returns whether a pattern may occur in one of several texts, each on lines of its own.

        Raises:
            ScanMemoryExhausted: RE2 ran out of memory.
        """
        if not self._batches:
            return True
        indices = self._match_lines(lines)
        if not indices:
            raise ScanMemoryExhausted
        return len(indices) != ONLY_CANARY


def compile_set(sources: Sequence[str], base_bytes: int) -> Callable[[bytes], Sequence[int]]:
    """Returns the search of a set of patterns and the canary.

    Args:
        sources: the patterns.
        base_bytes: the memory that it may use, regardless of the number of patterns.

    Raises:
        InvalidPattern: the patterns are too large for one automaton.
    """
    options = re2.Options()
    options.max_mem = (
        base_bytes
        + SHARD_PATTERN_BYTES * len(sources)
        + SHARD_CHARACTER_BYTES * sum(map(len, sources))
    )
    options.log_errors = False
    group = re2.Set.SearchSet(options)
    for source in sources:
        group.Add(source)
    group.Add(_CANARY)
    try:
        group.Compile()
    except re2.error:
        reason = "the patterns are too large together"
        raise InvalidPattern(f"pattern: {reason}", Violation("pattern", reason)) from None
    # The method itself: its wrapper takes a `str`, too, which costs as much as a layer.
    match: Callable[[bytes], Sequence[int]] = group._set.Match
    for text in _WARM_UP:
        match(text)
    return match
