"""Free-form values as JSON Schema: what the contracts' types say nothing of, callers may not guess.

A rule's conditions and action come back as they were posted, so to the contracts they are any
object. What they may be is read by `pdp.engine.rules.documents`; the tests hold the two together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pdp.domain import policy_pack as packs
from pdp.domain.model_catalog import TIERS
from pdp.domain.usage import MAX_COUNT

if TYPE_CHECKING:
    from collections.abc import Mapping

JsonSchema = dict[str, Any]

_MAX_NAME: Final = 256
_MAX_MESSAGE: Final = 2048
_MAX_DOLLARS: Final = 1_000_000_000


def _text(most: int) -> JsonSchema:
    return {"type": ["string", "null"], "maxLength": most}


def _one_of(*words: str) -> JsonSchema:
    return {"type": ["string", "null"], "enum": [*words, "", None]}


def _object(properties: JsonSchema, *required: str) -> JsonSchema:
    members = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**members, "required": [*required]} if required else members


def _action(kind: str, fields: JsonSchema, *required: str) -> JsonSchema:
    return _object({"type": {"const": kind}, **fields}, "type", *required)


_NAMES: Final = {
    "type": ["array", "null"],
    "items": {"type": "string", "minLength": 1, "maxLength": _MAX_NAME},
    "maxItems": 1000,
}
_SAID: Final = {"type": "string", "pattern": r"\S", "maxLength": _MAX_MESSAGE}


def _described(properties: Mapping[str, tuple[str, JsonSchema]]) -> JsonSchema:
    return {
        name: {"description": f"{name} {text}", **schema}
        for name, (text, schema) in properties.items()
    }


CONDITIONS: Final = {
    "title": "RuleConditions",
    "description": "RuleConditions are what a request must meet: fields AND, entries of a list OR.",
    **_object(
        _described(
            {
                "user_groups": ("has one of the subject's groups.", _NAMES),
                "entity_types": ("has the type of a finding.", _NAMES),
                "entity_confidence_min": (
                    "is the least confidence of that finding.",
                    {"type": ["number", "null"], "minimum": 0, "maximum": 1},
                ),
                "content_regex": (
                    "is a pattern in RE2 syntax, found in the text or in a string of the "
                    "arguments.",
                    _text(1000),
                ),
                "providers": ("has the provider that the request is for.", _NAMES),
                "models": ("has the model that the request is for.", _NAMES),
                "user_risk_score_min": (
                    "is the least risk score of the subject.",
                    {"type": ["number", "null"]},
                ),
                "intent_complexity": (
                    "is the request's.",
                    _one_of("simple", "medium", "complex"),
                ),
                "channel": (
                    "has the request's channel.",
                    {"type": ["array", "null"], "items": {"enum": ["interactive", "api"]}},
                ),
            }
        )
    ),
}
_TYPES: Final = (
    packs.ALLOW,
    packs.BLOCK,
    packs.CANCEL,
    packs.REDACT,
    packs.ROUTE_TO,
    packs.PROMPT,
    packs.ALLOW_WITH_OVERRIDE,
)
ACTION: Final[JsonSchema] = {
    "title": "RuleAction",
    "description": "RuleAction is what is done with a request that meets a rule's conditions.",
    # All fields for people, and what goes with what for programs.
    **_object(
        _described(
            {
                "type": ("says what is done.", {"type": "string", "enum": [*_TYPES]}),
                "message": ("is shown with a BLOCK or a CANCEL.", _text(_MAX_MESSAGE)),
                "redact_replacement": ("stands for what REDACT removes.", _text(_MAX_NAME)),
                "route_to_model": ("is where ROUTE_TO goes, without a tier.", _text(_MAX_NAME)),
                "route_to_tier": ("is where ROUTE_TO goes, without a model.", _one_of(*TIERS)),
                "prompt_message": ("is what PROMPT asks.", _text(_MAX_MESSAGE)),
                "override_message": ("is what ALLOW_WITH_OVERRIDE asks.", _text(_MAX_MESSAGE)),
            }
        ),
        "type",
    ),
    "anyOf": [
        _action(packs.ALLOW, {}),
        _action(packs.BLOCK, {"message": _text(_MAX_MESSAGE)}),
        _action(packs.CANCEL, {"message": _text(_MAX_MESSAGE)}),
        _action(packs.REDACT, {"redact_replacement": _text(_MAX_NAME)}),
        _action(
            packs.ROUTE_TO,
            {
                "route_to_model": {"type": "string", "minLength": 1, "maxLength": _MAX_NAME},
                "route_to_tier": _one_of(),
            },
            "route_to_model",
        ),
        _action(
            packs.ROUTE_TO,
            {"route_to_tier": {"enum": [*TIERS]}, "route_to_model": _one_of()},
            "route_to_tier",
        ),
        _action(packs.PROMPT, {"prompt_message": _SAID}, "prompt_message"),
        _action(packs.ALLOW_WITH_OVERRIDE, {"override_message": _SAID}, "override_message"),
    ],
}
_COUNT: Final = {"type": "integer", "minimum": 0, "maximum": MAX_COUNT}
_COST: Final = {"type": "number", "minimum": 0, "maximum": _MAX_DOLLARS}
_MODEL_NAME: Final = {"type": "string", "maxLength": _MAX_NAME}
_MODEL: Final[JsonSchema] = {
    "anyOf": [
        _MODEL_NAME,
        _object({"provider": _MODEL_NAME, "model": _MODEL_NAME}),
    ]
}

_RULES: Final = (
    "PolicyRuleDraft",
    "CreatePolicyRuleRequest",
    "UpdatePolicyRuleRequest",
    "OverlayRule",
)
_BOUNDS: Final = (
    "daily_request_limit",
    "monthly_request_limit",
    "daily_token_limit",
    "monthly_token_limit",
    "requests_per_minute",
)

DOCUMENTS: Final[Mapping[str, JsonSchema]] = {
    **{f"pdp.v1.{rule}.conditions": CONDITIONS for rule in _RULES},
    **{f"pdp.v1.{rule}.action": ACTION for rule in _RULES},
    **{f"pdp.v1.UpdateLimitRequest.{name}": _COUNT for name in _BOUNDS},
    "pdp.v1.UpdateLimitRequest.daily_cost_limit_usd": _COST,
    "pdp.v1.UpdateLimitRequest.monthly_cost_limit_usd": _COST,
    "pdp.v1.SimulatePolicyRequest.model": _MODEL,
}
"""What free-form values may be that callers send, by the full names of their fields; those with a
title are described once for all."""
