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
from pdp.domain.group_resolver import normalize_group
from pdp.domain.model_catalog import normalize_name
from pdp.engine.dlp.entity_detectors import DEFAULT_CONFIDENCE
from pdp.engine.rules.action_patterns import patterns_of
from pdp.engine.rules.schedules import time_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from pdp.domain.request import Entity
    from pdp.engine.dlp.entities import EntityFinding
    from pdp.engine.rules.documents import Conditions
    from pdp.engine.rules.matching import Facts
    from pdp.engine.rules.model_matcher import RequestedModel

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
        self.by_value: dict[str, int] = {}
        for bit, values in enumerate(rules):
            for value in values:
                self.by_value[value] = self.by_value.get(value, 0) | 1 << bit
        constrained = 0
        for mask in self.by_value.values():
            constrained |= mask
        self.unconstrained = (1 << len(rules)) - 1 & ~constrained

    def named(self, values: Iterable[str]) -> int:
        """Returns the mask of the rules that name any of `values`."""
        mask = 0
        for value in values:
            mask |= self.by_value.get(value, 0)
        return mask

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


class _ModelIndex:
    """The rules that name models or providers, or exclude some.

    A rule that stops requests names them widely and excludes them narrowly. A rule that lets
    requests through does the opposite. So no rule passes more than its author has written.
    """

    __slots__ = ("_excluded_narrowly", "_excluded_widely", "_named_narrowly", "_named_widely")

    def __init__(
        self, names: Sequence[Iterable[str]], excluded: Sequence[Iterable[str]], passing: int
    ) -> None:
        """Args:
        names: the normalized names of each rule, in order; empty for any.
        excluded: the normalized names that each rule excludes.
        passing: the mask of the rules that let requests through.
        """
        passes = [bool(passing >> bit & 1) for bit in range(len(names))]
        self._named_widely = _ValueIndex(_part(names, passes, part=False))
        self._named_narrowly = _ValueIndex(_part(names, passes, part=True))
        self._excluded_widely = _ValueIndex(_part(excluded, passes, part=True))
        self._excluded_narrowly = _ValueIndex(_part(excluded, passes, part=False))

    def accepting(self, narrow: Iterable[str], wide: Iterable[str]) -> int:
        """Returns the mask of the rules that accept a model or a provider.

        Args:
            narrow: the written names that mean it narrowly.
            wide: those that mean it widely.
        """
        accepted = self._named_widely.any(wide) & self._named_narrowly.any(narrow)
        excluded = self._excluded_widely.named(wide) | self._excluded_narrowly.named(narrow)
        return accepted & ~excluded

    def demanding(self) -> int:
        """Returns the mask of the rules that let a request through unless it names some models."""
        return self._excluded_widely.named(self._excluded_widely.by_value)


class RuleIndex:
    """Finds the rules that match a request. Immutable.

    Attributes:
        asks_for_models: whether any rule has a condition on models or providers.
        about_models: the mask of the rules that have one, or an expression that names the model.
        names: the names in all expressions.
        names_facts: whether any expression names something that the request does not have itself.
        has_schedules: whether any rule has a schedule.
        patterns: the number of patterns that the expressions search for.
    """

    __slots__ = (
        "_actions",
        "_agents",
        "_channels",
        "_complexities",
        "_conditional",
        "_directions",
        "_entities",
        "_excluded_groups",
        "_groups",
        "_models",
        "_patterns",
        "_providers",
        "_risk",
        "_rules",
        "_tools",
        "_without_risk",
        "about_models",
        "asks_for_models",
        "has_schedules",
        "names",
        "names_facts",
        "patterns",
    )

    def __init__(self, rules: Sequence[tuple[str, Conditions]], passing: int = 0) -> None:
        """Indexes `rules`, each with its `applies_to`. The bit of a rule is its position.

        A condition that no rule has gets no index, so `matching` skips it.

        Args:
            rules: the rules.
            passing: the mask of the rules that let requests through: they name models narrowly.
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
        self._groups = _value_index([each.user_groups for each in conditions], normalize_group)
        self._excluded_groups = _value_index(
            [each.not_user_groups for each in conditions], normalize_group
        )
        self._set_models(conditions, passing)
        self._tools = _value_index([each.tools for each in conditions])
        self._actions = _value_index([each.actions for each in conditions])
        self._agents = _value_index([each.agent_ids for each in conditions])
        self._set_conditional(conditions)
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

    def _set_models(self, conditions: Sequence[Conditions], passing: int) -> None:
        self._models = _model_index(
            [each.models for each in conditions], [each.not_models for each in conditions], passing
        )
        self._providers = _model_index(
            [each.providers for each in conditions],
            [each.not_providers for each in conditions],
            passing,
        )
        self.about_models = sum(
            1 << bit
            for bit, each in enumerate(conditions)
            if each.models or each.not_models or each.providers or each.not_providers
        )
        self.asks_for_models = bool(self.about_models)

    def _set_conditional(self, conditions: Sequence[Conditions]) -> None:
        self._rules = conditions
        self._conditional = sum(
            1 << bit
            for bit, each in enumerate(conditions)
            if each.expression is not None or each.schedule is not None
        )
        expressions = {
            1 << bit: each.expression.condition
            for bit, each in enumerate(conditions)
            if each.expression is not None
        }
        self.about_models |= sum(
            mask
            for mask, each in expressions.items()
            if not mask & self.about_models
            and any(name.startswith("model.") for name in each.names)
        )
        self.names = frozenset(name for each in expressions.values() for name in each.names)
        self.names_facts = any(each.names_facts for each in expressions.values())
        self.has_schedules = any(each.schedule is not None for each in conditions)
        self.patterns = sum(each.patterns for each in expressions.values())

    def accepting(self, model: RequestedModel) -> int:
        """Returns the mask of the rules whose conditions on models and providers are met."""
        rules = -1
        if self._models is not None:
            rules &= self._models.accepting(model.narrow, model.wide)
            if not model.is_named:
                rules &= ~self._models.demanding()
        if self._providers is not None:
            rules &= self._providers.accepting(model.narrow_providers, model.wide_providers)
            if not model.provider:
                rules &= ~self._providers.demanding()
        return rules

    def matching(self, facts: Facts) -> int:
        """Returns the mask of the rules whose conditions are all met."""
        request, findings, _, accepting, groups, entities, entity_findings, _ = facts
        rules = self._directions[request.direction] & accepting
        if self._groups is not None:
            rules &= self._groups.any(groups)
        if self._excluded_groups is not None:
            rules &= ~self._excluded_groups.named(groups)
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
        if self._tools is not None:
            rules &= self._tools.one(request.tool)
        if self._agents is not None:
            rules &= self._agents.one(request.subject.agent_id)
        if self._actions is not None:
            rules &= self._actions.any(patterns_of(request.action))
        # Last, because they are evaluated one by one.
        return self._meeting(rules, facts) if rules & self._conditional else rules

    def _meeting(self, rules: int, facts: Facts) -> int:
        """Returns the mask of the rules whose schedules and expressions are met as well."""
        request = facts.request
        remaining = rules & self._conditional
        while remaining:
            mask = remaining & -remaining
            remaining ^= mask
            conditions = self._rules[mask.bit_length() - 1]
            schedule, expression = conditions.schedule, conditions.expression
            if (schedule is not None and not schedule.covers(time_of(request))) or (
                expression is not None
                and not expression.condition.evaluate(request, facts.conditions)
            ):
                rules ^= mask
        return rules

    @property
    def asks_for_groups(self) -> bool:
        """Whether any rule has a condition on groups."""
        return self._groups is not None or self._excluded_groups is not None


def _value_index(
    rules: Sequence[Collection[str]], normalize: Callable[[str], str] | None = None
) -> _ValueIndex | None:
    """Returns the index of the values of each rule; None if no rule has any."""
    if not any(rules):
        return None
    return _ValueIndex(rules if normalize is None else [map(normalize, each) for each in rules])


def _model_index(
    names: Sequence[Iterable[str]], excluded: Sequence[Iterable[str]], passing: int
) -> _ModelIndex | None:
    if not (any(names) or any(excluded)):
        return None
    return _ModelIndex(
        [[*map(normalize_name, each)] for each in names],
        [[*map(normalize_name, each)] for each in excluded],
        passing,
    )


def _part(
    rules: Sequence[Iterable[str]], passes: Sequence[bool], *, part: bool
) -> list[Iterable[str]]:
    """Returns the names of the rules that pass, or of those that do not; none for the others."""
    return [names if each is part else () for names, each in zip(rules, passes, strict=True)]


def _one(value: str) -> tuple[str, ...]:
    return (value,) if value else ()
