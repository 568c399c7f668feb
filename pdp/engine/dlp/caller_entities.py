"""The findings that a caller has made itself: they join those of the scan (decide.md).

They lie in the text. What lies nowhere in it, its place having been left out for instance, may be
anywhere, so it stands for all that there is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from pdp.domain.detector import CUSTOM, PII, entity_aliases
from pdp.engine.dlp.entities import EntityFinding
from pdp.engine.dlp.named_entities import MODEL_TYPES, entity_type_of, labels_of
from pdp.engine.scan import strings_in
from pdp.engine.text.locations import Location, Segment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pdp.domain.detector import EntityDetector
    from pdp.domain.dlp_rule import DlpRule
    from pdp.domain.request import Entity, Request

CALLER: Final = "request"
"""Stands for a detector where a finding is the caller's own."""


class CallerEntityRules(NamedTuple):
    """The rules that count a caller's findings of one type.

    Attributes:
        category: of the type.
        places: of the rules.
    """

    category: str
    places: tuple[int, ...]


def caller_entity_rules(
    rules: Sequence[DlpRule], catalog: Mapping[str, EntityDetector]
) -> Mapping[str, CallerEntityRules]:
    """Returns the types that any of `rules` counts; each rule has its place."""
    categories = {
        name: detector.category
        for detector in catalog.values()
        for name in entity_aliases(detector.entity_type)
    }
    found: dict[str, CallerEntityRules] = {}
    for place, rule in enumerate(rules):
        model = rule.detector_type in MODEL_TYPES
        wanted = [entity_type_of(each) for each in labels_of(rule)] if model else [rule.entity_type]
        for name in dict.fromkeys(alias for each in wanted for alias in entity_aliases(each)):
            category = categories.get(name, PII if model else CUSTOM)
            known = found.get(name)
            if known is None:
                found[name] = CallerEntityRules(category, (place,))
            else:
                kept = category if known.category == CUSTOM else known.category
                found[name] = CallerEntityRules(kept, (*known.places, place))
    return found


def caller_findings(
    told: Mapping[str, CallerEntityRules], request: Request
) -> Iterator[tuple[CallerEntityRules, list[EntityFinding]]]:
    """Yields the caller's findings of each type that rules count, with those rules."""
    by_type: dict[str, list[Entity]] = {}
    for entity in request.entities:
        if entity.entity_type in told:
            by_type.setdefault(entity.entity_type, []).append(entity)
    for entity_type, entities in by_type.items():
        rules = told[entity_type]
        yield (
            rules,
            [
                EntityFinding(CALLER, entity_type, rules.category, entity.confidence, where)
                for entity, where in caller_locations(entities, request)
            ],
        )


def caller_locations(
    entities: Sequence[Entity], request: Request
) -> Iterator[tuple[Entity, Location]]:
    """Yields where findings lie; of those that lie nowhere the surest one is everywhere."""
    text = Segment(None, request.text, b"")
    lost: Entity | None = None
    for entity in entities:
        end = min(entity.end, len(request.text))
        if entity.start < end:
            yield entity, Location(text, entity.start, end)
        elif lost is None or entity.confidence > lost.confidence:
            lost = entity
    if lost is not None:
        # Where there is nothing to look at, it has been found all the same.
        for segment in list(all_texts(request)) or [text]:
            yield lost, Location(segment, 0, len(segment.text))


def all_texts(request: Request) -> Iterator[Segment]:
    """Yields the text of a request and every string of its arguments."""
    if request.text:
        yield Segment(None, request.text, b"")
    if request.arguments:
        yield from strings_in(request.arguments)
