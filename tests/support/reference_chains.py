"""A second implementation of policy chains (decide.md): simple, slow and independent of the engine.

It reads the conditions from their documents one rule after another, searches for words instead of
patterns, and redacts character by character.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from pdp.domain import policy_chain, policy_pack
from tests.support.chain_strategies import CATALOG

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pdp.domain.policy_chain import PolicyChain
    from pdp.domain.policy_pack import PolicyRule
    from pdp.domain.policy_set import PolicySet
    from pdp.domain.request import Request

STRENGTH = (
    "ALLOW",
    "ALLOW_WITH_OVERRIDE",
    "ROUTE_TO",
    "REDACT",
    "PROMPT",
    "CANCEL",
    "BLOCK",
)


class ChainResult(NamedTuple):
    """The result of all chains.

    Attributes:
        rules: the IDs of the rules that count, in order.
        outcome: the strongest outcome.
        text: the redacted text; None if nothing is redacted or the request is stopped.
    """

    rules: list[str]
    outcome: str
    text: str | None


def evaluate_chains(policies: PolicySet, request: Request) -> ChainResult:
    """Evaluates a request on the chain of its user and on the org chain."""
    counting: list[PolicyRule] = []
    for user in dict.fromkeys((request.subject.user_id, "")):
        chain = policies.of_kind(policy_chain.KIND).get(policy_chain.entity_id(user))
        if chain is not None:
            counting += [rule for rule in _run(policies, chain, request) if rule not in counting]
    effects = [_effect(rule.action) for rule in counting]
    outcome = max(effects, key=STRENGTH.index, default="ALLOW")
    has_text = STRENGTH.index(outcome) < STRENGTH.index("CANCEL")
    redactions = [rule for rule in counting if rule.action["type"] == "REDACT"]
    text = _redacted(redactions, request) if has_text else None
    return ChainResult([rule.id for rule in counting], outcome, text)


def _run(policies: PolicySet, chain: PolicyChain, request: Request) -> list[PolicyRule]:
    redactions: list[PolicyRule] = []
    terminal: list[PolicyRule] = []
    for rule in _rules(policies, chain):
        if rule.applies_to not in (request.direction, "both") or not _matches(rule, request):
            continue
        if rule.action["type"] == "REDACT":
            redactions.append(rule)
            continue
        terminal.append(rule)
        if chain.combining_algorithm == policy_chain.FIRST_APPLICABLE:
            break
    denying = [
        rule
        for effect in ("BLOCK", "CANCEL")
        for rule in terminal
        if _effect(rule.action) == effect
    ]
    return redactions + (denying or terminal)[:1]


def _rules(policies: PolicySet, chain: PolicyChain) -> Iterator[PolicyRule]:
    for entry in sorted(chain.packs, key=lambda entry: entry.sequence):
        if not policies.of_kind(policy_pack.KIND)[entry.pack_id].is_active:
            continue
        rules = policies.of_kind(policy_pack.RULE_KIND).values()
        own = [rule for rule in rules if rule.pack_id == entry.pack_id and rule.is_active]
        yield from sorted(own, key=lambda rule: rule.sequence)


def _effect(action: Mapping[str, Any]) -> str:
    action_type: str = action["type"]
    if action_type != "ROUTE_TO":
        return action_type
    target = action.get("route_to_model") or action["route_to_tier"]
    available = [
        model
        for model in CATALOG
        if target in (model.model_id, model.tier) and model.kill_switch_disabled_at is None
    ]
    return action_type if available else "BLOCK"


def _matches(rule: PolicyRule, request: Request) -> bool:
    return all(_checks(rule.conditions, request))


def _checks(conditions: Mapping[str, Any], request: Request) -> Iterator[bool]:
    subject, model = request.subject, _model(request)
    if conditions.get("user_groups"):
        yield bool(set(conditions["user_groups"]) & set(subject.groups))
    if _has_entity_conditions(conditions):
        yield bool(_entities(conditions, request))
    if conditions.get("content_regex"):
        texts = (request.text, *(request.arguments or {}).values())
        yield any(conditions["content_regex"] in text for text in texts)
    if conditions.get("providers"):
        yield model["provider"] in conditions["providers"]
    if conditions.get("models"):
        yield any(name.lower() in model["names"] for name in conditions["models"])
    if conditions.get("user_risk_score_min") is not None:
        score = subject.risk_score
        yield score is not None and score >= conditions["user_risk_score_min"]
    if conditions.get("intent_complexity"):
        yield conditions["intent_complexity"] == request.intent_complexity
    if conditions.get("channel"):
        yield request.channel in conditions["channel"]


def _model(request: Request) -> dict[str, Any]:
    name = request.model.lower()
    for model in CATALOG:
        if name in (model.model_id, model.tier) and request.provider in ("", model.provider):
            return {"provider": model.provider, "names": {name, model.model_id}}
    return {"provider": request.provider, "names": {name} - {""}}


def _has_entity_conditions(conditions: Mapping[str, Any]) -> bool:
    return (
        bool(conditions.get("entity_types")) or conditions.get("entity_confidence_min") is not None
    )


def _entities(conditions: Mapping[str, Any], request: Request) -> list[Any]:
    types = conditions.get("entity_types")
    return [
        entity
        for entity in request.entities
        if (not types or entity.entity_type in types)
        and entity.confidence >= (conditions.get("entity_confidence_min") or 0)
    ]


def _redacted(redactions: list[PolicyRule], request: Request) -> str | None:
    """Returns the redacted text. Runs of characters that overlap are merged into one."""
    text = request.text
    runs: list[tuple[int, set[int]]] = []
    for order, rule in enumerate(redactions):
        runs += [(order, set(range(start, end))) for start, end in _places(rule, request)]
    merged: list[tuple[int, set[int]]] = []
    for order, run in runs:
        overlapping = [each for each in merged if each[1] & run]
        merged = [each for each in merged if not each[1] & run]
        lead = min(order, *(each[0] for each in overlapping)) if overlapping else order
        merged.append((lead, run.union(*(each[1] for each in overlapping))))
    if not merged:
        return None
    for order, run in sorted(merged, key=lambda each: -min(each[1])):
        replacement = redactions[order].action.get("redact_replacement", "[REDACTED]")
        text = text[: min(run)] + replacement + text[max(run) + 1 :]
    return text


def _places(rule: PolicyRule, request: Request) -> Iterator[tuple[int, int]]:
    text, word = request.text, rule.conditions.get("content_regex")
    if word:
        start = text.find(word)
        while start >= 0:
            yield start, start + len(word)
            start = text.find(word, start + len(word))
        return
    if not _has_entity_conditions(rule.conditions):
        places = [(0, len(text))]
    else:
        entities = _entities(rule.conditions, request)
        clipped = [(each.start, min(each.end, len(text))) for each in entities]
        places = [(a, b) if a < b else (0, len(text)) for a, b in clipped]
    yield from (place for place in places if place[0] < place[1])
