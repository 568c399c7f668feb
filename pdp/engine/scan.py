"""The scan: searches all texts of a request for all patterns, with one RE2 pass for each text.

The patterns of a tenant are in shards. Each shard is one `RE2::Set`, which reports which patterns
occur. Positions and validators are evaluated only for those. `RE2::Set` has two weaknesses:

* It reports "no match" if it runs out of memory. Therefore each shard contains a canary: a pattern
  that matches the end of any text and costs nothing. If a pass does not report the canary, the pass
  failed, and `search` raises an error.
* It can only be compiled as a whole. Therefore shards grow by merging, and each shard is at least
  twice as large as the next. Adding a pattern compiles little, and a set has few shards.
* Its states are combinations of those of its patterns, so that most new texts need new states if
  patterns of different kinds are together. Therefore the patterns that all tenants share have
  *groups* (`pdp.engine.pattern_groups`), and each shard has patterns of one group.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import re2

from pdp.engine.findings import NO_FINDINGS, Findings
from pdp.engine.text.chunked_search import MIN_BYTES, MIN_PATTERNS, ChunkIndex
from pdp.engine.text.locations import Segment
from pdp.engine.text.patterns import CompiledPattern, has_anchors, needs_whole_text
from pdp.engine.text.readings import is_plain, readings
from pdp.engine.work import WorkBudget
from pdp.errors import InvalidPattern, Violation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from pdp.engine.text.patterns import Validators
    from pdp.engine.text.readings import TextBatch

__all__ = [
    "NO_FINDINGS",
    "Findings",
    "PatternErrors",
    "PatternSet",
    "ScanMemoryExhausted",
    "Shard",
    "scan",
]

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

MAX_SHARD_PATTERNS: Final = 2048
"""Bounds the time of one compilation: about 12 ms on a slow core."""

NO_GROUPS: Final[Mapping[str, str]] = MappingProxyType({})

Hits = dict[str, tuple[CompiledPattern, list[Segment]]]
"""The patterns that occur, by their source, and the segments in which each does."""

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

    __slots__ = ("_batches", "_match_anchored", "by_source", "group", "match", "patterns")

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
        self.match = _compile_set(sources, base_bytes)
        # In a batch, the ends of a line stand for the ends of a text.
        anchored = [f"(?m){source}" for source in sources if has_anchors(source)]
        self._match_anchored = _compile_set(anchored, base_bytes) if anchored else None
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
        for match in (self.match, self._match_anchored):
            indices = (0,) if match is None else match(lines)
            if not indices:
                raise ScanMemoryExhausted
            if len(indices) > 1:
                return True
        return False


def _compile_set(sources: Sequence[str], base_bytes: int) -> Callable[[bytes], Sequence[int]]:
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


class PatternErrors(Exception):
    """Patterns that do not compile, each with its reason."""

    def __init__(self, reasons: Mapping[str, str]) -> None:
        super().__init__(f"{len(reasons)} patterns do not compile")
        self.reasons = reasons


class PatternSet:
    """All patterns of a tenant, or of the platform. Immutable."""

    __slots__ = ("compiled", "shards")

    def __init__(self, shards: tuple[Shard, ...] = ()) -> None:
        self.shards = shards
        compiled: dict[str, CompiledPattern] = {}
        for shard in shards:
            compiled.update(shard.by_source)
        self.compiled: Mapping[str, CompiledPattern] = compiled

    def with_patterns(
        self, patterns: Iterable[str], groups: Mapping[str, str] = NO_GROUPS
    ) -> PatternSet:
        """Returns a set of exactly `patterns`, which reuses the shards of this one if possible.

        Args:
            patterns: the patterns.
            groups: the groups of those that have one. Each group has shards of its own.

        Raises:
            PatternErrors: some of `patterns` do not compile; it names all of them.
        """
        sources = dict.fromkeys(patterns)
        missing = sources.keys() - self.compiled.keys()
        if not missing and len(sources) == len(self.compiled):
            return self
        reused: list[Shard] = []
        loose: list[CompiledPattern] = []
        for shard in self.shards:
            # A removed pattern costs a little in each scan. If more than half of a shard's patterns
            # are removed, the others are compiled again.
            if 2 * len(shard.by_source.keys() & sources.keys()) >= len(shard.patterns):
                reused.append(shard)
            else:
                loose += (pattern for pattern in shard.patterns if pattern.source in sources)
        if missing:
            loose += _compile_each(source for source in sources if source in missing)
        shards: list[Shard] = []
        names = {each.group for each in reused} | {groups.get(each.source, "") for each in loose}
        for group in sorted(names):
            shards += _merge(
                [each for each in reused if each.group == group],
                [each for each in loose if groups.get(each.source, "") == group],
                group,
            )
        return PatternSet(tuple(shards))


def _compile_each(sources: Iterable[str]) -> list[CompiledPattern]:
    patterns: list[CompiledPattern] = []
    reasons: dict[str, str] = {}
    for source in sources:
        try:
            patterns.append(CompiledPattern(source))
        except InvalidPattern as error:
            reasons[source] = error.violations[0].reason
    if reasons:
        raise PatternErrors(reasons)
    return patterns


def _merge(shards: list[Shard], loose: list[CompiledPattern], group: str) -> list[Shard]:
    """Returns shards for all patterns of both, each at least twice as large as the next."""
    shards.sort(key=lambda shard: len(shard.patterns), reverse=True)
    while shards and loose and len(shards[-1].patterns) < 2 * len(loose):
        if len(shards[-1].patterns) + len(loose) > MAX_SHARD_PATTERNS:
            break
        loose = [*shards.pop().patterns, *loose]
    for start in range(0, len(loose), MAX_SHARD_PATTERNS):
        shards += _compile(loose[start : start + MAX_SHARD_PATTERNS], group)
    return shards


def _compile(patterns: Sequence[CompiledPattern], group: str) -> list[Shard]:
    """Compiles one shard, or several if the patterns are too large for one."""
    try:
        return [Shard(patterns, group)]
    except InvalidPattern:
        if len(patterns) == 1:
            raise
        half = len(patterns) // 2
        halves = (patterns[:half], patterns[half:])
        return [shard for each in halves for shard in _compile(each, group)]


def _segments(shards: Sequence[Shard], batch: TextBatch) -> Iterable[Segment]:
    """Returns the segments of a batch to search: none if no pattern can occur in it."""
    return batch.segments() if any(shard.may_match(batch.data) for shard in shards) else ()


def scan(
    shards: Sequence[Shard],
    text: str,
    arguments: Mapping[str, Any] | None,
    validators: Validators,
    work: WorkBudget | None = None,
) -> Findings:
    """Searches the text and the arguments, in all their readings, for the patterns of `shards`.

    The work is counted in `work`, if several scans are parts of one decision.

    Raises:
        ScanMemoryExhausted: RE2 ran out of memory, so the result is unknown.
        WorkLimitExceeded: the request has more values than one decision may read.
    """
    hits: Hits = {}
    indexes: dict[int, ChunkIndex] = {}
    if not arguments and is_plain(text):
        if not text:
            return NO_FINDINGS
        data = text.encode()
        found = _found(shards, data)
        if not found:
            return NO_FINDINGS  # most texts
        _add(hits, indexes, shards, Segment(None, text, data), found)
        return Findings(hits, validators, indexes, work)
    work = WorkBudget() if work is None else work
    for each in readings(text, arguments, work.add_values):
        for segment in (each,) if isinstance(each, Segment) else _segments(shards, each):
            if found := _found(shards, segment.data):
                _add(hits, indexes, shards, segment, found)
    return Findings(hits, validators, indexes, work) if hits else NO_FINDINGS


def _found(shards: Sequence[Shard], data: bytes) -> list[CompiledPattern]:
    """Returns the patterns that occur in a text.

    Raises:
        ScanMemoryExhausted: RE2 ran out of memory.
    """
    found: list[CompiledPattern] = []
    for shard in shards:
        indices = shard.match(data)
        if len(indices) != ONLY_CANARY:  # else none occurs
            found += shard.patterns_at(indices)
    return found


def _add(
    hits: Hits,
    indexes: dict[int, ChunkIndex],
    shards: Sequence[Shard],
    segment: Segment,
    found: Iterable[CompiledPattern],
) -> None:
    """Adds the patterns that occur in a segment."""
    for pattern in found:
        hits.setdefault(pattern.source, (pattern, []))[1].append(segment)
    # The key is the `id` of the segment. Only segments in `hits` stay in memory; the `id` of any
    # other can be reused.
    if len(segment.data) >= MIN_BYTES and len(hits) >= MIN_PATTERNS:
        indexes[id(segment)] = ChunkIndex(shards, segment.data)
