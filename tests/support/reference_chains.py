"""Chains judged rule by rule, as seed 002 and decide.md say it, and as slowly as that reads.

Shares nothing with the engine but the documents: it reads conditions out of them one by one, looks
for words where the engine runs patterns, and redacts character by character.
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


class Judged(NamedTuple):
    """What all chains come to: the rules that count, in order, the outcome, and the text left."""

    rules: list[str]
    outcome: str
    text: str | None


def judge(policies: PolicySet, request: Request) -> Judged:
    """Judges a request by the chain of its user and by the org's."""
    counting: list[PolicyRule] = []
    for user in dict.fromkeys((request.subject.user_id, "")):
        chain = policies.of_kind(policy_chain.KIND).get(policy_chain.entity_id(user))
        if chain is not None:
            counting += [rule for rule in _run(policies, chain, request) if rule not in counting]
    effects = [_effect(rule.action) for rule in counting]
    outcome = max(effects, key=STRENGTH.index, default="ALLOW")
    carried = STRENGTH.index(outcome) < STRENGTH.index("CANCEL")
    redactions = [rule for rule in counting if rule.action["type"] == "REDACT"]
    text = _redacted(redactions, request) if carried else None
    return Judged([rule.id for rule in counting], outcome, text)


def _run(policies: PolicySet, chain: PolicyChain, request: Request) -> list[PolicyRule]:
    redactions: list[PolicyRule] = []
    terminal: list[PolicyRule] = []
    for rule in _rules(policies, chain):
        if rule.applies_to not in (request.direction, "both") or not _meets(rule, request):
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
    kind: str = action["type"]
    if kind != "ROUTE_TO":
        return kind
    target = action.get("route_to_model") or action["route_to_tier"]
    alive = [
        model
        for model in CATALOG
        if target in (model.model_id, model.tier) and model.kill_switch_disabled_at is None
    ]
    return kind if alive else "BLOCK"


def _meets(rule: PolicyRule, request: Request) -> bool:
    return all(_checks(rule.conditions, request))


def _checks(asked: Mapping[str, Any], request: Request) -> Iterator[bool]:
    subject, named = request.subject, _model(request)
    if asked.get("user_groups"):
        yield bool(set(asked["user_groups"]) & set(subject.groups))
    if _asks_for_entities(asked):
        yield bool(_entities(asked, request))
    if asked.get("content_regex"):
        texts = (request.text, *(request.arguments or {}).values())
        yield any(asked["content_regex"] in text for text in texts)
    if asked.get("providers"):
        yield named["provider"] in asked["providers"]
    if asked.get("models"):
        yield any(name.lower() in named["names"] for name in asked["models"])
    if asked.get("user_risk_score_min") is not None:
        score = subject.risk_score
        yield score is not None and score >= asked["user_risk_score_min"]
    if asked.get("intent_complexity"):
        yield asked["intent_complexity"] == request.intent_complexity
    if asked.get("channel"):
        yield request.channel in asked["channel"]


def _model(request: Request) -> dict[str, Any]:
    name = request.model.lower()
    for model in CATALOG:
        if name in (model.model_id, model.tier) and request.provider in ("", model.provider):
            return {"provider": model.provider, "names": {name, model.model_id}}
    return {"provider": request.provider, "names": {name} - {""}}


def _asks_for_entities(asked: Mapping[str, Any]) -> bool:
    return bool(asked.get("entity_types")) or asked.get("entity_confidence_min") is not None


def _entities(asked: Mapping[str, Any], request: Request) -> list[Any]:
    types = asked.get("entity_types")
    return [
        entity
        for entity in request.entities
        if (not types or entity.entity_type in types)
        and entity.confidence >= (asked.get("entity_confidence_min") or 0)
    ]


def _redacted(redactions: list[PolicyRule], request: Request) -> str | None:
    """Marks every character with the runs that it is in; runs that share one are one."""
    text = request.text
    runs: list[tuple[int, set[int]]] = []
    for order, rule in enumerate(redactions):
        runs += [(order, set(range(start, end))) for start, end in _places(rule, request)]
    merged: list[tuple[int, set[int]]] = []
    for order, run in runs:
        touching = [each for each in merged if each[1] & run]
        merged = [each for each in merged if not each[1] & run]
        lead = min(order, *(each[0] for each in touching)) if touching else order
        merged.append((lead, run.union(*(each[1] for each in touching))))
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
    if not _asks_for_entities(rule.conditions):
        places = [(0, len(text))]
    else:
        found = _entities(rule.conditions, request)
        clipped = [(each.start, min(each.end, len(text))) for each in found]
        places = [(a, b) if a < b else (0, len(text)) for a, b in clipped]
    yield from (place for place in places if place[0] < place[1])
