"""A tenant's chains, compiled: which rules they look at, in which order, and which of them decide.

Seed 002 and decide.md, chain. Only REDACT lets the chain go on, and adds up. `first_applicable`:
the first other rule that matches decides, and nothing behind it is looked at. `deny_overrides`:
every rule is looked at, and a BLOCK, else a CANCEL, beats all others wherever it stands.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple

from pdp.domain import policy_chain, policy_pack
from pdp.domain.decision import Outcome
from pdp.domain.policy_pack import packs_with_rules
from pdp.engine.rules.documents import Action, Conditions, known_rule
from pdp.engine.rules.index import RuleIndex
from pdp.engine.rules.models import ModelState

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pdp.domain.policy_chain import PolicyChain
    from pdp.domain.policy_pack import PackRules, PolicyPack, PolicyRule
    from pdp.engine.layers.base import Policies
    from pdp.engine.rules.models import ModelIndex

OUTCOMES: Final[Mapping[str, Outcome]] = {
    policy_pack.ALLOW: Outcome.ALLOW,
    policy_pack.BLOCK: Outcome.BLOCK,
    policy_pack.CANCEL: Outcome.CANCEL,
    policy_pack.REDACT: Outcome.REDACT,
    policy_pack.ROUTE_TO: Outcome.ROUTE_TO,
    policy_pack.PROMPT: Outcome.PROMPT,
    policy_pack.ALLOW_WITH_OVERRIDE: Outcome.ALLOW_WITH_OVERRIDE,
}


class ChainRule(NamedTuple):
    """A rule that is in force, with what its documents say."""

    pack: PolicyPack
    rule: PolicyRule
    conditions: Conditions
    action: Action


class Plan(NamedTuple):
    """The way through one chain.

    Attributes:
        spans: the rules of its packs, a number with a bit for each; packs in order, rules within
            one from the lowest bit up.
        deny_overrides: every rule is looked at.
    """

    spans: tuple[int, ...]
    deny_overrides: bool

    def bits(self) -> Iterator[int]:
        """Yields the rules in the order in which they are looked at."""
        for span in self.spans:
            yield from bits_of(span)


class Choice(NamedTuple):
    """What of the rules that match counts in one chain.

    Attributes:
        redactions: the REDACT rules, in order.
        deciding: the rule that decides; -1 where none does.
    """

    redactions: tuple[int, ...] = ()
    deciding: int = -1

    def __bool__(self) -> bool:
        """Whether any rule counts."""
        return self.deciding >= 0 or bool(self.redactions)


@dataclass(frozen=True, slots=True)
class ChainSet:
    """All chains of a tenant, and the rules that they look at. A rule's bit is its place.

    Attributes:
        rules: of all packs that a chain names, the org chain's in its order first.
        index: finds those that a request meets.
        org: the tenant's own chain.
        users: its users' chains.
        targets: of each ROUTE_TO rule, the model that it routes to; empty where that is switched
            off or not in the catalog, so that the rule is a BLOCK.
        terminal, blocks, cancels: the rules that end a chain, and two kinds of them.
    """

    rules: tuple[ChainRule, ...]
    index: RuleIndex
    org: Plan | None
    users: Mapping[str, Plan]
    targets: Mapping[int, str]
    terminal: int
    blocks: int
    cancels: int

    def choose(self, plan: Plan, matching: int) -> Choice:
        """Returns which of the rules in `matching` count on the way through `plan`."""
        deciding, redactions = -1, 0
        found: list[int] = []
        for span in plan.spans:
            part = matching & span
            if not part:
                continue
            terminal = part & self.terminal
            redactions = part & ~self.terminal
            if terminal:
                first = terminal & -terminal
                if deciding < 0:
                    deciding = first.bit_length() - 1
                if not plan.deny_overrides:
                    found += bits_of(redactions & (first - 1))
                    break
            found += bits_of(redactions)
        if plan.deny_overrides and deciding >= 0:
            denying = _first(plan.spans, matching & self.blocks)
            if denying < 0:
                denying = _first(plan.spans, matching & self.cancels)
            if denying >= 0:
                deciding = denying
        return Choice(tuple(found), deciding)

    def outcome(self, bit: int) -> Outcome:
        """Returns what a rule comes to where it counts."""
        if self.targets.get(bit) == "":
            return Outcome.BLOCK
        return OUTCOMES[self.rules[bit].action.type]

    def with_models(self, models: ModelIndex) -> ChainSet:
        """Returns the chains as they are with another model catalog."""
        targets = {bit: route_target(self.rules[bit].action, models) for bit in self.targets}
        if targets == self.targets:
            return self
        return replace(self, targets=targets, blocks=_blocks(self.rules, targets))


def bits_of(number: int) -> Iterator[int]:
    """Yields the places of a number's bits, from the lowest up."""
    while number:
        lowest = number & -number
        yield lowest.bit_length() - 1
        number ^= lowest


def _first(spans: Sequence[int], wanted: int) -> int:
    for span in spans:
        part = wanted & span
        if part:
            return (part & -part).bit_length() - 1
    return -1


def route_target(action: Action, models: ModelIndex) -> str:
    """Returns the model that a ROUTE_TO goes to; empty where it is off, or there is none."""
    state, model = models.resolve(action.model or action.tier)
    if state is not ModelState.KNOWN or model is None:
        return ""
    return model.model_id if action.tier else action.model


def compile_chains(policies: Policies) -> ChainSet | None:
    """Compiles all chains of a tenant; None where they have no rule that is in force."""
    chains: Mapping[str, PolicyChain] = policies.own.of_kind(policy_chain.KIND)
    wanted = frozenset(entry.pack_id for chain in chains.values() for entry in chain.packs)
    if not wanted:
        return None
    found = packs_with_rules(policies.platform, policies.own, wanted)
    ordered = _in_order(chains, found)
    rules: list[ChainRule] = []
    spans: dict[str, int] = {}
    for pack_id in ordered:
        begin = len(rules)
        rules += _compiled(found[pack_id])
        spans[pack_id] = (1 << len(rules)) - (1 << begin)
    if not rules:
        return None
    plans = {each.user_id: _plan(each, spans) for each in chains.values()}
    kinds = [each.action.type for each in rules]
    targets = {
        bit: route_target(rules[bit].action, policies.models)
        for bit, kind in enumerate(kinds)
        if kind == policy_pack.ROUTE_TO
    }
    return ChainSet(
        rules=tuple(rules),
        index=RuleIndex([(each.rule.applies_to, each.conditions) for each in rules]),
        org=plans.pop("", None),
        users=plans,
        targets=targets,
        terminal=_mask(bit for bit, kind in enumerate(kinds) if kind != policy_pack.REDACT),
        blocks=_blocks(rules, targets),
        cancels=_mask(bit for bit, kind in enumerate(kinds) if kind == policy_pack.CANCEL),
    )


def _in_order(chains: Mapping[str, PolicyChain], found: Mapping[str, PackRules]) -> Iterable[str]:
    """The packs in force, the org chain's first: its rules then lie side by side."""
    by_scope = sorted(chains.values(), key=lambda chain: chain.user_id)
    return dict.fromkeys(
        entry.pack_id
        for chain in by_scope
        for entry in chain.packs
        if entry.pack_id in found and found[entry.pack_id].pack.is_active
    )


def _compiled(pack: PackRules) -> Iterator[ChainRule]:
    for rule in pack.rules:
        if rule.is_active:
            yield ChainRule(pack.pack, rule, *known_rule(rule.conditions, rule.action))


def _plan(chain: PolicyChain, spans: Mapping[str, int]) -> Plan:
    """Packs whose bits follow on one another are looked at as one."""
    joined: list[int] = []
    for entry in chain.packs:
        span = spans.get(entry.pack_id, 0)
        if not span:
            continue
        if joined and joined[-1].bit_length() == (span & -span).bit_length() - 1:
            joined[-1] |= span
        else:
            joined.append(span)
    return Plan(tuple(joined), chain.combining_algorithm == policy_chain.DENY_OVERRIDES)


def _mask(bits: Iterable[int]) -> int:
    mask = 0
    for bit in bits:
        mask |= 1 << bit
    return mask


def _blocks(rules: Sequence[ChainRule], targets: Mapping[int, str]) -> int:
    return _mask(
        bit
        for bit, each in enumerate(rules)
        if each.action.type == policy_pack.BLOCK or targets.get(bit) == ""
    )
