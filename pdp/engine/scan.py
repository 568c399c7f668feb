"""The scan: every text of a request through all patterns in one RE2 pass.

A tenant's patterns live in shards, each one `RE2::Set`. A shard reports which patterns occur;
positions and validators run only for those. Two faults of `RE2::Set` are met here:

* It answers "no match" when it runs out of memory. Every shard therefore holds a canary, a
  pattern that matches the end of any text and costs nothing; a pass that does not report it
  has not been made, and is an error.
* It must be compiled as a whole. Shards therefore grow by merging, each at least twice the next,
  so that adding a pattern compiles little, and a set has few shards.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import re2

from pdp.engine.findings import NO_FINDINGS, Findings
from pdp.engine.text.chunked_search import MIN_BYTES, MIN_PATTERNS, Neighbourhoods
from pdp.engine.text.locations import Segment
from pdp.engine.text.normalization import readings
from pdp.engine.text.patterns import CompiledPattern, Validators
from pdp.errors import InvalidPattern, Violation

__all__ = [
    "NO_FINDINGS",
    "Findings",
    "PatternErrors",
    "PatternSet",
    "PatternsExhausted",
    "Shard",
    "scan",
    "strings_in",
]

SHARD_BASE_BYTES: Final = 16 << 20
"""Memory that a shard may use for its automaton, whatever its size ..."""

SHARD_PATTERN_BYTES: Final = 16 << 10
"""... and in addition for each of its patterns."""

MAX_SHARD_PATTERNS: Final = 2048
"""Bounds the time of one compilation: about 12 ms on a slow core."""

_CANARY: Final = rb"\z"

# Run through every new shard, so that the states that most texts need exist before the first
# decision asks for them.
_WARM_UP: Final = (
    b"",
    b"The quick brown fox jumps over the lazy dog, 0123456789 times (or so); isn't it?",
    b"SELECT name, id FROM users WHERE id = 1 ORDER BY name LIMIT 10; -- a comment /* and */",
    b'{"path": "/var/log/app.log", "url": "https://example.com/a?b=c&d=e", "n": [1, 2.5, null]}',
)


class PatternsExhausted(Exception):
    """RE2 ran out of memory during a scan: what the text holds is not known."""


class Shard:
    """A group of patterns that are looked for together."""

    __slots__ = ("_match", "patterns")

    def __init__(self, patterns: Sequence[CompiledPattern]) -> None:
        """Compiles `patterns` into one automaton.

        Raises:
            InvalidPattern: they are too large together.
        """
        options = re2.Options()
        options.max_mem = SHARD_BASE_BYTES + SHARD_PATTERN_BYTES * len(patterns)
        options.log_errors = False
        group = re2.Set.SearchSet(options)
        for pattern in patterns:
            group.Add(pattern.source)
        group.Add(_CANARY)
        try:
            group.Compile()
        except re2.error:
            reason = "the patterns are too large together"
            raise InvalidPattern(f"pattern: {reason}", Violation("pattern", reason)) from None
        self.patterns = tuple(patterns)
        self._match = group.Match
        for text in _WARM_UP:
            group.Match(text)

    def search(self, data: bytes) -> Sequence[CompiledPattern]:
        """Returns the patterns that occur in `data`.

        Raises:
            PatternsExhausted: RE2 ran out of memory.
        """
        indices = self._match(data)
        if not indices:
            raise PatternsExhausted
        if len(indices) == 1:
            return ()
        patterns = self.patterns
        return [patterns[index] for index in indices if index < len(patterns)]


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
        self.compiled: Mapping[str, CompiledPattern] = {
            pattern.source: pattern for shard in shards for pattern in shard.patterns
        }

    def with_patterns(self, wanted: Iterable[str]) -> PatternSet:
        """Returns the set of `wanted`, which shares every shard with this one that it can.

        Raises:
            PatternErrors: some of `wanted` are not patterns; it names them all.
        """
        sources = dict.fromkeys(wanted)
        compiled = self.compiled
        if len(sources) == len(compiled) and all(source in compiled for source in sources):
            return self
        kept: list[Shard] = []
        loose: list[CompiledPattern] = []
        placed: set[str] = set()
        for shard in self.shards:
            live = [pattern for pattern in shard.patterns if pattern.source in sources]
            # Dead patterns cost a little on every scan; a shard that is half dead is rebuilt.
            if 2 * len(live) >= len(shard.patterns):
                kept.append(shard)
            else:
                loose += live
            placed.update(pattern.source for pattern in live)
        loose += _compile_each(source for source in sources if source not in placed)
        return PatternSet(tuple(_merge(kept, loose)))


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


def _merge(kept: list[Shard], loose: list[CompiledPattern]) -> list[Shard]:
    """Returns shards for all of `kept` and `loose`, each at least twice the size of the next."""
    kept.sort(key=lambda shard: len(shard.patterns), reverse=True)
    while kept and loose and len(kept[-1].patterns) < 2 * len(loose):
        if len(kept[-1].patterns) + len(loose) > MAX_SHARD_PATTERNS:
            break
        loose = [*kept.pop().patterns, *loose]
    for start in range(0, len(loose), MAX_SHARD_PATTERNS):
        kept += _compile(loose[start : start + MAX_SHARD_PATTERNS])
    return kept


def _compile(patterns: Sequence[CompiledPattern]) -> list[Shard]:
    """Compiles one shard, or more where the patterns are too large for one."""
    try:
        return [Shard(patterns)]
    except InvalidPattern:
        if len(patterns) == 1:
            raise
        half = len(patterns) // 2
        return [*_compile(patterns[:half]), *_compile(patterns[half:])]


def scan(
    shards: Sequence[Shard],
    text: str,
    arguments: Mapping[str, Any] | None,
    validators: Validators,
) -> Findings:
    """Looks for the patterns of `shards` in the text and in every string of the arguments.

    Raises:
        PatternsExhausted: RE2 ran out of memory; what the text holds is not known.
    """
    hits: dict[str, tuple[CompiledPattern, list[Segment]]] = {}
    near: dict[int, Neighbourhoods] = {}
    segments = [Segment(None, text, text.encode())] if text else []
    if arguments:
        segments += strings_in(arguments)
    for segment in segments:
        for reading in readings(segment):
            data, found = reading.data, False
            for shard in shards:
                for pattern in shard.search(data):
                    hits.setdefault(pattern.source, (pattern, []))[1].append(reading)
                    found = True
            # Known by its identity, so only where hits keep it: another may get that of one gone.
            if found and len(data) >= MIN_BYTES and len(hits) >= MIN_PATTERNS:
                near[id(reading)] = Neighbourhoods(shards, data)
    return Findings(hits, validators, near) if hits else NO_FINDINGS


def strings_in(value: Any, path: str = "") -> Iterator[Segment]:
    """Yields every string within a JSON value, with its JSON Pointer (RFC 6901)."""
    if isinstance(value, str):
        if value:
            yield Segment(path, value, value.encode())
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from strings_in(item, f"{path}/{key.replace('~', '~0').replace('/', '~1')}")
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from strings_in(item, f"{path}/{index}")
