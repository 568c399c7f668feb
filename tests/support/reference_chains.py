"""A second implementation of policy chains (decide.md): simple, slow and independent of the engine.

It reads the conditions from their documents one rule after another, searches for words instead of
patterns, and redacts character by character.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from pdp.domain import policy_chain, policy_pack
from tests.support.chain_strategies import CATALOG

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pdp.domain.model_catalog import ModelConfig
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
    target = next(filter(None, (_destination(rule.action, request) for rule in counting)), None)
    if target is not None:
        counting += _rules_of_target(policies, counting, request, target)
    effects = [_effect(rule.action, request) for rule in counting]
    outcome = max(effects, key=STRENGTH.index, default="ALLOW")
    has_text = STRENGTH.index(outcome) < STRENGTH.index("CANCEL")
    redactions = [rule for rule in counting if rule.action["type"] == "REDACT"]
    text = _redacted(redactions, request) if has_text else None
    return ChainResult([rule.id for rule in counting], outcome, text)


def _rules_of_target(
    policies: PolicySet, counting: list[PolicyRule], request: Request, target: ModelConfig
) -> list[PolicyRule]:
    """Returns the rules about models that hold or stop a request to the model of its route."""
    routed = request._replace(provider=target.provider, model=target.model_id)
    more: list[PolicyRule] = []
    for user in dict.fromkeys((request.subject.user_id, "")):
        chain = policies.of_kind(policy_chain.KIND).get(policy_chain.entity_id(user))
        if chain is not None:
            more += _run(policies, chain, routed, of_target=True)
    strong = [
        rule
        for rule in more
        if STRENGTH.index(_effect(rule.action, routed)) > STRENGTH.index("ROUTE_TO")
    ]
    unique = {rule.id: rule for rule in strong}
    return [rule for rule in unique.values() if rule not in counting]


def _is_about_models(rule: PolicyRule) -> bool:
    names = ("models", "not_models", "providers", "not_providers")
    return rule.action["type"] != "ROUTE_TO" and any(rule.conditions.get(name) for name in names)


def _run(
    policies: PolicySet, chain: PolicyChain, request: Request, *, of_target: bool = False
) -> list[PolicyRule]:
    redactions: list[PolicyRule] = []
    terminal: list[PolicyRule] = []
    for rule in _rules(policies, chain):
        if rule.applies_to not in (request.direction, "both") or not _matches(rule, request):
            continue
        if of_target and not _is_about_models(rule):
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
        if _effect(rule.action, request) == effect
    ]
    return redactions + (denying or terminal)[:1]


def _rules(policies: PolicySet, chain: PolicyChain) -> Iterator[PolicyRule]:
    for entry in sorted(chain.packs, key=lambda entry: entry.sequence):
        if not policies.of_kind(policy_pack.KIND)[entry.pack_id].is_active:
            continue
        rules = policies.of_kind(policy_pack.RULE_KIND).values()
        own = [rule for rule in rules if rule.pack_id == entry.pack_id and rule.is_active]
        yield from sorted(own, key=lambda rule: rule.sequence)


def _effect(action: Mapping[str, Any], request: Request) -> str:
    action_type: str = action["type"]
    if action_type != "ROUTE_TO":
        return action_type
    if _target(action) is None:
        return "BLOCK"
    return "ALLOW" if _destination(action, request) is None else action_type


def _target(action: Mapping[str, Any]) -> ModelConfig | None:
    name = action.get("route_to_model") or action["route_to_tier"]
    available = [
        model
        for model in CATALOG
        if name in (model.model_id, model.tier) and model.kill_switch_disabled_at is None
    ]
    return available[0] if available else None


def _destination(action: Mapping[str, Any], request: Request) -> ModelConfig | None:
    """Returns the model of a route; None if it is the model of the request, or none."""
    target = _target(action) if action["type"] == "ROUTE_TO" else None
    if target is None:
        return None
    names = (target.model_id, target.tier)
    is_same = request.model.lower() in names and request.provider in ("", target.provider)
    return None if is_same else target


def _matches(rule: PolicyRule, request: Request) -> bool:
    passing = rule.action["type"] in ("ALLOW", "ALLOW_WITH_OVERRIDE", "ROUTE_TO")
    return all(_checks(rule.conditions, request, wide=not passing))


def _checks(conditions: Mapping[str, Any], request: Request, *, wide: bool) -> Iterator[bool]:
    subject, model, other = request.subject, _model(request, wide), _model(request, not wide)
    groups = {group.lower() for group in subject.groups}
    if conditions.get("user_groups"):
        yield any(name.lower() in groups for name in conditions["user_groups"])
    if conditions.get("not_user_groups"):
        yield not any(name.lower() in groups for name in conditions["not_user_groups"])
    if conditions.get("not_providers"):
        yield model["provider"] not in conditions["not_providers"]
        yield wide or model["provider"] != ""
    if conditions.get("not_models"):
        yield not any(_is_named(name, other["names"]) for name in conditions["not_models"])
        yield wide or request.model != ""
    if _has_entity_conditions(conditions):
        yield bool(_entities(conditions, request))
    if conditions.get("content_regex"):
        texts = (request.text, *(request.arguments or {}).values())
        yield any(conditions["content_regex"] in text for text in texts)
    if conditions.get("providers"):
        yield model["provider"] in conditions["providers"]
    if conditions.get("models"):
        yield any(_is_named(name, model["names"]) for name in conditions["models"])
    if conditions.get("user_risk_score_min") is not None:
        score = subject.risk_score
        yield score is not None and score >= conditions["user_risk_score_min"]
    if conditions.get("intent_complexity"):
        yield conditions["intent_complexity"] == request.intent_complexity
    if conditions.get("channel"):
        yield request.channel in conditions["channel"]


def _model(request: Request, wide: bool) -> dict[str, Any]:
    name = request.model.lower()
    wider = {model.tier for model in CATALOG if wide and name == model.model_id}
    for model in CATALOG:
        if name in (model.model_id, model.tier) and request.provider in ("", model.provider):
            full = f"{model.provider}/{model.model_id}"
            return {"provider": model.provider, "names": {name, model.model_id, full} | wider}
    full = f"{request.provider}/{name}"
    names = {name, full} | wider if name else set()
    return {"provider": request.provider, "names": names}


def _is_named(written: str, names: set[str]) -> bool:
    pattern = re.escape(written.lower()).replace(r"\*", ".*")
    return any(re.fullmatch(pattern, name) for name in names)


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
