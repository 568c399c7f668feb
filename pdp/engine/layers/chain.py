"""The chain layer (seed 002): the user's chain and the org's, of which the stronger verdict counts.

Which rules match is found for all at once (`engine.rule_index`), and which of them count is chosen
chain by chain (`engine.chains`). Reasons are made only for those that count, and for every rule
that was looked at where a trace is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from pdp.domain import dlp_rule, policy_chain, policy_pack
from pdp.domain.decision import (
    NO_VERDICT,
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
from pdp.engine.layers.chain_words import Looked, match, message, reason_code, row, status
from pdp.engine.rules.chains import ChainSet, Choice, Plan, compile_chains
from pdp.engine.rules.matching import Facts, Held, found_personal, hold, redactions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pdp.domain.decision import Redaction
    from pdp.domain.request import Request
    from pdp.domain.risk import RiskTable
    from pdp.engine.dlp.entities import EntityFinding
    from pdp.engine.dlp.entity_detectors import EntityDetectors
    from pdp.engine.layers.base import Layer, Policies
    from pdp.engine.rules.models import ModelIndex
    from pdp.engine.scan import Findings


MAX_NAMES: Final = 1024
"""Names of models that a layer keeps resolved."""

_KINDS: Final = (
    policy_chain.KIND,
    policy_pack.KIND,
    policy_pack.RULE_KIND,
    policy_pack.TOGGLE_KIND,
)
"""The kinds of records that chains are compiled from."""

Names = tuple[str, tuple[str, ...]]
"""The provider of a request's model, and every name that this goes by; all folded."""


class ChainDryRun(NamedTuple):
    """What the org's chain alone comes to.

    Attributes:
        decided: the rule that decided, else the first that redacts; None where none matched.
        looked: all rules that were looked at, in order.
    """

    decided: Looked | None
    looked: tuple[Looked, ...]


@dataclass(frozen=True, slots=True)
class ChainLayer:
    """The chains of a tenant.

    Attributes:
        chains: compiled.
        names: resolves a provider and a model; see `_namer`.
        points: the floor of each outcome that has one.
        sources: what the chains are compiled from: while it is the same, so are they.
        entity_detectors: the detectors that rules ask for by entity type, by the patterns that they have.
        personal: the names of the types of personal data that these find.
        patterns: see `Layer`.
        seen: what `entity_detectors` were chosen from.
    """

    chains: ChainSet
    names: Callable[[str, str], Names]
    points: Mapping[Outcome, int]
    sources: Sequence[object]
    entity_detectors: EntityDetectors = field(default_factory=dict)
    personal: frozenset[str] = frozenset()
    patterns: Mapping[str, str] = field(default_factory=dict)
    seen: Sequence[object] = ()
    name: str = CHAIN

    def judge(self, request: Request, findings: Findings) -> Verdict:
        """Returns the verdict of the rules that count in the user's chain and the org's."""
        chains = self.chains
        index = chains.index
        provider, models = (
            self.names(request.provider, request.model) if index.asks_for_models else ("", ())
        )
        scanned = self._scanned(request, findings)
        facts = Facts(request, findings, provider, models, request.entities, scanned)
        matching = index.matching(facts)
        if not (matching or request.explain):
            return NO_VERDICT
        user = chains.users.get(request.subject.user_id)
        plans = [plan for plan in (user, chains.org) if plan is not None]
        rows = self._rows(plans, facts) if request.explain else ()
        counting = _counting([chains.choose(plan, matching) for plan in plans])
        if not counting:
            return NO_VERDICT._replace(rows=rows) if rows else NO_VERDICT
        return self._verdict(counting, facts, rows)

    def try_org(self, request: Request, findings: Findings) -> ChainDryRun:
        """Returns what the org's chain alone comes to, and how."""
        chains, plan = self.chains, self.chains.org
        if plan is None:
            return ChainDryRun(None, ())
        facts = self._facts(request, findings)
        looked = {bit: self._look(bit, facts) for bit in self._looked_at(plan, facts)}
        choice = chains.choose(plan, chains.index.matching(facts))
        if not choice:
            return ChainDryRun(None, tuple(looked.values()))
        bit = choice.deciding if choice.deciding >= 0 else choice.redactions[0]
        return ChainDryRun(looked[bit], tuple(looked.values()))

    def with_models(self, models: ModelIndex) -> ChainLayer:
        """See `ModelAware`."""
        return replace(self, names=_namer(models), chains=self.chains.with_models(models))

    def _facts(self, request: Request, findings: Findings) -> Facts:
        names = self.names(request.provider, request.model)
        scanned = self._scanned(request, findings)
        return Facts(request, findings, *names, request.entities, scanned)

    def _scanned(self, request: Request, findings: Findings) -> Sequence[EntityFinding]:
        # What models found is nothing that a detector has to be sought for: no pattern finds names.
        if request.ner is not None or (self.entity_detectors and findings.hits):
            return collect_entities(self.entity_detectors, request, findings)
        return ()

    def _verdict(self, bits: Sequence[int], facts: Facts, rows: tuple[TraceRow, ...]) -> Verdict:
        chains = self.chains
        counting = [
            Looked(each, hold(each.conditions, facts), chains.outcome(bit))
            for bit in bits
            for each in (chains.rules[bit],)
        ]
        place = max(range(len(bits)), key=lambda index: counting[index].outcome)
        strongest = counting[place]
        target = chains.targets.get(bits[place])
        outcome = strongest.outcome
        dead = target == ""
        return Verdict(
            outcome=outcome,
            reason_code=reason_code(strongest.rule, dead=dead),
            message=message(strongest.rule, target),
            status_hint=status(outcome, dead=dead),
            matches=tuple(match(each) for each in counting),
            obligations=tuple(self._obligations(bits)),
            redactions=tuple(_redactions(counting, facts)),
            warnings=tuple(
                PolicyWarning(each.rule.rule.id, each.rule.action.message)
                for each in counting
                if each.outcome is Outcome.ALLOW_WITH_OVERRIDE
            ),
            floors=tuple(
                RiskFactor(CHAIN, each.rule.rule.id, self.points[each.outcome])
                for each in counting
                if each.outcome in self.points
            ),
            pii_detected=any(
                found_personal(each.rule.conditions, facts, self.personal) for each in counting
            ),
            rows=rows,
        )

    def _obligations(self, bits: Sequence[int]) -> list[Obligation]:
        """What the rules ask for, but to be routed by the first alone: none can go two ways."""
        found: list[Obligation] = []
        target = ""
        for bit in bits:
            action = self.chains.rules[bit].action
            if action.type == policy_pack.PROMPT:
                found.append(Obligation(ObligationType.PROMPT, message=action.message))
            elif self.chains.targets.get(bit) and not target:
                target = self.chains.targets[bit]
                found.append(Obligation(ObligationType.ROUTE_TO, model=target))
        return found

    def _rows(self, plans: Sequence[Plan], facts: Facts) -> tuple[TraceRow, ...]:
        return tuple(
            row(self._look(bit, facts)) for plan in plans for bit in self._looked_at(plan, facts)
        )

    def _look(self, bit: int, facts: Facts) -> Looked:
        rule = self.chains.rules[bit]
        applies_to, direction = rule.rule.applies_to, facts.request.direction
        if applies_to not in {direction, "both"}:
            held = Held(False, f"applies to {applies_to}, and this is {direction}")
        else:
            held = hold(rule.conditions, facts)
        return Looked(rule, held, self.chains.outcome(bit))

    def _looked_at(self, plan: Plan, facts: Facts) -> list[int]:
        """The rules on the way through a chain, up to the one that ends it."""
        found: list[int] = []
        for bit in plan.bits():
            found.append(bit)
            if plan.deny_overrides or not self.chains.terminal >> bit & 1:
                continue
            if self._look(bit, facts).held.matched:
                break
        return found


def build(policies: Policies) -> Layer | None:
    """Compiles the layer; None where no rule is in force."""
    owners = (policies.own, policies.platform)
    sources = [owner.of_kind(kind) for owner in owners for kind in _KINDS]
    seen = (policies.own.of_kind(dlp_rule.KIND), policies.detectors)
    previous = policies.previous.get(CHAIN)
    if isinstance(previous, ChainLayer) and _same(previous.sources, sources):
        # The platform may have been compiled anew with other models.
        kept = previous.with_models(policies.models)
        return kept if _same(kept.seen, seen) else _seeing(kept, policies, seen)
    chains = compile_chains(policies)
    if chains is None:
        return None
    names, points = _namer(policies.models), _points(policies.risk)
    return _seeing(ChainLayer(chains, names, points, sources), policies, seen)


def _seeing(layer: ChainLayer, policies: Policies, seen: Sequence[object]) -> ChainLayer:
    """Returns the layer with the detectors that its rules ask for."""
    rules = layer.chains.rules
    found = entity_detectors([each.conditions for each in rules], policies.own, policies.detectors)
    places = {pattern: f"detector {detectors[0].id}" for pattern, detectors in found.items()}
    places |= {
        each.conditions.content_regex: f"policy rule {each.rule.id}"
        for each in reversed(rules)
        if each.conditions.content_regex
    }
    personal = personal_types(found)
    return replace(layer, entity_detectors=found, personal=personal, patterns=places, seen=seen)


def _same(before: Sequence[object], now: Sequence[object]) -> bool:
    return all(each is other for each, other in zip(before, now, strict=True))


def _namer(models: ModelIndex) -> Callable[[str, str], Names]:
    """Returns what tells the names that a request's model goes by.

    Requests name few models, over and over: what was told before is kept.
    """

    @lru_cache(MAX_NAMES)
    def names(provider: str, name: str) -> Names:
        if not name:
            return normalize_name(provider), ()
        model = models.resolve(name, provider).model
        if model is None:
            return normalize_name(provider), (normalize_name(name),)
        known = (normalize_name(name), normalize_name(model.model_id), normalize_name(model.name))
        return normalize_name(provider) or normalize_name(model.provider), known

    return names


def _points(risk: RiskTable) -> dict[Outcome, int]:
    return {
        Outcome.BLOCK: risk.chain_deny,
        Outcome.CANCEL: risk.chain_deny,
        Outcome.PROMPT: risk.chain_prompt,
        Outcome.REDACT: risk.chain_redact,
    }


def _counting(chosen: Sequence[Choice]) -> list[int]:
    """The rules that count in any chain, each once, in the order in which they were looked at."""
    bits: dict[int, None] = {}
    for choice in chosen:
        bits.update(dict.fromkeys(choice.redactions))
        if choice.deciding >= 0:
            bits[choice.deciding] = None
    return list(bits)


def _redactions(counting: Sequence[Looked], facts: Facts) -> list[Redaction]:
    return [
        redaction
        for each in counting
        if each.outcome is Outcome.REDACT
        for redaction in redactions(each.rule.conditions, each.rule.action.replacement, facts)
    ]
