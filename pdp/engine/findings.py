"""What a scan found, and where, as it is asked for."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from pdp.engine.dlp.entities import EntityFinding, find_entities
from pdp.engine.text.locations import Location, Segment, located

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pdp.domain.detector import EntityDetector
    from pdp.engine.text.chunked_search import Neighbourhoods
    from pdp.engine.text.patterns import CompiledPattern, Detector, Validators, Window


_NOT_LONG: Final[Mapping[int, Neighbourhoods]] = MappingProxyType({})


class PatternMatch(NamedTuple):
    """Where a pattern is found in a segment, and where in it the value is; in code points."""

    segment: Segment
    start: int
    end: int
    value_start: int
    value_end: int


class _Places:
    """The places of one pattern: looked for as far as anyone has asked, and once for all."""

    __slots__ = ("_found", "_more")

    def __init__(
        self,
        pattern: CompiledPattern,
        segments: Sequence[Segment],
        near: Mapping[int, Neighbourhoods],
    ) -> None:
        self._found: list[PatternMatch] = []
        self._more = (
            PatternMatch(segment, *place)
            for segment in segments
            for place in pattern.places(
                segment.text, segment.data, _windows(pattern, segment, near)
            )
        )

    def __iter__(self) -> Iterator[PatternMatch]:
        found = self._found
        index = 0
        while True:
            if index == len(found):
                place = next(self._more, None)
                if place is None:
                    return
                found.append(place)
            yield found[index]
            index += 1


def _windows(
    pattern: CompiledPattern, segment: Segment, near: Mapping[int, Neighbourhoods]
) -> Sequence[Window] | None:
    neighbourhoods = near.get(id(segment))
    return None if neighbourhoods is None else neighbourhoods.of(pattern)


class Findings:
    """What a scan found. Positions and validators run when they are asked for, and once."""

    __slots__ = ("_entities", "_locations", "_near", "_places", "_validators", "hits")

    def __init__(
        self,
        hits: Mapping[str, tuple[CompiledPattern, Sequence[Segment]]],
        validators: Validators,
        near: Mapping[int, Neighbourhoods] = _NOT_LONG,
    ) -> None:
        """Args:
        hits: for each pattern that occurs, by its source, the segments that it occurs in, or
            other readings of them.
        validators: the checks that detectors name.
        near: of long segments, by their identity, in which parts patterns occur.
        """
        self.hits = hits
        self._near = near
        self._validators = validators
        self._places: dict[str, _Places] = {}
        self._locations: dict[Detector, tuple[Location, ...]] = {}
        self._entities: dict[EntityDetector, tuple[EntityFinding, ...]] = {}

    def first(self, detector: Detector) -> Location | None:
        """Returns where `detector` is found first; None where its validator accepts nothing."""
        return next(self._locate(detector), None)

    def all(self, detector: Detector) -> tuple[Location, ...]:
        """Returns every place where `detector` is found and its validator accepts the value."""
        found = self._locations.get(detector)
        if found is None:
            # What stands in the text as it is, is found in other readings of it as well.
            found = tuple(dict.fromkeys(self._locate(detector)))
            self._locations[detector] = found
        return found

    def entities(self, detector: EntityDetector) -> tuple[EntityFinding, ...]:
        """Returns what `detector` finds, from left to right, in each segment; worked out once."""
        found = self._entities.get(detector)
        if found is None:
            found = find_entities(detector, self.places, self._validators)
            self._entities[detector] = found
        return found

    def places(self, pattern: str) -> Iterable[PatternMatch]:
        """Returns every place where a pattern is found, by its source; checks nothing."""
        found = self._places.get(pattern)
        if found is None:
            hit = self.hits.get(pattern)
            if hit is None:
                return ()
            found = self._places[pattern] = _Places(*hit, self._near)
        return found

    def _locate(self, detector: Detector) -> Iterator[Location]:
        places = self.places(detector.pattern)
        if not places:
            return
        accepts = self._validators[detector.validator] if detector.validator else None
        for place in places:
            segment, start, end, _, _ = place
            if accepts is None or accepts(segment.text[start:end]):
                yield located(segment, start, end)


NO_FINDINGS: Final = Findings({}, {})

NOT_SCANNED: Final = Findings({}, {})
"""Where a scan could not be made: nothing was found, since nothing was looked for."""
