"""An index that evaluates all rules of a tenant's chains on a request at once.

Every rule has a bit. For each condition, the index has one bit mask of rules for every value that
any rule requires, and one for the rules that require nothing. The values of a request select a mask
for each condition. The rules that match are the intersection of these masks.

A hundred rules fit into one or two machine words. The time for a request depends on its own values,
and hardly on the number of rules (docs/architecture.md, Measured).
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Final

from pdp.domain.entity_types import expand_entity_types
from pdp.domain.model_catalog import normalize_name
from pdp.engine.dlp.entity_detectors import DEFAULT_CONFIDENCE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pdp.domain.request import Entity
    from pdp.engine.dlp.entities import EntityFinding
    from pdp.engine.rules.documents import Conditions
    from pdp.engine.rules.matching import Facts

DIRECTIONS: Final = ("input", "output")
BOTH: Final = "both"


class _ValueIndex:
    """The rules that require each value of one condition.

    Attributes:
        by_value: the mask of the rules that require a value.
        unconstrained: the mask of the rules without this condition.
    """

    __slots__ = ("by_value", "unconstrained")

    def __init__(self, rules: Sequence[Iterable[str]]) -> None:
        """Indexes the values of each rule, in order. A rule without values has no condition."""
        self.unconstrained = 0
        self.by_value: dict[str, int] = {}
        for bit, values in enumerate(rules):
            has_condition = False
            for value in values:
                has_condition = True
                self.by_value[value] = self.by_value.get(value, 0) | 1 << bit
            if not has_condition:
                self.unconstrained |= 1 << bit

    def one(self, value: str) -> int:
        """Returns the mask of the rules that accept `value`."""
        return self.unconstrained | self.by_value.get(value, 0)

    def any(self, values: Iterable[str]) -> int:
        """Returns the mask of the rules that accept any of `values`."""
        allowed, by_value = self.unconstrained, self.by_value
        for value in values:
            if value in by_value:
                allowed |= by_value[value]
        return allowed


class _MinimumIndex:
    """The rules that require at least a number."""

    __slots__ = ("_masks", "_minimums")

    def __init__(self, rules: Iterable[tuple[float, int]]) -> None:
        """Indexes the minimum of each rule, given with the bit of the rule."""
        self._minimums: list[float] = []
        self._masks = [0]
        for minimum, bit in sorted(rules):
            if self._minimums and self._minimums[-1] == minimum:
                self._masks[-1] |= 1 << bit
            else:
                self._minimums.append(minimum)
                self._masks.append(self._masks[-1] | 1 << bit)

    def __bool__(self) -> bool:
        """Returns whether any rule has a minimum."""
        return bool(self._minimums)

    def reached(self, number: float) -> int:
        """Returns the mask of the rules whose minimum is at most `number`."""
        return self._masks[bisect_right(self._minimums, number)]


class _EntityIndex:
    """The rules that require a finding of a type, or of any type, with a minimum confidence."""

    __slots__ = ("_any_type", "_by_entity_type", "_by_finding_type", "unconstrained")

    def __init__(self, rules: Sequence[Conditions]) -> None:
        self.unconstrained = 0
        any_type: list[tuple[float, int]] = []
        by_entity_type: dict[str, list[tuple[float, int]]] = {}
        by_finding_type: dict[str, dict[int, float]] = {}
        for bit, rule in enumerate(rules):
            minimum = rule.entity_confidence_min
            if rule.entity_types:
                finding_minimum = DEFAULT_CONFIDENCE if minimum is None else minimum
                for name in expand_entity_types(rule.entity_types):
                    by_entity_type.setdefault(name, []).append((minimum or 0.0, bit))
                    by_finding_type.setdefault(name, {})[bit] = finding_minimum
            elif minimum is not None:
                any_type.append((minimum, bit))
            else:
                self.unconstrained |= 1 << bit
        self._any_type = _MinimumIndex(any_type)
        self._by_entity_type = {
            name: _MinimumIndex(minimums) for name, minimums in by_entity_type.items()
        }
        self._by_finding_type = {
            name: _MinimumIndex((minimum, bit) for bit, minimum in minimums.items())
            for name, minimums in by_finding_type.items()
        }

    def any(self, entities: Iterable[Entity], entity_findings: Iterable[EntityFinding]) -> int:
        """Returns the mask of the rules that accept these findings.

        Args:
            entities: the caller's own findings.
            entity_findings: the findings of the scan.
        """
        allowed, any_type = self.unconstrained, self._any_type
        by_entity_type, by_finding_type = self._by_entity_type, self._by_finding_type
        for entity in entities:
            allowed |= any_type.reached(entity.confidence)
            minimums = by_entity_type.get(entity.entity_type)
            if minimums is not None:
                allowed |= minimums.reached(entity.confidence)
        for finding in entity_findings:
            if finding.location.start == finding.location.end:
                continue
            allowed |= any_type.reached(finding.confidence)
            minimums = by_finding_type.get(finding.entity_type)
            if minimums is not None:
                allowed |= minimums.reached(finding.confidence)
        return allowed


class RuleIndex:
    """Finds the rules that match a request. Immutable.

    Attributes:
        asks_for_models: whether any rule has a condition on models or providers.
    """

    __slots__ = (
        "_channels",
        "_complexities",
        "_directions",
        "_entities",
        "_groups",
        "_models",
        "_patterns",
        "_providers",
        "_risk",
        "_without_risk",
        "asks_for_models",
    )

    def __init__(self, rules: Sequence[tuple[str, Conditions]]) -> None:
        """Indexes `rules`, each with its `applies_to`. The bit of a rule is its position.

        A condition that no rule has gets no index, so `matching` skips it.
        """
        conditions = [each for _, each in rules]
        self._directions: Mapping[str, int] = {
            direction: sum(
                1 << bit
                for bit, (applies_to, _) in enumerate(rules)
                if applies_to in {direction, BOTH}
            )
            for direction in DIRECTIONS
        }
        self._groups = _value_index([each.user_groups for each in conditions])
        self._providers = _value_index([map(normalize_name, each.providers) for each in conditions])
        self._models = _value_index([map(normalize_name, each.models) for each in conditions])
        self.asks_for_models = self._providers is not None or self._models is not None
        self._channels = _value_index([each.channel for each in conditions])
        self._patterns = _value_index([_one(each.content_regex) for each in conditions])
        self._complexities = _value_index([_one(each.intent_complexity) for each in conditions])
        has_entities = any(
            each.entity_types or each.entity_confidence_min is not None for each in conditions
        )
        self._entities = _EntityIndex(conditions) if has_entities else None
        minimums = [(each.user_risk_score_min, bit) for bit, each in enumerate(conditions)]
        with_risk = [(minimum, bit) for minimum, bit in minimums if minimum is not None]
        self._risk = _MinimumIndex(with_risk) if with_risk else None
        self._without_risk = sum(1 << bit for minimum, bit in minimums if minimum is None)

    def matching(self, facts: Facts) -> int:
        """Returns the mask of the rules whose conditions are all met."""
        request, findings, provider, models, entities, entity_findings = facts
        rules = self._directions[request.direction]
        if self._groups is not None:
            rules &= self._groups.any(request.subject.groups)
        if self._models is not None:
            rules &= self._models.any(models)
        if self._providers is not None:
            rules &= self._providers.one(provider)
        if self._patterns is not None:
            rules &= self._patterns.any(findings.hits)
        if self._channels is not None:
            rules &= self._channels.one(request.channel)
        if self._complexities is not None:
            rules &= self._complexities.one(request.intent_complexity)
        if self._entities is not None:
            rules &= self._entities.any(entities, entity_findings)
        if self._risk is not None:
            score = request.subject.risk_score
            reached = 0 if score is None else self._risk.reached(score)
            rules &= self._without_risk | reached
        return rules


def _value_index(rules: Sequence[Iterable[str]]) -> _ValueIndex | None:
    index = _ValueIndex(rules)
    return index if index.by_value else None


def _one(value: str) -> tuple[str, ...]:
    return (value,) if value else ()
