"""The scan: searches all texts of a request for all patterns.

Positions and validators are evaluated only for the patterns that occur.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pdp.engine.findings import NO_FINDINGS, Findings
from pdp.engine.shards import ScanMemoryExhausted
from pdp.engine.text.chunked_search import MIN_BYTES, MIN_PATTERNS, ChunkIndex
from pdp.engine.text.locations import Segment
from pdp.engine.text.readings import is_plain, readings
from pdp.engine.work import WorkBudget

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pdp.engine.pattern_set import PatternSet
    from pdp.engine.text.patterns import CompiledPattern, Validators
    from pdp.engine.text.readings import TextBatch

__all__ = ["NO_FINDINGS", "Findings", "ScanMemoryExhausted", "scan"]

Hits = dict[str, tuple["CompiledPattern", list[Segment]]]
"""The patterns that occur, by their source, and the segments in which each does."""


def _segments(patterns: Sequence[PatternSet], batch: TextBatch) -> Iterable[Segment]:
    """Returns the segments of a batch to search: none if no pattern can occur in it."""
    return batch.segments() if any(each.may_match(batch.data) for each in patterns) else ()


def scan(
    patterns: Sequence[PatternSet],
    text: str,
    arguments: Mapping[str, Any] | None,
    validators: Validators,
    work: WorkBudget | None = None,
) -> Findings:
    """Searches the text and the arguments, in all their readings, for `patterns`.

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
        found = _found(patterns, data)
        if not found:
            return NO_FINDINGS  # most texts
        _add(hits, indexes, patterns, Segment(None, text, data), found)
        return Findings(hits, validators, indexes, work)
    work = WorkBudget() if work is None else work
    for each in readings(text, arguments, work.add_values):
        for segment in (each,) if isinstance(each, Segment) else _segments(patterns, each):
            if found := _found(patterns, segment.data):
                _add(hits, indexes, patterns, segment, found)
    return Findings(hits, validators, indexes, work) if hits else NO_FINDINGS


def _found(patterns: Sequence[PatternSet], data: bytes) -> Sequence[CompiledPattern]:
    """Returns the patterns that occur in a text.

    Raises:
        ScanMemoryExhausted: RE2 ran out of memory.
    """
    if len(patterns) == 1:  # most tenants have no patterns of their own
        return patterns[0].search(data)
    return [found for each in patterns for found in each.search(data)]


def _add(
    hits: Hits,
    indexes: dict[int, ChunkIndex],
    patterns: Sequence[PatternSet],
    segment: Segment,
    found: Sequence[CompiledPattern],
) -> None:
    """Adds the patterns that occur in a segment."""
    for pattern in found:
        hits.setdefault(pattern.source, (pattern, []))[1].append(segment)
    # The key is the `id` of the segment. Only segments in `hits` stay in memory; the `id` of any
    # other can be reused.
    if len(segment.data) >= MIN_BYTES and len(hits) >= MIN_PATTERNS:
        shards = [shard for each in patterns for shard in each.shards_of(found)]
        indexes[id(segment)] = ChunkIndex(shards, segment.data)
