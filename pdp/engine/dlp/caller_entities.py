"""Entities that the caller found itself and sends with its request (docs/decide.md).

They count like findings of the scan. Each has a span in the request's text. If the span covers
nothing of the text, for example because the caller left it out, the entity may be anywhere: its
finding then covers all texts of the request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from pdp.domain.detector import CUSTOM, PII, entity_aliases
from pdp.engine.dlp.entities import EntityFinding
from pdp.engine.dlp.named_entities import MODEL_TYPES, entity_type_of, labels_of
from pdp.engine.text.locations import Location, Segment, strings_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pdp.domain.detector import EntityDetector
    from pdp.domain.dlp_rule import DlpRule
    from pdp.domain.request import Entity, Request

CALLER: Final = "request"
"""The detector id of findings that the caller made itself."""


class CallerEntityRules(NamedTuple):
    """The rules that count caller entities of one type.

    Attributes:
        category: the category of the type.
        rule_indexes: the indexes of the rules.
    """

    category: str
    rule_indexes: tuple[int, ...]

    def joined(self, later: CallerEntityRules) -> CallerEntityRules:
        """Returns these rules and `later` ones for the same type."""
        category = later.category if self.category == CUSTOM else self.category
        return CallerEntityRules(category, (*self.rule_indexes, *later.rule_indexes))


def categories_of(catalog: Mapping[str, EntityDetector]) -> Mapping[str, str]:
    """Returns the category of each entity type for which there are built-in detectors."""
    return {
        name: detector.category
        for detector in catalog.values()
        for name in entity_aliases(detector.entity_type)
    }


def caller_entity_rules(
    rules: Iterable[tuple[int, DlpRule]], categories: Mapping[str, str]
) -> dict[str, CallerEntityRules]:
    """Returns the rules that count caller entities, by entity type, with all aliases of a type.

    Args:
        rules: the rules, each with its index.
        categories: see `categories_of`.
    """
    by_type: dict[str, CallerEntityRules] = {}
    for index, rule in rules:
        model = rule.detector_type in MODEL_TYPES
        types = [entity_type_of(each) for each in labels_of(rule)] if model else [rule.entity_type]
        for name in dict.fromkeys(alias for each in types for alias in entity_aliases(each)):
            category = categories.get(name, PII if model else CUSTOM)
            counted = CallerEntityRules(category, (index,))
            by_type[name] = by_type[name].joined(counted) if name in by_type else counted
    return by_type


def caller_findings(
    rules_by_type: Mapping[str, CallerEntityRules], request: Request
) -> Iterator[tuple[CallerEntityRules, list[EntityFinding]]]:
    """Yields, for each entity type that rules count: the rules, and the caller's findings."""
    by_type: dict[str, list[Entity]] = {}
    for entity in request.entities:
        if entity.entity_type in rules_by_type:
            by_type.setdefault(entity.entity_type, []).append(entity)
    for entity_type, entities in by_type.items():
        rules = rules_by_type[entity_type]
        yield (
            rules,
            [
                EntityFinding(CALLER, entity_type, rules.category, entity.confidence, location)
                for entity, location in caller_locations(entities, request)
            ],
        )


def caller_locations(
    entities: Sequence[Entity], request: Request
) -> Iterator[tuple[Entity, Location]]:
    """Yields each entity that has a span in the text, with its location.

    Of the entities without such a span, the one with the highest confidence is yielded with each
    whole text of the request.
    """
    text = Segment(None, request.text, b"")
    unlocated: Entity | None = None
    for entity in entities:
        end = min(entity.end, len(request.text))
        if entity.start < end:
            yield entity, Location(text, entity.start, end)
        elif unlocated is None or entity.confidence > unlocated.confidence:
            unlocated = entity
    if unlocated is not None:
        # If the request has no text at all, the entity still counts.
        for segment in list(all_texts(request)) or [text]:
            yield unlocated, Location(segment, 0, len(segment.text))


def all_texts(request: Request) -> Iterator[Segment]:
    """Yields the text of a request and each string of its arguments."""
    if request.text:
        yield Segment(None, request.text, b"")
    if request.arguments:
        yield from strings_in(request.arguments)
