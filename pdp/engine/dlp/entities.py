"""From what patterns found to entities: values of a kind of data, each with a confidence.

How sure a find is comes of three things: its pattern, the check that the value must pass, and the
words around it. A number of nine digits whose check digit is right is still most often no bank's,
unless the text speaks of one.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

from pdp.engine.text.locations import Location, located

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pdp.domain.detector import EntityDetector
    from pdp.engine.findings import PatternMatch
    from pdp.engine.text.locations import Segment
    from pdp.engine.text.patterns import Validators

CONTEXT_BEFORE: Final = 64
CONTEXT_AFTER: Final = 32
"""Characters around a value that are looked at for context words."""

MAX_FINDINGS: Final = 1_000
"""More in one text are one finding, the whole text: it is data, not a text with data in it."""

_SURE: Final = 0.5
"""The confidence from which a finding counts to those; tables of numbers are full of others."""

LONG_TEXT: Final = 32 << 10
"""In a longer one, what has that little confidence is passed over where no context word is near."""

_NOTHING: Final = (0, 0.0)

_WORD: Final = re.compile(r"[^\W_]+")


class EntityFinding(NamedTuple):
    """A value of a kind of data.

    Attributes:
        detector_id: the detector that found it.
        confidence: from 0 to 1.
        where: the place; its `value` is what was found.
    """

    detector_id: str
    entity_type: str
    category: str
    confidence: float
    where: Location


def find_entities(
    detector: EntityDetector,
    places: Callable[[str], Iterable[PatternMatch]],
    validators: Validators,
) -> tuple[EntityFinding, ...]:
    """Returns what `detector` finds, from left to right in each text, none within another.

    Args:
        detector: what is looked for.
        places: gives those of a pattern.
        validators: the checks that detectors name.
    """
    search: _EntitySearch | None = None
    for source in detector.patterns:
        confidence = detector.weak.get(source, detector.confidence)
        for segment, _, _, start, end in places(source):
            if search is None:
                search = _EntitySearch(detector, validators)
            search.look(segment, start, end, confidence)
    if search is None:
        return ()
    found = search.found
    return _disjoint(found) if len(found) > 1 else tuple(found)


class _EntitySearch:
    """What a detector has found so far in one request."""

    __slots__ = ("_accepts", "_detector", "_sure", "_taken", "found")

    def __init__(self, detector: EntityDetector, validators: Validators) -> None:
        self.found: list[EntityFinding] = []
        self._detector = detector
        self._accepts = validators[detector.validator] if detector.validator else None
        self._taken: dict[tuple[int, int], tuple[int, float]] = {}
        self._sure: Counter[int] = Counter()

    def look(self, segment: Segment, start: int, end: int, confidence: float) -> None:
        """Adds what stands from `start` to `end`, where it is a value."""
        here, detector = id(segment), self._detector
        longest, surest = self._taken.get((here, start), _NOTHING)
        if (longest >= end and surest >= confidence) or self._sure[here] > MAX_FINDINGS:
            return  # a pattern that is as sure has found it, or everything is found
        long = confidence < _SURE and len(segment.text) > LONG_TEXT
        if long and not detector.words.any_in(_words_around(segment.text, start, end)):
            return
        value = segment.text[start:end]
        if self._accepts is not None:
            value = _accepted(self._accepts, value)
        if not value or value.lower() in detector.allowlist:
            return
        stop = start + len(value)
        self._taken[here, start] = (stop, confidence)
        finding = _finding(detector, segment, start, stop, confidence)
        self.found.append(finding)
        if finding.confidence >= _SURE:
            self._sure[here] += 1
            if self._sure[here] > MAX_FINDINGS:
                self.found.append(_everything(detector, segment))


def _everything(detector: EntityDetector, segment: Segment) -> EntityFinding:
    where = located(segment, 0, len(segment.text))
    whole = Location(where.segment, 0, len(where.segment.text))
    return EntityFinding(
        detector.id, detector.entity_type, detector.category, detector.context_confidence, whole
    )


def _accepted(accepts: Callable[[str], bool], value: str) -> str:
    """Returns what of `value` passes its check; nothing where it does not."""
    if accepts(value):
        return value
    # A number in groups may have taken the word behind it for its last one.
    shorter = value.rpartition(" ")[0]
    return shorter if shorter and accepts(shorter) else ""


def _finding(
    detector: EntityDetector, segment: Segment, start: int, end: int, confidence: float
) -> EntityFinding:
    if confidence < detector.context_confidence or detector.against:
        words = _words_around(segment.text, start, end)
        if detector.words.any_in(words):
            confidence = max(confidence, detector.context_confidence)
        elif _is_fraction(segment.text, start) or detector.words_against.any_in(words):
            confidence /= 2
    where = located(segment, start, end)
    return EntityFinding(detector.id, detector.entity_type, detector.category, confidence, where)


def _words_around(text: str, start: int, end: int) -> list[str]:
    before = text[max(0, start - CONTEXT_BEFORE) : start].lower()
    after = text[end : end + CONTEXT_AFTER].lower()
    return _WORD.findall(before) + _WORD.findall(after)


def _is_fraction(text: str, start: int) -> bool:
    """Whether a number is what follows the point of another: floats are as long as cards."""
    return text[start - 1 : start] == "." and text[max(0, start - 2) : start - 1].isdigit()


def _disjoint(found: list[EntityFinding]) -> tuple[EntityFinding, ...]:
    """Leaves out what overlaps with a finding that is surer, or as sure and longer."""
    by_text: dict[str | None, list[EntityFinding]] = {}
    for each in found:
        by_text.setdefault(each.where.segment.path, []).append(each)
    kept: list[EntityFinding] = []
    for group in by_text.values():
        for cluster in _clusters(sorted(group, key=lambda each: each.where.start)):
            kept += cluster if len(cluster) == 1 else _kept(sorted(cluster, key=_worth))
    return tuple(kept)


def _clusters(found: list[EntityFinding]) -> Iterator[list[EntityFinding]]:
    """Yields runs of findings of which each overlaps with one before it; from left to right."""
    cluster: list[EntityFinding] = []
    end = 0
    for each in found:
        if cluster and each.where.start >= end:
            yield cluster
            cluster = []
        cluster.append(each)
        end = max(end, each.where.end)
    yield cluster


def _worth(finding: EntityFinding) -> tuple[float, int, int]:
    where = finding.where
    return (-finding.confidence, where.start - where.end, where.start)


def _kept(cluster: list[EntityFinding]) -> list[EntityFinding]:
    """Returns from left to right what of `cluster`, best first, overlaps with nothing better."""
    kept: list[EntityFinding] = []
    starts: list[int] = []
    for each in cluster:
        where = each.where
        place = bisect_left(starts, where.start)
        if place < len(kept) and starts[place] < where.end:
            continue
        if place and kept[place - 1].where.end > where.start:
            continue
        starts.insert(place, where.start)
        kept.insert(place, each)
    return kept
