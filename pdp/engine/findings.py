"""The findings of a scan. Matches are located and validated on first use."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from pdp.domain.named_tuples import new_tuple
from pdp.engine.dlp.context import is_fraction
from pdp.engine.dlp.entities import EntityFinding, find_entities
from pdp.engine.text.locations import Location, PatternMatch, Segment, locate
from pdp.engine.text.patterns import CompiledPattern, in_code_points
from pdp.engine.work import WorkBudget

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pdp.domain.detector import EntityDetector
    from pdp.domain.request import Request
    from pdp.engine.text.chunked_search import ChunkIndex
    from pdp.engine.text.patterns import ByteRange, PatternDetector, Validator, Validators


_FEW_MATCHES: Final = 128
"""Matches that a decision may keep for its record."""

_SMALL_COST: Final = 64 << 10
"""Bytes in which patterns occur, once for each pattern, that a decision may keep for its record."""

_MATCH_WEIGHT: Final = 200
"""Roughly the memory of a match, in characters."""

_NO_INDEXES: Final[Mapping[int, ChunkIndex]] = MappingProxyType({})


class _LazyMatches:
    """The matches of one pattern: located as far as a caller iterates, and only once."""

    __slots__ = (
        "_begin",
        "_indexes",
        "_is_complete",
        "_matches",
        "_pattern",
        "_remaining",
        "_segments",
        "_work",
    )

    def __init__(
        self,
        pattern: CompiledPattern,
        segments: Sequence[Segment],
        indexes: Mapping[int, ChunkIndex],
        work: WorkBudget,
    ) -> None:
        self._pattern = pattern
        self._segments = segments
        self._indexes = indexes
        self._work = work
        self._matches: list[PatternMatch] = []
        self._remaining: Iterator[PatternMatch] | None = None
        self._begin = 0
        self._is_complete = False

    def __iter__(self) -> Iterator[PatternMatch]:
        matches, add_match = self._matches, self._work.add_match
        if self._remaining is None:
            self._remaining = _located(
                self._pattern, self._segments, self._indexes, self._work, self._begin
            )
        index = 0
        while True:
            if index == len(matches):
                match = next(self._remaining, None)
                if match is None:
                    self._is_complete = True
                    return
                matches.append(match)
            add_match()
            yield matches[index]
            index += 1

    def first(self) -> PatternMatch | None:
        """Returns the first match, which the caller has to count; None if `iter` has to find it.

        Most policies need no other match, and it is found without the generators of `iter`.
        """
        pattern, segment = self._pattern, self._segments[0]
        if not isinstance(pattern, CompiledPattern):
            return None  # it stands for a pattern of a record, whose place is not that of a match
        if self._matches:
            return self._matches[0]
        data = segment.data
        if self._remaining is not None or self._indexes:
            return None
        span = pattern.find(data, 0, len(data))
        if span is None or not (end := span[1]):
            return None  # after an empty match at the start, `iter` goes on at the next byte
        if len(segment.text) != len(data):
            span = next(in_code_points(data, (span,)), None)
            if span is None:
                return None
        self._work.add_located(len(data))
        match: PatternMatch = new_tuple(PatternMatch, (segment, *span))
        self._matches.append(match)
        self._begin = end
        return match

    def copy(self, work: WorkBudget) -> _LazyMatches:
        """Returns the same matches, which count in another budget.

        Those that are located are not located again, unless an iteration is under way: an error may
        have stopped it.
        """
        copy = _LazyMatches(self._pattern, self._segments, self._indexes, work)
        if self._is_complete:
            copy._matches, copy._remaining, copy._is_complete = self._matches, iter(()), True
        elif self._remaining is None:
            copy._matches, copy._begin = self._matches.copy(), self._begin
        return copy


def _located(
    pattern: CompiledPattern,
    segments: Sequence[Segment],
    indexes: Mapping[int, ChunkIndex],
    work: WorkBudget,
    begin: int,
) -> Iterator[PatternMatch]:
    """Yields the matches of a pattern in some segments. Each segment is searched when it is due.

    Args:
        pattern: the pattern.
        segments: the segments.
        indexes: see `Findings`.
        work: counts the bytes that are searched.
        begin: where to go on in the first segment, in bytes; 0 if it was not searched yet.
    """
    for segment in segments:
        if begin:
            ranges: Sequence[ByteRange] | None = ((begin, len(segment.data)),)
            begin = 0
        else:
            ranges = _ranges(pattern, segment, indexes, work)
        for start, end, value_start, value_end in pattern.matches(
            segment.text, segment.data, ranges
        ):
            yield new_tuple(PatternMatch, (segment, start, end, value_start, value_end))


def _ranges(
    pattern: CompiledPattern,
    segment: Segment,
    indexes: Mapping[int, ChunkIndex],
    work: WorkBudget,
) -> Sequence[ByteRange] | None:
    index = indexes.get(id(segment)) if indexes else None
    ranges = None if index is None else index.ranges(pattern)
    if ranges is None:
        work.add_located(len(segment.data))
    else:
        work.add_located(sum(end - begin for begin, end in ranges))
    return ranges


class Findings:
    """The findings of a scan. Positions and validators are evaluated on first use, then cached."""

    __slots__ = ("_entities", "_indexes", "_locations", "_matches", "_validators", "hits", "work")

    def __init__(
        self,
        hits: Mapping[str, tuple[CompiledPattern, Sequence[Segment]]],
        validators: Validators,
        indexes: Mapping[int, ChunkIndex] = _NO_INDEXES,
        work: WorkBudget | None = None,
    ) -> None:
        """Args:
        hits: for each pattern that occurs, by its source: the segments, or normalized variants of
            segments, in which it occurs.
        validators: the validators that detectors name.
        indexes: for long segments, by the segment's `id`: the parts in which patterns occur.
        work: counts the work of the decision.
        """
        self.work = WorkBudget() if work is None else work
        self.hits = hits
        self._indexes = indexes
        self._validators = validators
        self._matches: dict[str, _LazyMatches] = {}
        self._locations: dict[PatternDetector, tuple[Location, ...]] = {}
        self._entities: dict[EntityDetector, tuple[EntityFinding, ...]] = {}

    def first(self, detector: PatternDetector) -> Location | None:
        """Returns the first location of a detector; None if its validator accepts no match."""
        pattern, validator, _ = detector
        matches = self.matches(pattern)
        match = matches.first() if isinstance(matches, _LazyMatches) else None
        # A text that was not made from others has no reading, and one location for each match.
        if match is not None and match[0].source is None:
            segment, start, end, _, _ = match
            if not validator or _is_valid(self._validators[validator], match):
                self.work.add_match()
                return new_tuple(Location, (segment, start, end))
        return next(self.locations(detector), None)

    def all(self, detector: PatternDetector) -> tuple[Location, ...]:
        """Returns each location of a detector at which its validator accepts the match."""
        locations = self._locations.get(detector)
        if locations is None:
            # A match in the text itself usually occurs in its normalized variants too.
            locations = tuple(dict.fromkeys(self.locations(detector)))
            self.work.add_finds(len(locations))
            self._locations[detector] = locations
        return locations

    def entities(self, detector: EntityDetector) -> tuple[EntityFinding, ...]:
        """Returns the findings of a detector, from left to right in each segment."""
        entities = self._entities.get(detector)
        if entities is None:
            sources = [each for each in detector.patterns if each in self.hits]
            entities = find_entities(
                detector, sources, self.matches, self._segments, self._validators
            )
            self.work.add_finds(len(entities))
            self._entities[detector] = entities
        return entities

    def copy(self) -> Findings:
        """Returns the same findings, which have their own work budget; for another thread.

        What is located and judged is not located and judged again.
        """
        copy = Findings(self.hits, self._validators, self._indexes)
        copy._matches = {name: each.copy(copy.work) for name, each in self._matches.items()}
        copy._entities = self._entities.copy()
        return copy

    def unread(self) -> Findings:
        """Returns the same findings, of which nothing is located yet, nor counted."""
        work = WorkBudget()
        work.values = self.work.values
        return Findings(self.hits, self._validators, self._indexes, work)

    @property
    def is_small(self) -> bool:
        """Whether they are so few, in so short a text, that a decision may keep them."""
        return self.work.matches <= _FEW_MATCHES and self.cost <= _SMALL_COST

    @property
    def cost(self) -> int:
        """The bytes in which patterns would be located: what the layers have to search again."""
        return sum(len(segment.data) for _, segments in self.hits.values() for segment in segments)

    def matches(self, pattern: str) -> Iterable[PatternMatch]:
        """Returns all matches of a pattern, given by its source, without validation."""
        matches = self._matches.get(pattern)
        if matches is None:
            hit = self.hits.get(pattern)
            if hit is None:
                return ()
            matches = self._matches[pattern] = _LazyMatches(*hit, self._indexes, self.work)
        return matches

    def _segments(self, pattern: str) -> Sequence[Segment]:
        hit = self.hits.get(pattern)
        return () if hit is None else hit[1]

    def talk_of(self, pattern: str) -> bool | None:
        """Whether the request only talks about what a pattern found; None if that must be judged.

        Only the record of a decision knows it, when there is no text to judge.
        """
        return None

    def locations(self, detector: PatternDetector) -> Iterator[Location]:
        """Yields the locations of `all`, as far as the caller iterates, and some repeatedly."""
        for segment, start, end, _, _ in self.accepted_matches(detector):
            if segment.source is None:
                yield new_tuple(Location, (segment, start, end))
            else:
                yield from locate(segment, start, end)

    def accepted_matches(self, detector: PatternDetector) -> Iterator[PatternMatch]:
        """Yields the matches of a detector that its validator accepts."""
        pattern, validator, ignores = detector
        matches = self.matches(pattern)
        if not matches:
            return
        accepts = self._validators[validator] if validator else None
        for match in matches:
            segment = match[0]
            # Only a text that was made from others has a reading.
            if ignores is not None and segment.source is not None and segment.reading is ignores:
                continue
            if accepts is None or _is_valid(accepts, match):
                yield match


def _is_valid(accepts: Validator, match: PatternMatch) -> bool:
    """Whether a validator accepts the value of a match, which is no part of a fraction."""
    segment, _, _, start, end = match
    value = segment.text[start:end]
    return accepts(value) and not (value.isdigit() and is_fraction(segment.text, start))


class Scan:
    """What a scan found in a request, as a decision keeps it for its record.

    Attributes:
        request: the request.
        findings: its findings.
    """

    __slots__ = ("findings", "request")

    def __init__(self, request: Request, findings: Findings) -> None:
        self.request = request
        self.findings = findings

    def __eq__(self, other: object) -> bool:
        """Whether it is a scan: what is kept for a record does not make a decision different."""
        return isinstance(other, Scan)

    def __hash__(self) -> int:
        return hash(Scan)

    @property
    def weight(self) -> int:
        """Roughly how much memory the findings hold, in characters."""
        findings = self.findings
        return 2 * findings.cost + _MATCH_WEIGHT * findings.work.matches


NO_FINDINGS: Final = Findings({}, {})

NOT_SCANNED: Final = Findings({}, {})
"""The findings if the scan failed: empty, because nothing was searched."""
