"""Warns of policies that do less than their author thinks: never reached, never true, or weaker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pdp.domain import dlp_rule, policy_exception, policy_pack, static_policy
from pdp.domain.group_resolver import normalize_group
from pdp.domain.model_catalog import normalize_name
from pdp.domain.placement import MONITOR
from pdp.domain.write_warning import (
    CONDITION_ALWAYS_UNKNOWN,
    NEVER_TRUE,
    OVERRIDE_IS_WEAKER,
    PACK_IN_NO_CHAIN,
    RULE_NEVER_REACHED,
    WriteWarning,
)
from pdp.engine.rules.expressions import known_expression
from pdp.engine.rules.shadowing import covers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pdp.admin.written_policy import WriteContext, WrittenPolicy
    from pdp.engine.rules.chains import ChainRule

MAX_COMPARISONS: Final = 100_000
"""Pairs of rules that are compared in one write. Rules beyond it are not checked."""

_RANKS: Final = {action: rank for rank, action in enumerate(static_policy.ACTIONS)}


def warn_of_weaker_overrides(
    context: WriteContext, policy: WrittenPolicy
) -> Iterator[WriteWarning]:
    """Yields a warning if an override is weaker than the system policy."""
    if policy.kind != static_policy.OVERRIDE_KIND:
        return
    body = policy.body
    system = context.snapshot.platform.policies.of_kind(static_policy.KIND).get(body["policy_id"])
    if system is None:
        return
    name = f'the system policy "{system.name}"'
    if _RANKS[body["action"]] < _RANKS[system.action]:
        message = f"is weaker than {name}, which has {system.action}"
        yield WriteWarning(policy.prefix + "action", OVERRIDE_IS_WEAKER, message)
    for place, action in (body.get("scope_actions") or {}).items():
        if _RANKS[action] < _RANKS[system.scope_actions.get(place, system.action)]:
            field = f"{policy.prefix}scope_actions.{place}"
            yield WriteWarning(field, OVERRIDE_IS_WEAKER, f"is weaker than {name} there")
    if body.get("mode") == MONITOR:
        message = f"{name} is only monitored, and stops nothing"
        yield WriteWarning(policy.prefix + "mode", OVERRIDE_IS_WEAKER, message)


def warn_of_unused_packs(context: WriteContext, policy: WrittenPolicy) -> Iterator[WriteWarning]:
    """Yields a warning if no chain has a pack, so that none of its rules is in force."""
    if policy.kind == policy_pack.KIND and policy.body["id"] not in context.packs_in_chains:
        name = policy.body["name"]
        message = f'"{name}" is in no chain, so none of its rules is in force; add it to a chain'
        yield WriteWarning("pack", PACK_IN_NO_CHAIN, message)


def warn_of_unreachable_rules(
    context: WriteContext, policy: WrittenPolicy
) -> Iterator[WriteWarning]:
    """Yields a warning if a rule before a rule decides every request that meets it."""
    if policy.kind != policy_pack.RULE_KIND or not policy.body.get("is_active"):
        return
    shadowing = find_shadowing_rule(context, policy.body["id"])
    if shadowing is not None:
        message = (
            f'is never reached: rule "{shadowing.rule.name}" of pack "{shadowing.pack.name}" '
            "decides every request that meets it; move it before that rule, or narrow that rule"
        )
        yield WriteWarning(policy.prefix + "sequence", RULE_NEVER_REACHED, message)


def find_shadowing_rule(context: WriteContext, rule_id: str) -> ChainRule | None:
    """Returns the rule of the org's chain that decides every request that meets a rule.

    Args:
        context: the policies.
        rule_id: the rule.

    Returns:
        None if there is none, if the rule is not in the org's chain, or if the chain evaluates
        every rule.
    """
    rules = context.ordered_rules
    place = context.places_of_rules.get(rule_id)
    if place is None:
        return None
    rule = rules[place]
    for earlier in rules[:place]:
        if context.comparisons >= MAX_COMPARISONS:
            return None
        context.comparisons += 1
        if earlier.action.type != policy_pack.REDACT and covers(earlier, rule):
            return earlier
    return None


def warn_of_policies_without_effect(
    context: WriteContext, policy: WrittenPolicy
) -> Iterator[WriteWarning]:
    """Yields a warning if a policy can never match, or if parts of its expression are unknown."""
    find = _CONTRADICTIONS.get(policy.kind)
    if find is not None:
        for field, message in find(context, policy.body):
            yield WriteWarning(policy.prefix + field, NEVER_TRUE, message)
    field, expression = _expression_of(policy)
    if expression:
        for reason in known_expression(expression).condition.warnings:
            yield WriteWarning(policy.prefix + field, CONDITION_ALWAYS_UNKNOWN, reason)


def _expression_of(policy: WrittenPolicy) -> tuple[str, str]:
    if policy.kind == policy_pack.RULE_KIND:
        conditions = policy.body.get("conditions") or {}
        return "conditions.expression", conditions.get("expression") or ""
    return "expression", policy.body.get("expression") or ""


def _contradictions_of_rule(
    _context: WriteContext, body: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    conditions: Mapping[str, Any] = body.get("conditions") or {}
    for name, normalize in _EXCLUDABLE.items():
        named = {normalize(each) for each in conditions.get(name) or ()}
        excluded = {normalize(each) for each in conditions.get(f"not_{name}") or ()}
        if named and named <= excluded:
            yield f"conditions.not_{name}", f"excludes all of {name}, so no request meets the rule"


def _contradictions_of_exception(
    context: WriteContext, body: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    ends = body.get("valid_until")
    if ends is not None and ends <= body["updated_at"]:
        yield "valid_until", "is in the past, so the exception lifts nothing"


def _contradictions_of_placement(
    _context: WriteContext, body: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    scope, actions = body.get("scope") or (), body.get("scope_actions") or {}
    for place in actions:
        if scope and place not in scope:
            yield f"scope_actions.{place}", "is not in the scope, so the action is never taken"


_EXCLUDABLE: Final[Mapping[str, Callable[[str], str]]] = {
    "models": normalize_name,
    "providers": normalize_name,
    "user_groups": normalize_group,
}
_CONTRADICTIONS: Final[
    Mapping[str, Callable[[WriteContext, Mapping[str, Any]], Iterator[tuple[str, str]]]]
] = {
    policy_pack.RULE_KIND: _contradictions_of_rule,
    policy_exception.KIND: _contradictions_of_exception,
    dlp_rule.KIND: _contradictions_of_placement,
    static_policy.KIND: _contradictions_of_placement,
}
