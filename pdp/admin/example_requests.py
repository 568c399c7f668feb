"""Example requests that meet the conditions of a rule, for people who look for a fault in rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pdp.engine.rules.chains import ChainRule

_META: Final = frozenset(r".^$*+?{}[]\|()")


def example_request(rule: ChainRule) -> dict[str, Any]:
    """Returns a request, as JSON, that meets the conditions of a rule as far as they are simple.

    Expressions and schedules are not considered.
    """
    conditions = rule.conditions
    request: dict[str, Any] = {}
    if rule.rule.applies_to == "output":
        request["direction"] = "output"
    subject: dict[str, Any] = {}
    if conditions.user_groups:
        subject["groups"] = [conditions.user_groups[0]]
    if conditions.user_risk_score_min is not None:
        subject["risk_score"] = conditions.user_risk_score_min
    if subject:
        request["subject"] = subject
    model = {}
    if conditions.providers:
        model["provider"] = conditions.providers[0]
    if conditions.models:
        model["model"] = conditions.models[0].replace("*", "example")
    if model:
        request["model"] = model
    if conditions.channel:
        request["channel"] = conditions.channel[0]
    if conditions.intent_complexity:
        request["intent_complexity"] = conditions.intent_complexity
    if conditions.entity_types or conditions.entity_confidence_min is not None:
        names = conditions.entity_types or ("EMAIL",)
        request["entities"] = [{"entity_type": names[0], "confidence": 1}]
    request["content"] = {"text": _text(conditions.content_regex)}
    return request


def _text(pattern: str) -> str:
    if not pattern:
        return "hello"
    return f"a text that {pattern} matches" if _META.intersection(pattern) else pattern
