"""The findings of the scan that chain rules ask for by entity type (seed 002, decide.md).

Only detectors of the types that some rule names are asked. What a pattern has found is a finding of
the scan whether or not a DLP rule of that type is in force: the chain rule asks for it itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pdp.domain.detector import PERSONAL_CATEGORIES, entity_aliases
from pdp.domain.dlp_rule import KIND, REGEX, DlpRule
from pdp.domain.entity_types import expand_entity_types
from pdp.engine.dlp.config import known_config
from pdp.engine.dlp.findings import named_entities

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pdp.domain.detector import EntityDetector
    from pdp.domain.policy_set import PolicySet
    from pdp.domain.request import Request
    from pdp.engine.dlp.entities import EntityFinding
    from pdp.engine.rules.documents import Conditions
    from pdp.engine.scan import Findings

SURE: Final = 0.5
"""The confidence from which a finding of the scan counts for a rule that names no other: the
threshold of a DLP rule that names none. A number that merely looks like an id stops nobody."""

EntityDetectors = dict[str, tuple["EntityDetector", ...]]
"""Detectors by the patterns that they have."""


def entity_detectors(
    rules: Iterable[Conditions], own: PolicySet, catalog: Mapping[str, EntityDetector]
) -> EntityDetectors:
    """Returns the detectors that any of `rules` asks for.

    Args:
        rules: the conditions of all rules.
        own: the tenant's policies, whose DLP rules are detectors too.
        catalog: the detectors that ship with the product.
    """
    named: set[str] = set()
    anything = False
    for each in rules:
        named.update(each.entity_types)
        anything |= not each.entity_types and each.entity_confidence_min is not None
    found: EntityDetectors = {}
    if not (named or anything):
        return found
    types = expand_entity_types(named)
    for detector in (*catalog.values(), *_own_detectors(own, catalog)):
        if anything or detector.entity_type in types:
            for pattern in detector.patterns:
                found[pattern] = (*found.get(pattern, ()), detector)
    return found


def personal_types(by_pattern: EntityDetectors) -> frozenset[str]:
    """Returns all names of the types of personal data that detectors find."""
    found: set[str] = set()
    for detectors in by_pattern.values():
        for each in detectors:
            if each.category in PERSONAL_CATEGORIES:
                found |= entity_aliases(each.entity_type)
    return frozenset(found)


def _own_detectors(
    own: PolicySet, catalog: Mapping[str, EntityDetector]
) -> Iterator[EntityDetector]:
    rules: Iterable[DlpRule] = own.of_kind(KIND).values()
    for rule in rules:
        if rule.enabled and rule.detector_type == REGEX and "detector" not in rule.config_json:
            yield from known_config(rule, catalog).detectors


def find_entities(
    by_pattern: Mapping[str, Sequence[EntityDetector]], request: Request, findings: Findings
) -> list[EntityFinding]:
    """Returns what detectors have found, and models where they were asked.

    Args:
        by_pattern: see `entity_detectors`.
        request: what is judged.
        findings: of the scan.
    """
    found: list[EntityFinding] = []
    if findings.hits:
        detectors = {
            detector.id: detector
            for pattern in findings.hits
            if pattern in by_pattern
            for detector in by_pattern[pattern]
        }
        for detector in detectors.values():
            found += findings.entities(detector)
    if request.ner is not None:
        found.extend(named_entities(request.ner.entities, request))
    return found
