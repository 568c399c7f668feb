"""Named entities in a decision: which of them need a model, and how model findings are added.

If a built-in detector has patterns for an entity type, the patterns find it for rules of every
type: they are exact and need no model. Models search only for the other entity types, before the
request is evaluated. Their findings become a part of the request (`Request.ner`), so that
evaluation stays a pure function.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from pdp.domain.decision import PolicyWarning
from pdp.domain.detector import CUSTOM, PII
from pdp.domain.dlp_rule import LLM, NER
from pdp.domain.ner import EntityLabel, NamedEntity
from pdp.engine.dlp.entities import EntityFinding
from pdp.engine.text.locations import Location, Segment, strings_in

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from pdp.domain.dlp_rule import DlpRule
    from pdp.domain.ner import NerFindings
    from pdp.domain.request import Request

NO_MODEL_ASKED: Final = "no model was asked"

MODEL_TYPES: Final = (NER, LLM)
"""The detector types of rules that may need a model."""

PROMPT_INJECTION: Final = "PROMPT_INJECTION"
"""The entity type of orders to a model, which are not personal data."""

_WORD_SEPARATOR: Final = re.compile(r"[\s_-]+")


class EntityNotSearched(Exception):
    """A rule names entities that no model could search for."""


class UnsearchedLabel(NamedTuple):
    """A label of a rule that nothing has searched for, and the reason."""

    rule: DlpRule
    label: str
    reason: str

    def warning(self) -> PolicyWarning:
        """Returns the warning for the decision."""
        rule = self.rule
        return PolicyWarning(
            rule.id, f'Rule "{rule.detector_name}" could not look for {self.label}: {self.reason}.'
        )


def labels_of(rule: DlpRule) -> tuple[str, ...]:
    """Returns the labels of a rule of a model type; its entity type if it has no labels."""
    for name in ("labels", "entities"):
        labels = rule.config_json.get(name)
        if isinstance(labels, (list, tuple)) and labels:
            return tuple(dict.fromkeys(str(each).strip() for each in labels))
    return (rule.entity_type,)


def entity_type_of(label: str) -> str:
    """Returns the entity type of a label: EMAIL_ADDRESS for "email address"."""
    return _WORD_SEPARATOR.sub("_", label.strip()).upper()


def model_entities(rule: DlpRule, pattern_types: Collection[str]) -> tuple[EntityLabel, ...]:
    """Returns the entities of a rule that only a model can find.

    Args:
        rule: a rule of any detector type.
        pattern_types: the entity types for which built-in detectors have patterns.
    """
    if rule.detector_type not in MODEL_TYPES:
        return ()
    return tuple(
        EntityLabel(rule.detector_type, label)
        for label in labels_of(rule)
        if entity_type_of(label) not in pattern_types
    )


def texts_of(request: Request) -> list[tuple[str | None, str]]:
    """Returns the texts of a request that are searched, each with its path."""
    texts: list[tuple[str | None, str]] = [(None, request.text)] if request.text else []
    if request.arguments:
        texts += ((each.path, each.text) for each in strings_in(request.arguments))
    return texts


def named_entities_for(
    rule: DlpRule, request: Request, pattern_types: Collection[str]
) -> list[NamedEntity]:
    """Returns the entities of a rule that models found in a request."""
    if request.ner is None or not request.ner.entities:
        return []
    entities = model_entities(rule, pattern_types)
    return [each for each in request.ner.entities if each.label in entities]


def unsearched_labels(
    rule: DlpRule, request: Request, pattern_types: Collection[str]
) -> Sequence[UnsearchedLabel]:
    """Returns the labels of a rule that nothing has searched for in a request.

    If it is not empty, the decision is incomplete: the layer adds `EntityNotSearched` to the
    `failures` of its verdict, beside the findings of its other rules.
    """
    entities = model_entities(rule, pattern_types)
    if not entities or not texts_of(request):
        return ()
    if request.ner is None:
        return [UnsearchedLabel(rule, each.name, NO_MODEL_ASKED) for each in entities]
    missing = request.ner.missing
    return [UnsearchedLabel(rule, each.name, missing[each]) for each in entities if each in missing]


def with_findings(request: Request, findings: NerFindings) -> Request:
    """Returns the request with the findings of models."""
    return request._replace(ner=findings)


def named_entity_findings(
    entities: Sequence[NamedEntity], request: Request
) -> Iterator[EntityFinding]:
    """Yields a finding for each entity that a model found in a request."""
    if not entities:
        return
    segments: dict[str | None, Segment] = {None: Segment(None, request.text, b"")}
    if any(each.path is not None for each in entities):
        segments.update((each.path, each) for each in strings_in(request.arguments))
    for each in entities:
        location = Location(segments[each.path], each.start, each.end)
        detector_type, label = each.label
        entity_type = entity_type_of(label)
        category = CUSTOM if entity_type == PROMPT_INJECTION else PII
        yield EntityFinding(detector_type, entity_type, category, each.confidence, location)
