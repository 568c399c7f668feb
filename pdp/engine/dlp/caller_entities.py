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
    type_categories: dict[str, str] = {}
    indexes: dict[str, list[int]] = {}
    for index, rule in rules:
        default = PII if rule.detector_type in MODEL_TYPES else CUSTOM
        for name in _type_names(rule):
            indexes.setdefault(name, []).append(index)
            if type_categories.get(name, CUSTOM) == CUSTOM:
                type_categories[name] = categories.get(name, default)
    return {
        name: CallerEntityRules(type_categories[name], tuple(places))
        for name, places in indexes.items()
    }


def same_types(one: DlpRule, other: DlpRule) -> bool:
    """Returns whether two versions of a rule count caller entities of the same types."""
    same_detector = one.detector_type == other.detector_type
    return same_detector and list(_type_names(one)) == list(_type_names(other))


def _type_names(rule: DlpRule) -> Iterable[str]:
    """Returns the entity types of a rule, with their aliases."""
    if rule.detector_type not in MODEL_TYPES:
        return entity_aliases(rule.entity_type)
    types = (entity_type_of(each) for each in labels_of(rule))
    return dict.fromkeys(alias for each in types for alias in entity_aliases(each))


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
