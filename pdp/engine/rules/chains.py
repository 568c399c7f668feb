"""The policy chains of a tenant, compiled: which rules they have, in which order, and which count.

Only a REDACT rule lets the chain continue; all REDACT rules that match count (decide.md, chain).

- `first_applicable`: the first other rule that matches decides. The rules after it are not
  evaluated.
- `deny_overrides`: every rule is evaluated. A BLOCK wins over all other rules, then a CANCEL, then
  an ESCALATE, wherever in the chain they are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple

from pdp.domain import policy_chain, policy_pack
from pdp.domain.decision import HELD, Outcome
from pdp.domain.placement import MONITOR
from pdp.domain.policy_pack import packs_with_rules
from pdp.engine.rules.documents import Action, Conditions, known_rule
from pdp.engine.rules.index import RuleIndex
from pdp.engine.rules.models import ModelState
from pdp.errors import InvalidArgument, Violation

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pdp.domain.policy_chain import PolicyChain
    from pdp.domain.policy_pack import PackRules, PolicyPack, PolicyRule
    from pdp.domain.request import Request
    from pdp.engine.layers.base import Policies
    from pdp.engine.rules.models import ModelIndex

MAX_PATTERNS: Final = 500
"""The number of patterns of MATCHES and LIKE in the expressions of a tenant's chains. Each of them
searches the text of its operand again."""

OUTCOMES: Final[Mapping[str, Outcome]] = {
    policy_pack.ALLOW: Outcome.ALLOW,
    policy_pack.BLOCK: Outcome.BLOCK,
    policy_pack.CANCEL: Outcome.CANCEL,
    policy_pack.REDACT: Outcome.REDACT,
    policy_pack.ROUTE_TO: Outcome.ROUTE_TO,
    policy_pack.PROMPT: Outcome.PROMPT,
    policy_pack.ESCALATE: Outcome.ESCALATE,
    policy_pack.ALLOW_WITH_OVERRIDE: Outcome.ALLOW_WITH_OVERRIDE,
}


class ChainRule(NamedTuple):
    """An active rule with its parsed documents.

    Attributes:
        pack: the pack of the rule.
        rule: the rule.
        conditions: its conditions, parsed.
        action: its action, parsed.
    """

    pack: PolicyPack
    rule: PolicyRule
    conditions: Conditions
    action: Action


class ChainPlan(NamedTuple):
    """The order in which one chain evaluates its rules.

    Attributes:
        spans: one bit mask of rules for each pack, in the order of the packs. Within a pack, the
            lowest bit is the first rule.
        deny_overrides: whether every rule is evaluated.
    """

    spans: tuple[int, ...]
    deny_overrides: bool

    def bits(self) -> Iterator[int]:
        """Yields the bits of the rules in the order of evaluation."""
        for span in self.spans:
            yield from bits_of(span)


class EffectiveRules(NamedTuple):
    """The rules of one chain that count for a request.

    Attributes:
        redactions: the bits of the REDACT rules, in order.
        deciding: the bit of the rule that decides; -1 if there is none.
    """

    redactions: tuple[int, ...] = ()
    deciding: int = -1

    def __bool__(self) -> bool:
        """Returns whether any rule counts."""
        return self.deciding >= 0 or bool(self.redactions)


@dataclass(frozen=True, slots=True)
class ChainSet:
    """All chains of a tenant and their rules. The bit of a rule is its position in `rules`.

    Attributes:
        rules: the rules of all packs in any chain. Those of the org chain come first, in its order.
        index: finds the rules that match a request.
        org: the chain of the tenant itself.
        users: the chains of its users, by user ID.
        models: the model catalog.
        terminal: a mask of the rules that end a chain.
        routes: a mask of the ROUTE_TO rules.
        monitored: a mask of the rules that are judged and recorded only.
        blocks: a mask of the BLOCK rules.
        cancels: a mask of the CANCEL rules.
        escalations: a mask of the ESCALATE rules.
        holding: a mask of the rules that hold a request: PROMPT and ESCALATE.
    """

    rules: tuple[ChainRule, ...]
    index: RuleIndex
    org: ChainPlan | None
    users: Mapping[str, ChainPlan]
    models: ModelIndex
    terminal: int
    routes: int
    monitored: int
    blocks: int
    cancels: int
    escalations: int
    holding: int

    def effective_rules(self, plan: ChainPlan, matching: int, blocks: int) -> EffectiveRules:
        """Returns which of the rules in the mask `matching` count in the chain of `plan`.

        Args:
            plan: the chain.
            matching: a mask of the rules that match.
            blocks: a mask of the rules that are a BLOCK for the request: see `Routes.blocks`.
        """
        deciding = -1
        redaction_bits: list[int] = []
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
                    redaction_bits += bits_of(redactions & (first - 1))
                    break
            redaction_bits += bits_of(redactions)
        if plan.deny_overrides and deciding >= 0:
            for denials in (blocks, self.cancels, self.escalations):
                denying = _first_bit(plan.spans, matching & denials)
                if denying >= 0:
                    deciding = denying
                    break
        return EffectiveRules(tuple(redaction_bits), deciding)

    def with_models(self, models: ModelIndex) -> ChainSet:
        """Returns the same chains with another model catalog."""
        return self if models is self.models else replace(self, models=models)


class RouteTarget(NamedTuple):
    """The model that a ROUTE_TO rule routes to.

    Attributes:
        provider: its provider in the catalog.
        model: its name, as the rule has it.
        model_id: its name in the catalog.
        id: the id of the model in the catalog.
    """

    provider: str
    model: str
    model_id: str
    id: str


class Routes:
    """The targets of ROUTE_TO rules for one request, resolved when they are needed."""

    __slots__ = ("_chains", "_request", "_targets")

    def __init__(self, chains: ChainSet, request: Request) -> None:
        self._chains = chains
        self._request = request
        self._targets: dict[int, RouteTarget | None] = {}

    def target(self, bit: int) -> RouteTarget | None:
        """Returns the target of a ROUTE_TO rule; None if it is switched off or not in the catalog.

        A tier or a name means a model of the request's provider, if that has one.
        """
        if bit not in self._targets:
            chains = self._chains
            provider, _ = self._requested()
            action = chains.rules[bit].action
            self._targets[bit] = route_target(action, chains.models, provider)
        return self._targets[bit]

    def destination(self, bit: int) -> RouteTarget | None:
        """Returns the model that a rule sends the request to; None if it changes nothing."""
        if not self._chains.routes >> bit & 1:
            return None
        target = self.target(bit)
        return None if target is None or target.id == self._requested()[1] else target

    def outcome(self, bit: int) -> Outcome:
        """Returns the outcome of a rule if it counts."""
        if self._chains.routes >> bit & 1:
            if self.target(bit) is None:
                return Outcome.BLOCK
            if self.destination(bit) is None:
                return Outcome.ALLOW  # it is the model that the request asks for
        return OUTCOMES[self._chains.rules[bit].action.type]

    def blocks(self, matching: int) -> int:
        """Returns a mask of the rules in `matching` that are a BLOCK for the request."""
        chains = self._chains
        blocks = matching & chains.blocks
        for bit in bits_of(matching & chains.routes):
            if self.target(bit) is None:
                blocks |= 1 << bit
        return blocks

    def _requested(self) -> tuple[str, str]:
        """Returns the provider of the request's model, and the id of that in the catalog."""
        request = self._request
        model = self._chains.models.resolve(request.model, request.provider).model
        provider = request.provider or (model.provider if model else "")
        return provider, model.id if model else ""


def bits_of(mask: int) -> Iterator[int]:
    """Yields the positions of the bits that are set in `mask`, lowest first."""
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest


def _first_bit(spans: Sequence[int], mask: int) -> int:
    for span in spans:
        part = mask & span
        if part:
            return (part & -part).bit_length() - 1
    return -1


def route_target(action: Action, models: ModelIndex, provider: str) -> RouteTarget | None:
    """Returns the model that a ROUTE_TO action routes to.

    The result is None if the model is switched off or not in the catalog.

    Args:
        action: the action.
        models: the model catalog.
        provider: the provider of the request, which comes before others; empty if unknown.
    """
    name = action.model or action.tier
    state, model = models.resolve(name, provider)
    if state is ModelState.UNKNOWN:
        state, model = models.resolve(name)
    if state is not ModelState.KNOWN or model is None:
        return None
    return RouteTarget(model.provider, action.model or model.model_id, model.model_id, model.id)


def compile_chains(policies: Policies, previous: Sequence[ChainRule] = ()) -> ChainSet | None:
    """Compiles all chains of a tenant.

    Args:
        policies: the policies.
        previous: rules that were compiled before; those that have not changed are reused.

    Returns:
        None if the chains have no active rule.
    """
    chains: Mapping[str, PolicyChain] = policies.own.of_kind(policy_chain.KIND)
    pack_ids = frozenset(entry.pack_id for chain in chains.values() for entry in chain.packs)
    if not pack_ids:
        return None
    packs = packs_with_rules(policies.platform, policies.own, pack_ids)
    known = {each.rule.id: each for each in previous}
    rules: list[ChainRule] = []
    spans: dict[str, int] = {}
    for pack_id in _active_packs(chains, packs):
        begin = len(rules)
        rules += _active_rules(packs[pack_id], known)
        spans[pack_id] = (1 << len(rules)) - (1 << begin)
    if not rules:
        return None
    _check_patterns(rules)
    plans = {chain.user_id: _plan(chain, spans) for chain in chains.values()}
    types = [each.action.type for each in rules]
    return ChainSet(
        rules=tuple(rules),
        index=RuleIndex(
            [(each.rule.applies_to, each.conditions) for each in rules],
            mask_of(bit for bit, each in enumerate(types) if each in policy_pack.PASSING),
        ),
        org=plans.pop("", None),
        users=plans,
        models=policies.models,
        terminal=mask_of(bit for bit, each in enumerate(types) if each != policy_pack.REDACT),
        monitored=mask_of(bit for bit, each in enumerate(rules) if each.rule.mode == MONITOR),
        routes=mask_of(bit for bit, each in enumerate(types) if each == policy_pack.ROUTE_TO),
        blocks=mask_of(bit for bit, each in enumerate(types) if each == policy_pack.BLOCK),
        cancels=mask_of(bit for bit, each in enumerate(types) if each == policy_pack.CANCEL),
        escalations=mask_of(bit for bit, each in enumerate(types) if each == policy_pack.ESCALATE),
        holding=mask_of(bit for bit, each in enumerate(types) if OUTCOMES[each] in HELD),
    )


def _check_patterns(rules: Iterable[ChainRule]) -> None:
    """Raises InvalidArgument if the expressions of all rules search for too many patterns."""
    expressions = (each.conditions.expression for each in rules)
    patterns = sum(each.condition.patterns for each in expressions if each is not None)
    if patterns > MAX_PATTERNS:
        reason = (
            f"the expressions of all rules in chains have {patterns} patterns of MATCHES and LIKE; "
            f"at most {MAX_PATTERNS} are allowed"
        )
        raise InvalidArgument.of(Violation("conditions.expression", reason))


def _active_packs(
    chains: Mapping[str, PolicyChain], packs: Mapping[str, PackRules]
) -> Iterable[str]:
    """Returns the IDs of the active packs. Those of the org chain come first, to be adjacent."""
    org_first = sorted(chains.values(), key=lambda chain: chain.user_id)
    return dict.fromkeys(
        entry.pack_id
        for chain in org_first
        for entry in chain.packs
        if entry.pack_id in packs and packs[entry.pack_id].pack.is_active
    )


def _active_rules(pack: PackRules, known: Mapping[str, ChainRule]) -> Iterator[ChainRule]:
    for rule in pack.rules:
        if not rule.is_active:
            continue
        earlier = known.get(rule.id)
        if earlier is None or earlier.rule is not rule:
            yield ChainRule(pack.pack, rule, *known_rule(rule.conditions, rule.action))
        else:
            yield earlier if earlier.pack is pack.pack else earlier._replace(pack=pack.pack)


def _plan(chain: PolicyChain, spans: Mapping[str, int]) -> ChainPlan:
    """Returns the plan of a chain. Packs whose bits are adjacent share one span."""
    joined: list[int] = []
    for entry in chain.packs:
        span = spans.get(entry.pack_id, 0)
        if not span:
            continue
        if joined and joined[-1].bit_length() == (span & -span).bit_length() - 1:
            joined[-1] |= span
        else:
            joined.append(span)
    return ChainPlan(tuple(joined), chain.combining_algorithm == policy_chain.DENY_OVERRIDES)


def mask_of(bits: Iterable[int]) -> int:
    """Returns the mask in which `bits` are set."""
    mask = 0
    for bit in bits:
        mask |= 1 << bit
    return mask
