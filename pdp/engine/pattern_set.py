"""The patterns of a tenant, or those that all tenants share, in shards.

* A shard can only be compiled as a whole. Therefore shards grow by merging, and each shard is at
  least twice as large as the next. Adding a pattern compiles little, and a set has few shards.
* The states of a shard are combinations of those of its patterns, so that most new texts need new
  states if patterns of different kinds are together. Therefore the patterns that all tenants share
  have *groups* (`pdp.engine.pattern_groups`), and each shard has patterns of one group.
* A *word filter* (`pdp.engine.word_filter`) says of most texts of words only that none of these
  patterns occurs, with one pass instead of one for each group.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from pdp.engine.shards import ONLY_CANARY, Shard
from pdp.engine.text.patterns import CompiledPattern
from pdp.engine.word_filter import WordFilter, is_words_only
from pdp.errors import InvalidPattern

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

MAX_SHARD_PATTERNS: Final = 2048
"""Bounds the time of one compilation: about 12 ms on a slow core."""

NO_GROUPS: Final[Mapping[str, str]] = MappingProxyType({})


class PatternErrors(Exception):
    """Patterns that do not compile, each with its reason."""

    def __init__(self, reasons: Mapping[str, str]) -> None:
        super().__init__(f"{len(reasons)} patterns do not compile")
        self.reasons = reasons


class PatternSet:
    """All patterns of a tenant, or of the platform. Immutable.

    Attributes:
        shards: the patterns, in shards.
        compiled: the patterns, by their source.
    """

    __slots__ = ("_word_filter", "compiled", "shards")

    def __init__(
        self, shards: tuple[Shard, ...] = (), word_filter: WordFilter | None = None
    ) -> None:
        self.shards = shards
        self._word_filter = word_filter
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
            groups: the groups of those that have one. Each group has shards of its own, and a set
                with groups has a word filter.

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
        return PatternSet(tuple(shards), _word_filter(sources) if groups else None)

    def search(self, data: bytes) -> list[CompiledPattern]:
        """Returns the patterns that occur in a text.

        Raises:
            ScanMemoryExhausted: RE2 ran out of memory.
        """
        found: list[CompiledPattern] = []
        words = self._word_filter
        if words is not None and is_words_only(data) and not words.may_match(data):
            return found
        for shard in self.shards:
            indices = shard.match(data)
            if len(indices) != ONLY_CANARY:  # else none occurs
                found += shard.patterns_at(indices)
        return found

    def may_match(self, lines: bytes) -> bool:
        """Returns whether a pattern may occur in one of several texts, each on lines of its own.

        Raises:
            ScanMemoryExhausted: RE2 ran out of memory.
        """
        return any(shard.may_match(lines) for shard in self.shards)

    def shards_of(self, found: Iterable[CompiledPattern]) -> list[Shard]:
        """Returns the shards that have some of these patterns."""
        sources = {pattern.source for pattern in found}
        return [shard for shard in self.shards if not sources.isdisjoint(shard.by_source)]


def _word_filter(sources: Iterable[str]) -> WordFilter | None:
    """Returns a filter; None if it is too large. Then all texts are searched for all patterns."""
    try:
        return WordFilter(sources)
    except InvalidPattern:
        return None


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
