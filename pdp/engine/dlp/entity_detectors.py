"""The detectors for the entity types that chain rules name, and their findings (docs/decide.md).

Only detectors for the types that a rule names are evaluated. A chain rule requests these findings
itself, so they count whether or not a DLP rule for the type is in force.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from pdp.domain.detector import PERSONAL_CATEGORIES, entity_aliases
from pdp.domain.dlp_rule import KIND, REGEX, DlpRule
from pdp.domain.entity_types import expand_entity_types
from pdp.engine.dlp.config import read_stored_config
from pdp.engine.dlp.named_entities import named_entity_findings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pdp.domain.detector import EntityDetector
    from pdp.domain.policy_set import PolicySet
    from pdp.domain.request import Request
    from pdp.engine.dlp.entities import EntityFinding
    from pdp.engine.scan import Findings

DEFAULT_CONFIDENCE: Final = 0.5
"""The minimum confidence of a scan finding if the chain rule does not set one.

It equals the default threshold of DLP rules. A number that only looks like an id is below it.
"""

EntityDetectors = dict[str, tuple["EntityDetector", ...]]
"""Detectors by their patterns."""


class EntityConditions(Protocol):
    """The conditions of a rule on entities: see `pdp.engine.rules.documents.Conditions`."""

    @property
    def entity_types(self) -> Sequence[str]: ...

    @property
    def entity_confidence_min(self) -> float | None: ...


def entity_detectors(
    rules: Iterable[EntityConditions], own: PolicySet, catalog: Mapping[str, EntityDetector]
) -> EntityDetectors:
    """Returns the detectors for the entity types that any of `rules` names.

    Args:
        rules: the conditions of all rules.
        own: the tenant's policies; its DLP rules are detectors too.
        catalog: the built-in detectors.
    """
    names: set[str] = set()
    any_type = False
    for each in rules:
        names.update(each.entity_types)
        any_type |= not each.entity_types and each.entity_confidence_min is not None
    by_pattern: EntityDetectors = {}
    if not (names or any_type):
        return by_pattern
    types = expand_entity_types(names)
    for pattern, detectors in all_detectors(own, catalog).items():
        required = tuple(each for each in detectors if any_type or each.entity_type in types)
        if required:
            by_pattern[pattern] = required
    return by_pattern


def all_detectors(own: PolicySet, catalog: Mapping[str, EntityDetector]) -> EntityDetectors:
    """Returns the detectors for all entity types: the built-in ones, and the tenant's DLP rules.

    Args:
        own: the tenant's policies.
        catalog: the built-in detectors.
    """
    by_pattern: EntityDetectors = {}
    for detector in (*catalog.values(), *_own_detectors(own, catalog)):
        for pattern in detector.patterns:
            by_pattern[pattern] = (*by_pattern.get(pattern, ()), detector)
    return by_pattern


def personal_types(by_pattern: EntityDetectors) -> frozenset[str]:
    """Returns all names of the types of personal data that the detectors find."""
    types: set[str] = set()
    for detectors in by_pattern.values():
        for each in detectors:
            if each.category in PERSONAL_CATEGORIES:
                types |= entity_aliases(each.entity_type)
    return frozenset(types)


def _own_detectors(
    own: PolicySet, catalog: Mapping[str, EntityDetector]
) -> Iterator[EntityDetector]:
    rules: Iterable[DlpRule] = own.of_kind(KIND).values()
    for rule in rules:
        if rule.enabled and rule.detector_type == REGEX and "detector" not in rule.config_json:
            yield from read_stored_config(rule, catalog).detectors


def collect_entities(
    by_pattern: Mapping[str, Sequence[EntityDetector]], request: Request, findings: Findings
) -> list[EntityFinding]:
    """Returns the findings of the detectors, and those of models if models were asked.

    Args:
        by_pattern: see `entity_detectors`.
        request: the request that is evaluated.
        findings: the findings of the scan.
    """
    entities: list[EntityFinding] = []
    if findings.hits:
        detectors = {
            detector.id: detector
            for pattern in findings.hits
            if pattern in by_pattern
            for detector in by_pattern[pattern]
        }
        for detector in detectors.values():
            entities += findings.entities(detector)
    if request.ner is not None:
        entities.extend(named_entity_findings(request.ner.entities, request))
    return entities
