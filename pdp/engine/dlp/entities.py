"""Turns pattern matches into entities: values of a kind of data, each with a confidence.

The confidence of a finding depends on its pattern, on the validator that the value must pass, and
on the words around it. For example, most numbers of nine digits with a valid check digit are not
bank routing numbers, unless the text mentions one.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from pdp.domain.named_tuples import new_tuple
from pdp.engine.dlp.context import FEW_VALUES, ContextSearch, is_fraction, label_of
from pdp.engine.dlp.private_keys import private_key_end
from pdp.engine.text.locations import Location, Reading, locate, whole_places

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pdp.domain.detector import EntityDetector
    from pdp.engine.text.locations import PatternMatch, Place, Segment
    from pdp.engine.text.patterns import Validators

MAX_FINDINGS: Final = 1_000
"""If one text has more findings, one finding covers the whole text instead of them."""

_LOW_CONFIDENCE: Final = 0.5
"""Findings below it do not count towards `MAX_FINDINGS`: tables of numbers are full of them."""

_NEEDS_CONTEXT: Final = 0.1
"""A match with less confidence counts only if a context word is near: any number has its form."""

_AMBIGUOUS: Final = 0.4
"""With less confidence, the word directly before a match decides if it speaks against it."""

_LONG_FRACTION: Final = 9
"""So many digits behind a decimal point are never another number, whatever words are near."""

LONG_TEXT: Final = 32 << 10
"""In a longer text, matches of low confidence are ignored if no context word is near them."""

Extension = Callable[[str, int, int], int]
"""Returns where the value ends whose match in a text has this start and end; 0 if it is none."""

EXTENSIONS: Final[Mapping[str, Extension]] = {"private_key": private_key_end}
"""The extensions that detectors name."""

MAX_NAME: Final = 40
"""Characters before a match that can be a part of its label."""

_NAME_BEFORE: Final = re.compile(r"(?:[A-Za-z]+ )?[\w.-]*\Z")

_NO_MATCH: Final = (0, 0.0)


class EntityFinding(NamedTuple):
    """A value of a kind of data.

    Attributes:
        detector_id: the detector that found it.
        confidence: from 0 to 1.
        location: its location; `location.value` is the value.
    """

    detector_id: str
    entity_type: str
    category: str
    confidence: float
    location: Location


def find_entities(
    detector: EntityDetector,
    sources: Iterable[str],
    matches: Callable[[str], Iterable[PatternMatch]],
    segments: Callable[[str], Iterable[Segment]],
    validators: Validators,
) -> tuple[EntityFinding, ...]:
    """Returns the findings of a detector, from left to right in each text, without overlaps.

    Args:
        detector: the detector.
        sources: those of its patterns that occur, in the order of its patterns.
        matches: returns the matches of a pattern.
        segments: returns the texts in which a pattern occurs.
        validators: the validators that detectors name.
    """
    search: _EntitySearch | None = None
    context = ContextSearch(detector.words)
    for source in sources:
        confidence = detector.weak.get(source, detector.confidence)
        without_context = 0
        for match in matches(source):
            segment = match[0]
            # Only a text that was made from others has a reading.
            if segment.source is not None and segment.reading is Reading.COMMAND:
                continue
            if search is None:
                search = _EntitySearch(detector, context, validators)
            if search.add(match, confidence):
                continue
            without_context += 1
            if without_context == FEW_VALUES and not any(
                context.occurs_in(each) or not _needs_context(each, confidence)
                for each in segments(source)
            ):
                break  # a table of numbers: none of the others can have a context word near
    if search is None:
        return ()
    findings = search.findings
    return _without_overlaps(findings) if len(findings) > 1 else tuple(findings)


def _needs_context(segment: Segment, confidence: float) -> bool:
    return confidence < _NEEDS_CONTEXT or (
        confidence < _LOW_CONFIDENCE and len(segment.text) > LONG_TEXT
    )


class _EntitySearch:
    """Collects the findings of one detector in one request."""

    __slots__ = (
        "_accepts",
        "_accepts_label",
        "_best",
        "_context",
        "_counts",
        "_detector",
        "_extension",
        "findings",
    )

    def __init__(
        self, detector: EntityDetector, context: ContextSearch, validators: Validators
    ) -> None:
        self.findings: list[EntityFinding] = []
        self._detector = detector
        self._accepts = validators[detector.validator] if detector.validator else None
        label_validator = detector.label_validator
        self._accepts_label = validators[label_validator] if label_validator else None
        self._best: dict[tuple[int, int], tuple[int, float]] = {}
        self._counts: dict[int, int] = {}
        self._context = context
        self._extension = EXTENSIONS[detector.extension] if detector.extension else None

    def add(self, match: PatternMatch, confidence: float) -> bool:
        """Adds a finding for the value of a match if it is valid and has a label of such values.

        Returns:
            False if the value needs a context word and none is near.
        """
        segment, match_start, _, start, end = match
        if self._extension is not None:
            end = self._extension(segment.text, start, end)
        accepts_label = self._accepts_label
        if not end or (
            accepts_label is not None
            and not accepts_label(_label(segment.text, match_start, start))
        ):
            return True
        return self._add_value(segment, start, end, confidence)

    def _add_value(self, segment: Segment, start: int, end: int, confidence: float) -> bool:
        key, detector = id(segment), self._detector
        best_end, best_confidence = self._best.get((key, start), _NO_MATCH)
        count = self._counts.get(key, 0)
        if (best_end >= end and best_confidence >= confidence) or count > MAX_FINDINGS:
            return True  # another pattern found it already, or a finding covers the whole text
        if (
            confidence < _LOW_CONFIDENCE
            and _needs_context(segment, confidence)
            and not self._context.is_near(segment, start, end)
        ):
            return False
        value = segment.text[start:end]
        if self._accepts is not None:
            value = _valid_part(self._accepts, value)
        if not value or (detector.allowlist and value.lower() in detector.allowlist):
            return True
        value_end = start + len(value)
        self._best[key, start] = (value_end, confidence)
        if confidence < detector.context_confidence or detector.against:
            confidence = self._in_context(segment, start, value_end, confidence)
        self._add(confidence, locate(segment, start, value_end))
        if confidence >= _LOW_CONFIDENCE:
            self._counts[key] = count + 1
            if count == MAX_FINDINGS:
                self._add(detector.context_confidence, whole_places(segment))
        return True

    def _in_context(self, segment: Segment, start: int, end: int, confidence: float) -> float:
        """Returns the confidence in a value, given the words around it."""
        detector = self._detector
        fraction = is_fraction(segment.text, start)
        if (fraction and end - start >= _LONG_FRACTION) or (
            confidence < _AMBIGUOUS
            and detector.against
            and detector.words_against.any_in(label_of(segment.text, start))
        ):
            return confidence / 2
        words = self._context.around(segment, start, end)
        if detector.words.any_in(words):
            return max(confidence, detector.context_confidence)
        if fraction or (detector.against and detector.words_against.any_in(words)):
            return confidence / 2
        return confidence

    def _add(self, confidence: float, locations: Iterable[Location]) -> None:
        detector = self._detector
        self.findings += [
            new_tuple(
                EntityFinding,
                (detector.id, detector.entity_type, detector.category, confidence, location),
            )
            for location in locations
        ]


def _label(text: str, start: int, end: int) -> str:
    """Returns the part of a match before its value.

    Args:
        text: the text of the match.
        start: the start of the match. The name that it is the end of belongs to the label.
        end: the start of the value.
    """
    name = _NAME_BEFORE.search(text[max(0, start - MAX_NAME) : start])
    return (name[0] if name else "") + text[start:end]


def _valid_part(accepts: Callable[[str], bool], value: str) -> str:
    """Returns the part of `value` that the validator accepts; empty if none."""
    if accepts(value):
        return value
    # For a number in groups, the pattern may have matched the word after it as the last group.
    shorter = value.rpartition(" ")[0]
    return shorter if shorter and accepts(shorter) else ""


def _without_overlaps(findings: list[EntityFinding]) -> tuple[EntityFinding, ...]:
    """Removes each finding that overlaps with a better one.

    A finding is better if its confidence is higher, or if its confidence is equal and it is longer.
    """
    by_text: dict[Place, list[EntityFinding]] = {}
    for each in findings:
        by_text.setdefault(each.location.place, []).append(each)
    remaining: list[EntityFinding] = []
    for group in by_text.values():
        for cluster in _clusters(sorted(group, key=lambda each: each.location.start)):
            remaining += cluster if len(cluster) == 1 else _best(sorted(cluster, key=_rank))
    return tuple(remaining)


def _clusters(findings: list[EntityFinding]) -> Iterator[list[EntityFinding]]:
    """Yields, from left to right, runs of findings in which each overlaps with an earlier one."""
    cluster: list[EntityFinding] = []
    end = 0
    for each in findings:
        if cluster and each.location.start >= end:
            yield cluster
            cluster = []
        cluster.append(each)
        end = max(end, each.location.end)
    yield cluster


def _rank(finding: EntityFinding) -> tuple[float, int, int]:
    """Returns the sort key of a finding: the best one first."""
    location = finding.location
    return (-finding.confidence, location.start - location.end, location.start)


def _best(cluster: list[EntityFinding]) -> list[EntityFinding]:
    """Returns, from left to right, the findings that overlap with no better one.

    Args:
        cluster: findings, the best first.
    """
    best: list[EntityFinding] = []
    starts: list[int] = []
    for each in cluster:
        location = each.location
        index = bisect_left(starts, location.start)
        if index < len(best) and starts[index] < location.end:
            continue
        if index and best[index - 1].location.end > location.start:
            continue
        starts.insert(index, location.start)
        best.insert(index, each)
    return best
