"""Named entities in a decision: what models are needed for, and how their findings are put in.

Patterns answer for every entity type that a built-in detector has, whatever the type of the rule:
they are exact, and there without a model. Models are asked for the rest alone, before a request is
judged, and their findings are a part of the request (`Request.ner`), so that judging stays pure.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from pdp.domain.decision import PolicyWarning
from pdp.domain.dlp_rule import LLM, NER
from pdp.domain.ner import EntityLabel, NamedEntity
from pdp.engine.scan import strings_in

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from pdp.domain.dlp_rule import DlpRule
    from pdp.domain.ner import NerFindings
    from pdp.domain.request import Request

NOT_ASKED: Final = "no model was asked"

MODEL_TYPES: Final = (NER, LLM)
"""Types of rules whose labels a model may be needed for."""

_BETWEEN: Final = re.compile(r"[\s_-]+")


class NotLookedFor(Exception):
    """A rule wants what no model could look for."""


class Unanswered(NamedTuple):
    """A label of a rule that nothing has looked for, and why."""

    rule: DlpRule
    label: str
    reason: str

    def warning(self) -> PolicyWarning:
        """What a decision says of it."""
        rule = self.rule
        return PolicyWarning(
            rule.id, f'Rule "{rule.detector_name}" could not look for {self.label}: {self.reason}.'
        )


def labels_of(rule: DlpRule) -> tuple[str, ...]:
    """Returns what a rule of a model type looks for: its labels, else its entity type."""
    for name in ("labels", "entities"):
        named = rule.config_json.get(name)
        if isinstance(named, (list, tuple)) and named:
            return tuple(dict.fromkeys(str(each).strip() for each in named))
    return (rule.entity_type,)


def entity_type_of(label: str) -> str:
    """Returns the entity type that a label stands for: "email address" is EMAIL_ADDRESS."""
    return _BETWEEN.sub("_", label.strip()).upper()


def wanted_by(rule: DlpRule, patterned: Collection[str]) -> tuple[EntityLabel, ...]:
    """Returns what only a model can find of what a rule looks for.

    Args:
        rule: of any type.
        patterned: the entity types that built-in detectors have patterns for.
    """
    if rule.detector_type not in MODEL_TYPES:
        return ()
    return tuple(
        EntityLabel(rule.detector_type, label)
        for label in labels_of(rule)
        if entity_type_of(label) not in patterned
    )


def texts_of(request: Request) -> list[tuple[str | None, str]]:
    """Returns the texts of a request that are looked through, each with its path."""
    texts: list[tuple[str | None, str]] = [(None, request.text)] if request.text else []
    if request.arguments:
        texts += ((each.path, each.text) for each in strings_in(request.arguments))
    return texts


def found_by(rule: DlpRule, request: Request, patterned: Collection[str]) -> list[NamedEntity]:
    """Returns what models found in a request of what a rule looks for."""
    if request.ner is None or not request.ner.entities:
        return []
    sought = wanted_by(rule, patterned)
    return [each for each in request.ner.entities if each.label in sought]


def unanswered_by(
    rule: DlpRule, request: Request, patterned: Collection[str]
) -> Sequence[Unanswered]:
    """Returns what a rule wants and nothing has looked for in a request.

    Not empty means that the decision is incomplete: the layer gives `NotLookedFor` among the
    `unjudged` of its verdict, beside what its other rules have found.
    """
    sought = wanted_by(rule, patterned)
    if not sought or not texts_of(request):
        return ()
    if request.ner is None:
        return [Unanswered(rule, each.name, NOT_ASKED) for each in sought]
    missing = request.ner.missing
    return [Unanswered(rule, each.name, missing[each]) for each in sought if each in missing]


def with_findings(request: Request, findings: NerFindings) -> Request:
    """Returns a request with what models found in it."""
    return request._replace(ner=findings)
