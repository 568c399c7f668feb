"""The chain layer: evaluates the policy chain of the user and the one of the organization.

Of the two, the stronger verdict counts. `pdp.engine.rules.index` finds all rules that match at
once, and `pdp.engine.rules.chains` selects those that count in each chain. Reasons are computed
only for the rules that count, and for every evaluated rule if the request asks for a trace.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from pdp.domain import dlp_rule, policy_chain, policy_pack
from pdp.domain.decision import (
    NO_VERDICT,
    Match,
    Obligation,
    ObligationType,
    Outcome,
    PolicyWarning,
    RiskFactor,
    TraceRow,
    Verdict,
)
from pdp.domain.layers import CHAIN
from pdp.domain.model_catalog import normalize_name
from pdp.engine.dlp.entity_detectors import collect_entities, entity_detectors, personal_types
from pdp.engine.rules.chains import ChainPlan, ChainRule, ChainSet, EffectiveRules, compile_chains
from pdp.engine.rules.matching import (
    ConditionResult,
    Facts,
    check_conditions,
    matches_personal_data,
    redactions,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from pdp.domain.decision import Redaction
    from pdp.domain.request import Request
    from pdp.domain.risk import RiskTable
    from pdp.engine.dlp.entities import EntityFinding
    from pdp.engine.dlp.entity_detectors import EntityDetectors
    from pdp.engine.layers.base import Layer, Policies
    from pdp.engine.rules.models import ModelIndex
    from pdp.engine.scan import Findings


MAX_NAMES: Final = 64
"""The number of resolved model names that a layer caches."""

ROUTE_UNAVAILABLE: Final = "CHAIN_ROUTE_UNAVAILABLE"

_SEVERITIES: Final = {
    Outcome.BLOCK: "high",
    Outcome.CANCEL: "high",
    Outcome.PROMPT: "medium",
    Outcome.REDACT: "low",
}
_VERBS: Final = {
    policy_pack.BLOCK: "Blocked",
    policy_pack.CANCEL: "Cancelled",
    policy_pack.REDACT: "Redacted",
}
_FORBIDDEN: Final = 403
_UNAVAILABLE: Final = 503

_CHAIN_KINDS: Final = (
    policy_chain.KIND,
    policy_pack.KIND,
    policy_pack.RULE_KIND,
    policy_pack.TOGGLE_KIND,
)
"""The kinds of entities that chains are compiled from."""

Names = tuple[str, tuple[str, ...]]
"""The provider of the request's model, and all names of that model. Folded."""


class EvaluatedRule(NamedTuple):
    """A rule that was evaluated.

    Attributes:
        chain_rule: the rule.
        result: whether its conditions are met.
        outcome: the outcome of the rule if it counts.
    """

    chain_rule: ChainRule
    result: ConditionResult
    outcome: Outcome


class ChainDryRun(NamedTuple):
    """The result of the org chain alone.

    Attributes:
        deciding: the rule that decided, else the first rule that redacts; None if none matched.
        rules: all rules that were evaluated, in order.
    """

    deciding: EvaluatedRule | None
    rules: tuple[EvaluatedRule, ...]


@dataclass(frozen=True, slots=True)
class ChainLayer:
    """The chains of a tenant.

    Attributes:
        chains: the compiled chains.
        names: resolves a provider and a model to their names; see `_name_resolver`.
        points: the risk floor of each outcome that has one.
        chain_sources: the policies from which `chains` were compiled. If they are unchanged, the
            chains are reused.
        entity_detectors: the detectors that the rules require by entity type, by pattern.
        personal_types: the names of the types of personal data that these detectors find.
        patterns: see `Layer`.
        detector_sources: the policies from which `entity_detectors` were selected.
    """

    chains: ChainSet
    names: Callable[[str, str], Names]
    points: Mapping[Outcome, int]
    chain_sources: Sequence[object]
    entity_detectors: EntityDetectors = field(default_factory=dict)
    personal_types: frozenset[str] = frozenset()
    patterns: Mapping[str, str] = field(default_factory=dict)
    detector_sources: Sequence[object] = ()
    name: str = CHAIN

    def evaluate(self, request: Request, findings: Findings) -> Verdict:
        """Returns the verdict of the rules that count in the user's chain and the org chain."""
        chains = self.chains
        index = chains.index
        provider, models = (
            self.names(request.provider, request.model) if index.asks_for_models else ("", ())
        )
        entity_findings = self._entity_findings(request, findings)
        facts = Facts(request, findings, provider, models, request.entities, entity_findings)
        matching = index.matching(facts)
        if not (matching or request.explain):
            return NO_VERDICT
        user = chains.users.get(request.subject.user_id)
        plans = [plan for plan in (user, chains.org) if plan is not None]
        rows = self._rows(plans, facts) if request.explain else ()
        bits = _effective_bits(chains.effective_rules(plan, matching) for plan in plans)
        if not bits:
            return NO_VERDICT._replace(rows=rows) if rows else NO_VERDICT
        return self._verdict(bits, facts, rows)

    def try_org(self, request: Request, findings: Findings) -> ChainDryRun:
        """Evaluates the org chain alone."""
        chains, plan = self.chains, self.chains.org
        if plan is None:
            return ChainDryRun(None, ())
        names = self.names(request.provider, request.model)
        entity_findings = self._entity_findings(request, findings)
        facts = Facts(request, findings, *names, request.entities, entity_findings)
        evaluated = {bit: self._evaluate(bit, facts) for bit in self._evaluated_bits(plan, facts)}
        effective = chains.effective_rules(plan, chains.index.matching(facts))
        if not effective:
            return ChainDryRun(None, tuple(evaluated.values()))
        bit = effective.deciding if effective.deciding >= 0 else effective.redactions[0]
        return ChainDryRun(evaluated[bit], tuple(evaluated.values()))

    def with_models(self, models: ModelIndex) -> ChainLayer:
        """See `ModelAware`."""
        return replace(self, names=_name_resolver(models), chains=self.chains.with_models(models))

    def _entity_findings(self, request: Request, findings: Findings) -> Sequence[EntityFinding]:
        # The findings of NER models count even if no detector is required: no pattern finds names.
        if request.ner is not None or (self.entity_detectors and findings.hits):
            return collect_entities(self.entity_detectors, request, findings)
        return ()

    def _verdict(self, bits: Sequence[int], facts: Facts, rows: tuple[TraceRow, ...]) -> Verdict:
        chains = self.chains
        rules = [
            EvaluatedRule(rule, check_conditions(rule.conditions, facts), chains.outcome(bit))
            for bit in bits
            for rule in (chains.rules[bit],)
        ]
        strongest = max(range(len(bits)), key=lambda index: rules[index].outcome)
        chain_rule, _, outcome = rules[strongest]
        target = chains.targets.get(bits[strongest])
        unavailable = target == ""
        return Verdict(
            outcome=outcome,
            reason_code=_reason_code(chain_rule, unavailable=unavailable),
            message=_message(chain_rule, target),
            status_hint=_status_hint(outcome, unavailable=unavailable),
            matches=tuple(_match(each) for each in rules),
            obligations=tuple(self._obligations(bits)),
            redactions=tuple(_redactions(rules, facts)),
            warnings=tuple(
                PolicyWarning(each.chain_rule.rule.id, each.chain_rule.action.message)
                for each in rules
                if each.outcome is Outcome.ALLOW_WITH_OVERRIDE
            ),
            floors=tuple(
                RiskFactor(CHAIN, each.chain_rule.rule.id, self.points[each.outcome])
                for each in rules
                if each.outcome in self.points
            ),
            pii_detected=any(
                matches_personal_data(each.chain_rule.conditions, facts, self.personal_types)
                for each in rules
            ),
            rows=rows,
        )

    def _obligations(self, bits: Sequence[int]) -> list[Obligation]:
        """Returns all prompts, and the first route only: a request has one destination."""
        obligations: list[Obligation] = []
        target = ""
        for bit in bits:
            action = self.chains.rules[bit].action
            if action.type == policy_pack.PROMPT:
                obligations.append(Obligation(ObligationType.PROMPT, message=action.message))
            elif self.chains.targets.get(bit) and not target:
                target = self.chains.targets[bit]
                obligations.append(Obligation(ObligationType.ROUTE_TO, model=target))
        return obligations

    def _rows(self, plans: Sequence[ChainPlan], facts: Facts) -> tuple[TraceRow, ...]:
        return tuple(
            _row(self._evaluate(bit, facts))
            for plan in plans
            for bit in self._evaluated_bits(plan, facts)
        )

    def _evaluate(self, bit: int, facts: Facts) -> EvaluatedRule:
        chain_rule = self.chains.rules[bit]
        applies_to, direction = chain_rule.rule.applies_to, facts.request.direction
        if applies_to not in {direction, "both"}:
            result = ConditionResult(False, f"applies to {applies_to}, and this is {direction}")
        else:
            result = check_conditions(chain_rule.conditions, facts)
        return EvaluatedRule(chain_rule, result, self.chains.outcome(bit))

    def _evaluated_bits(self, plan: ChainPlan, facts: Facts) -> list[int]:
        """Returns the rules of a chain in order, up to the one that ends the chain."""
        bits: list[int] = []
        for bit in plan.bits():
            bits.append(bit)
            if plan.deny_overrides or not self.chains.terminal >> bit & 1:
                continue
            if self._evaluate(bit, facts).result.matched:
                break
        return bits


def build(policies: Policies) -> Layer | None:
    """Compiles the layer; returns None if no rule is in force."""
    owners = (policies.own, policies.platform)
    chain_sources = [owner.of_kind(kind) for owner in owners for kind in _CHAIN_KINDS]
    detector_sources = (policies.own.of_kind(dlp_rule.KIND), policies.detectors)
    previous = policies.previous.get(CHAIN)
    if isinstance(previous, ChainLayer) and _same(previous.chain_sources, chain_sources):
        # The model catalog of the platform may be newer than that of `previous`.
        layer = previous.with_models(policies.models)
        if _same(layer.detector_sources, detector_sources):
            return layer
        return _with_detectors(layer, policies, detector_sources)
    chains = compile_chains(policies)
    if chains is None:
        return None
    names, points = _name_resolver(policies.models), _points(policies.risk)
    layer = ChainLayer(chains, names, points, chain_sources)
    return _with_detectors(layer, policies, detector_sources)


def _with_detectors(
    layer: ChainLayer, policies: Policies, detector_sources: Sequence[object]
) -> ChainLayer:
    """Returns the layer with the detectors that its rules require."""
    rules = layer.chains.rules
    conditions = [each.conditions for each in rules]
    by_pattern = entity_detectors(conditions, policies.own, policies.detectors)
    patterns = {pattern: f"detector {detectors[0].id}" for pattern, detectors in by_pattern.items()}
    patterns |= {
        each.conditions.content_regex: f"policy rule {each.rule.id}"
        for each in reversed(rules)
        if each.conditions.content_regex
    }
    return replace(
        layer,
        entity_detectors=by_pattern,
        personal_types=personal_types(by_pattern),
        patterns=patterns,
        detector_sources=detector_sources,
    )


def _same(before: Sequence[object], now: Sequence[object]) -> bool:
    return all(each is other for each, other in zip(before, now, strict=True))


def _name_resolver(models: ModelIndex) -> Callable[[str, str], Names]:
    """Returns a function that resolves a provider and a model to `Names`.

    The function caches its results, because requests repeat a few models.
    """

    @lru_cache(MAX_NAMES)
    def names(provider: str, name: str) -> Names:
        if not name:
            return normalize_name(provider), ()
        model = models.resolve(name, provider).model
        if model is None:
            return normalize_name(provider), (normalize_name(name),)
        all_names = (
            normalize_name(name),
            normalize_name(model.model_id),
            normalize_name(model.name),
        )
        return normalize_name(provider) or normalize_name(model.provider), all_names

    return names


def _points(risk: RiskTable) -> dict[Outcome, int]:
    return {
        Outcome.BLOCK: risk.chain_deny,
        Outcome.CANCEL: risk.chain_deny,
        Outcome.PROMPT: risk.chain_prompt,
        Outcome.REDACT: risk.chain_redact,
    }


def _effective_bits(chains: Iterable[EffectiveRules]) -> list[int]:
    """Returns the rules that count in any chain, each once, in the order of evaluation."""
    bits: dict[int, None] = {}
    for effective in chains:
        bits.update(dict.fromkeys(effective.redactions))
        if effective.deciding >= 0:
            bits[effective.deciding] = None
    return list(bits)


def _redactions(rules: Sequence[EvaluatedRule], facts: Facts) -> list[Redaction]:
    return [
        redaction
        for each in rules
        if each.outcome is Outcome.REDACT
        for redaction in redactions(
            each.chain_rule.conditions, each.chain_rule.action.replacement, facts
        )
    ]


def _reason_code(chain_rule: ChainRule, *, unavailable: bool) -> str:
    if unavailable:
        return ROUTE_UNAVAILABLE
    action_type = chain_rule.action.type
    return "" if action_type == policy_pack.ALLOW else f"CHAIN_{action_type}"


def _status_hint(outcome: Outcome, *, unavailable: bool) -> int:
    if unavailable:
        return _UNAVAILABLE
    return _FORBIDDEN if outcome >= Outcome.PROMPT else 200


def _message(chain_rule: ChainRule, target: str | None) -> str:
    """Returns the message for people.

    Args:
        chain_rule: the rule.
        target: the model that the rule routes to, empty if it is unavailable; None if the rule
            does not route.
    """
    action, name = chain_rule.action, chain_rule.rule.name
    if target == "":
        destination = action.model or action.tier
        return f'Blocked: rule "{name}" routes to {destination}, which is not available.'
    if target:
        return f'Routed to {target} by rule "{name}".'
    verb = _VERBS.get(action.type)
    return action.message or (f'{verb} by rule "{name}".' if verb else "")


def _match(evaluated: EvaluatedRule) -> Match:
    rule, action = evaluated.chain_rule.rule, evaluated.chain_rule.action
    severity = _SEVERITIES.get(evaluated.outcome, "")
    return Match(CHAIN, rule.id, rule.name, action.type, severity, evaluated.result.reason)


def _row(evaluated: EvaluatedRule) -> TraceRow:
    rule, pack = evaluated.chain_rule.rule, evaluated.chain_rule.pack
    matched, reason = evaluated.result
    return TraceRow(
        layer=CHAIN,
        reason=reason,
        matched=matched,
        outcome=evaluated.outcome if matched else Outcome.ALLOW,
        policy_id=pack.id,
        policy_name=pack.name,
        rule_id=rule.id,
        rule_name=rule.name,
        sequence=rule.sequence,
    )
