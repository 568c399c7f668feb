"""The chain layer: evaluates the policy chain of the user and the one of the organization.

Of the two, the stronger verdict counts. `pdp.engine.rules.index` finds all rules that match at
once, and `pdp.engine.rules.chains` selects those that count in each chain. Reasons are computed
only for the rules that count, and for every evaluated rule if the request asks for a trace.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from pdp.domain import dlp_rule, policy_chain, policy_pack
from pdp.domain.decision import (
    HELD,
    NO_VERDICT,
    Match,
    Outcome,
    PolicyWarning,
    RiskFactor,
    TraceRow,
    Verdict,
)
from pdp.domain.group_resolver import NO_GROUPS
from pdp.domain.layers import CHAIN
from pdp.engine.conditions.facts import NO_FACTS
from pdp.engine.decision_facts import NO_FACT_SOURCE
from pdp.engine.dlp.entity_detectors import collect_entities, entity_detectors, personal_types
from pdp.engine.rules.chains import (
    ChainPlan,
    ChainSet,
    Routes,
    RouteTarget,
    bits_of,
    compile_chains,
    mask_of,
)
from pdp.engine.rules.evaluated import (
    EvaluatedRule,
    explained,
    hold_of,
    match_of,
    message_of,
    obligations_of,
    reason_code,
    redactions_of,
    status_hint,
    trace_row,
)
from pdp.engine.rules.exceptions import NO_BOOK, NO_EXCEPTIONS, that_hold, with_effect
from pdp.engine.rules.matching import (
    ConditionResult,
    Facts,
    check_conditions,
    matches_personal_data,
)
from pdp.engine.rules.model_matcher import MAX_CACHED, NO_MODEL, ModelMatcher, RequestedModel

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pdp.domain.policy_exception import PolicyException
    from pdp.domain.request import Request
    from pdp.domain.risk import RiskTable
    from pdp.engine.decision_facts import FactSource
    from pdp.engine.dlp.entities import EntityFinding
    from pdp.engine.dlp.entity_detectors import EntityDetectors
    from pdp.engine.layers.base import Layer, Policies
    from pdp.engine.rules.exceptions import ExceptionBook
    from pdp.engine.rules.index import RuleIndex
    from pdp.engine.rules.models import ModelIndex
    from pdp.engine.scan import Findings


_NONE_LIFTED: Final[Mapping[int, PolicyException]] = {}

_CHAIN_KINDS: Final = (
    policy_chain.KIND,
    policy_pack.KIND,
    policy_pack.RULE_KIND,
    policy_pack.TOGGLE_KIND,
)
"""The kinds of entities that chains are compiled from."""

RequestedModels = Callable[[str, str], "tuple[RequestedModel, int]"]
"""Reads the model of a request, by its provider and its name. Also returns the mask of the rules
whose conditions on models are met."""


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
        matcher: compares requests with the models and providers that the rules name.
        requested_models: reads the model of a request; cached.
        points: the risk floor of each outcome that has one.
        chain_sources: the policies from which `chains` were compiled. If they are unchanged, the
            chains are reused.
        entity_detectors: the detectors that the rules require by entity type, by pattern.
        personal_types: the names of the types of personal data that these detectors find.
        patterns: see `Layer`.
        detector_sources: the policies from which `entity_detectors` were selected.
        facts: resolves the groups of subjects, and computes what expressions name.
        exceptions: the tenant's exceptions.
    """

    chains: ChainSet
    matcher: ModelMatcher
    requested_models: RequestedModels
    points: Mapping[Outcome, int]
    chain_sources: Sequence[object]
    entity_detectors: EntityDetectors = field(default_factory=dict)
    personal_types: frozenset[str] = frozenset()
    patterns: Mapping[str, str] = field(default_factory=dict)
    detector_sources: Sequence[object] = ()
    facts: FactSource = NO_FACT_SOURCE
    exceptions: ExceptionBook = NO_BOOK
    name: str = CHAIN

    def evaluate(self, request: Request, findings: Findings) -> Verdict:
        """Returns the verdict of the rules that count in the user's chain and the org chain."""
        chains = self.chains
        facts = self._facts(request, findings)
        matching = chains.index.matching(facts)
        if not (matching or request.explain):
            return NO_VERDICT
        user = chains.users.get(request.subject.user_id)
        plans = [plan for plan in (user, chains.org) if plan is not None]
        routes = Routes(chains, request)
        lifted = self._lifted(matching, facts)
        without_effect = chains.monitored | mask_of(lifted) | self._passed(matching, request)
        rows = self._rows(plans, facts, routes, lifted) if request.explain else ()
        bits = self._effective_bits(plans, matching & ~without_effect, routes)
        idle = self._rules_without_effect(plans, matching, without_effect, facts, routes)
        matches = tuple(
            self._match_without_effect(bit, each, lifted.get(bit)) for bit, each in idle.items()
        )
        counted = [each for bit, each in idle.items() if not chains.monitored >> bit & 1]
        floors = self._floors(counted)
        if not bits:
            if not (rows or matches):
                return NO_VERDICT
            return NO_VERDICT._replace(rows=rows, matches=matches, floors=floors)
        rules = [self._evaluate(bit, facts, routes) for bit in bits]
        destination = next(filter(None, map(routes.destination, bits)), None)
        if destination is not None:
            of_target = self._rules_of_target(plans, facts, destination, set(bits))
            rules += of_target
            rows = (*rows, *map(trace_row, of_target)) if request.explain else rows
        verdict = self._verdict(rules, destination, rows)
        if not matches:
            return verdict
        return verdict._replace(
            matches=(*verdict.matches, *matches), floors=(*verdict.floors, *floors)
        )

    def try_org(self, request: Request, findings: Findings) -> ChainDryRun:
        """Evaluates the org chain alone."""
        chains, plan = self.chains, self.chains.org
        if plan is None:
            return ChainDryRun(None, ())
        facts, routes = self._facts(request, findings), Routes(chains, request)
        matching = chains.index.matching(facts)
        lifted = self._lifted(matching, facts)
        without_effect = chains.monitored | mask_of(lifted)
        evaluated = {
            bit: self._evaluate(bit, facts, routes)
            for bit in self._evaluated_bits(plan, facts, routes, without_effect)
        }
        rules = tuple(
            self._explained(bit, each, lifted.get(bit)) for bit, each in evaluated.items()
        )
        bits = self._effective_bits([plan], matching & ~without_effect, routes)
        if not bits:
            return ChainDryRun(None, rules)
        deciding = next((bit for bit in bits if chains.terminal >> bit & 1), bits[0])
        return ChainDryRun(evaluated[deciding], rules)

    def with_models(self, models: ModelIndex) -> ChainLayer:
        """See `ModelAware`."""
        matcher = self.matcher.with_models(models)
        return replace(
            self,
            matcher=matcher,
            requested_models=_requested_models(self.chains.index, matcher),
            chains=self.chains.with_models(models),
        )

    def _facts(self, request: Request, findings: Findings) -> Facts:
        index = self.chains.index
        model, accepting = (
            self.requested_models(request.provider, request.model)
            if index.asks_for_models
            else (NO_MODEL, -1)
        )
        groups = self.facts.groups.names_of(request.subject) if index.asks_for_groups else NO_GROUPS
        conditions = self.facts.of(request, findings) if index.names_facts else NO_FACTS
        entity_findings = self._entity_findings(request, findings)
        return Facts(
            request,
            findings,
            model,
            accepting,
            groups,
            request.entities,
            entity_findings,
            conditions,
        )

    def _effective_bits(
        self, plans: Iterable[ChainPlan], matching: int, routes: Routes
    ) -> list[int]:
        """Returns the rules that count in any chain, each once, in the order of evaluation."""
        bits: dict[int, None] = {}
        blocks = routes.blocks(matching)
        for plan in plans:
            effective = self.chains.effective_rules(plan, matching, blocks)
            bits.update(dict.fromkeys(effective.redactions))
            if effective.deciding >= 0:
                bits[effective.deciding] = None
        return list(bits)

    def _lifted(self, matching: int, facts: Facts) -> Mapping[int, PolicyException]:
        """Returns those of the matching rules that an exception lifts, by bit."""
        of_rules = self.exceptions.rules
        if not of_rules:
            return _NONE_LIFTED
        lifted: dict[int, PolicyException] = {}
        for bit in bits_of(matching):
            exceptions = of_rules.get(self.chains.rules[bit].rule.id, NO_EXCEPTIONS)
            holding = that_hold(exceptions, facts.request, facts.findings, self.facts)
            if holding:
                lifted[bit] = holding[0].exception
        return lifted

    def _passed(self, matching: int, request: Request) -> int:
        """Returns a mask of those of the matching rules that the request may pass."""
        if not request.passed:
            return 0
        rules, passed = self.chains.rules, request.passed
        holding = matching & self.chains.holding
        return mask_of(bit for bit in bits_of(holding) if hold_of(rules[bit]).key in passed)

    def _passed_by(self, bit: int, request: Request) -> str:
        """Returns the approval or confirmation that lets a request pass a rule; empty for none."""
        if not request.passed or not self.chains.holding >> bit & 1:
            return ""
        return request.passed.get(hold_of(self.chains.rules[bit]).key, "")

    def _rules_without_effect(
        self,
        plans: Iterable[ChainPlan],
        matching: int,
        without_effect: int,
        facts: Facts,
        routes: Routes,
    ) -> dict[int, EvaluatedRule]:
        """Returns the rules that are monitored or lifted, and that the chains come to, by bit."""
        idle = matching & without_effect
        if not idle:
            return {}
        bits: dict[int, None] = {}
        for plan in plans:
            ending = 0 if plan.deny_overrides else matching & self.chains.terminal & ~idle
            for bit in plan.bits():
                if ending >> bit & 1:
                    break
                if idle >> bit & 1:
                    bits[bit] = None
        return {bit: self._evaluate(bit, facts, routes) for bit in bits}

    def _match_without_effect(
        self, bit: int, rule: EvaluatedRule, exception: PolicyException | None
    ) -> Match:
        match = match_of(rule)
        if self.chains.monitored >> bit & 1:
            return match._replace(would_be=rule.outcome.name)
        if exception is None:
            approved_by = self._passed_by(bit, rule.facts.request)
            reason = with_effect(match.reason, None, approved_by=approved_by)
            return match._replace(reason=reason, approved_by=approved_by)
        reason = with_effect(match.reason, exception)
        return match._replace(reason=reason, excepted_by=exception.id)

    def _floors(self, rules: Iterable[EvaluatedRule]) -> tuple[RiskFactor, ...]:
        return tuple(
            RiskFactor(CHAIN, each.chain_rule.rule.id, self.points[each.outcome])
            for each in rules
            if each.outcome in self.points
        )

    def _rules_of_target(
        self, plans: Iterable[ChainPlan], facts: Facts, target: RouteTarget, known: set[int]
    ) -> list[EvaluatedRule]:
        """Returns the rules about models that hold or stop a request to its new model.

        Args:
            plans: the chains.
            facts: the facts of the request.
            target: the model that it is routed to.
            known: the rules that count for the request itself.
        """
        chains = self.chains
        about = chains.index.about_models & ~chains.routes & ~chains.monitored
        if not about:
            return []
        request = facts.request._replace(provider=target.provider, model=target.model_id)
        model, accepting = (
            self.requested_models(target.provider, target.model_id)
            if chains.index.asks_for_models
            else (NO_MODEL, -1)
        )
        routed = facts._replace(request=request, model=model, accepting=accepting)
        routes = Routes(chains, request)
        matching = chains.index.matching(routed) & about
        matching &= ~(mask_of(self._lifted(matching, routed)) | self._passed(matching, request))
        bits = self._effective_bits(plans, matching, routes)
        rules = [self._evaluate(bit, routed, routes) for bit in bits if bit not in known]
        place = f"for {target.provider}/{target.model_id}: "
        return [
            each._replace(result=each.result._replace(reason=place + each.result.reason))
            for each in rules
            if each.outcome > Outcome.ROUTE_TO
        ]

    @property
    def has_schedules(self) -> bool:
        """Whether any rule has a schedule, so that the server's clock is needed."""
        return self.chains.index.has_schedules

    @property
    def names(self) -> frozenset[str]:
        """The names in the expressions of the rules."""
        return self.chains.index.names

    @property
    def searched_patterns(self) -> int:
        """The number of patterns that the expressions search for in the request."""
        return self.chains.index.patterns

    def _entity_findings(self, request: Request, findings: Findings) -> Sequence[EntityFinding]:
        # The findings of NER models count even if no detector is required: no pattern finds names.
        if request.ner is not None or (self.entity_detectors and findings.hits):
            return collect_entities(self.entity_detectors, request, findings)
        return ()

    def _verdict(
        self,
        rules: Sequence[EvaluatedRule],
        destination: RouteTarget | None,
        rows: tuple[TraceRow, ...],
    ) -> Verdict:
        strongest = max(rules, key=lambda each: each.outcome)
        return Verdict(
            outcome=strongest.outcome,
            reason_code=reason_code(strongest),
            message=message_of(strongest, destination),
            status_hint=status_hint(strongest),
            matches=tuple(map(match_of, rules)),
            obligations=tuple(obligations_of(rules, destination)),
            redactions=tuple(redactions_of(rules)),
            warnings=tuple(
                PolicyWarning(each.chain_rule.rule.id, each.chain_rule.action.message)
                for each in rules
                if each.outcome is Outcome.ALLOW_WITH_OVERRIDE
            ),
            floors=self._floors(rules),
            holds=tuple(hold_of(each.chain_rule) for each in rules if each.outcome in HELD),
            pii_detected=any(
                matches_personal_data(each.chain_rule.conditions, each.facts, self.personal_types)
                for each in rules
            ),
            rows=rows,
        )

    def _rows(
        self,
        plans: Sequence[ChainPlan],
        facts: Facts,
        routes: Routes,
        lifted: Mapping[int, PolicyException],
    ) -> tuple[TraceRow, ...]:
        passed = self._passed(self.chains.holding, facts.request)
        without_effect = self.chains.monitored | mask_of(lifted) | passed
        return tuple(
            trace_row(
                self._explained(bit, self._evaluate(bit, facts, routes), lifted.get(bit)),
                has_effect=not without_effect >> bit & 1,
            )
            for plan in plans
            for bit in self._evaluated_bits(plan, facts, routes, without_effect)
        )

    def _explained(
        self, bit: int, rule: EvaluatedRule, exception: PolicyException | None
    ) -> EvaluatedRule:
        return explained(
            rule,
            exception,
            is_monitored=bool(self.chains.monitored >> bit & 1),
            approved_by=self._passed_by(bit, rule.facts.request),
        )

    def _evaluate(self, bit: int, facts: Facts, routes: Routes) -> EvaluatedRule:
        chain_rule = self.chains.rules[bit]
        applies_to, direction = chain_rule.rule.applies_to, facts.request.direction
        if applies_to not in {direction, "both"}:
            result = ConditionResult(False, f"applies to {applies_to}, and this is {direction}")
        else:
            wide = chain_rule.action.type not in policy_pack.PASSING
            result = check_conditions(chain_rule.conditions, facts, wide=wide)
        return EvaluatedRule(chain_rule, result, routes.outcome(bit), facts)

    def _evaluated_bits(
        self, plan: ChainPlan, facts: Facts, routes: Routes, without_effect: int
    ) -> list[int]:
        """Returns the rules of a chain in order, up to the one that ends the chain.

        Args:
            plan: the chain.
            facts: the facts of the request.
            routes: the targets of the routes.
            without_effect: a mask of the rules that are monitored or lifted.
        """
        bits: list[int] = []
        ending = self.chains.terminal & ~without_effect
        for bit in plan.bits():
            bits.append(bit)
            if plan.deny_overrides or not ending >> bit & 1:
                continue
            if self._evaluate(bit, facts, routes).result.matched:
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
        layer = replace(
            previous.with_models(policies.models),
            facts=policies.facts,
            exceptions=policies.exceptions,
        )
        if _same(layer.detector_sources, detector_sources):
            return layer
        return _with_detectors(layer, policies, detector_sources)
    known = previous.chains.rules if isinstance(previous, ChainLayer) else ()
    chains = compile_chains(policies, known)
    if chains is None:
        return None
    matcher = _matcher(chains, policies.models)
    layer = ChainLayer(
        chains=chains,
        matcher=matcher,
        requested_models=_requested_models(chains.index, matcher),
        points=_points(policies.risk),
        chain_sources=chain_sources,
        facts=policies.facts,
        exceptions=policies.exceptions,
    )
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


def _matcher(chains: ChainSet, models: ModelIndex) -> ModelMatcher:
    conditions = [each.conditions for each in chains.rules]
    return ModelMatcher(
        [name for each in conditions for name in (*each.models, *each.not_models)],
        [name for each in conditions for name in (*each.providers, *each.not_providers)],
        models,
    )


def _requested_models(index: RuleIndex, matcher: ModelMatcher) -> RequestedModels:
    """Returns a cached function: see `RequestedModels`. Requests repeat a few models."""

    @lru_cache(MAX_CACHED)
    def requested_models(provider: str, name: str) -> tuple[RequestedModel, int]:
        model = matcher.read(provider, name)
        return model, index.accepting(model)

    return requested_models


def _points(risk: RiskTable) -> dict[Outcome, int]:
    return {
        Outcome.BLOCK: risk.chain_deny,
        Outcome.CANCEL: risk.chain_deny,
        Outcome.PROMPT: risk.chain_prompt,
        Outcome.ESCALATE: risk.escalation,
        Outcome.REDACT: risk.chain_redact,
    }
