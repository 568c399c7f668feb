"""The JSON Schemas of free-form values, which the types of the contracts do not describe.

The conditions and the action of a rule are returned as they were posted, so the contracts declare
them as any object. `pdp.engine.rules.documents` parses them; the tests keep both in step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pdp.domain import approval
from pdp.domain import policy_pack as packs
from pdp.domain.customer_policy import ACTION_PATTERN
from pdp.domain.model_catalog import TIERS
from pdp.domain.usage import MAX_COUNT
from pdp.engine.rules.expressions import MAX_EXPRESSION
from pdp.engine.rules.schedules import DAYS

if TYPE_CHECKING:
    from collections.abc import Mapping

JsonSchema = dict[str, Any]

_MAX_NAME: Final = 256
_MAX_MESSAGE: Final = 2048
_MAX_DOLLARS: Final = 1_000_000_000


def _text(max_length: int) -> JsonSchema:
    return {"type": ["string", "null"], "maxLength": max_length}


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
_ACTION_PATTERNS: Final = {
    **_NAMES,
    "items": {
        "type": "string",
        "pattern": f"^(?:{ACTION_PATTERN})$",
        "maxLength": _MAX_NAME,
    },
}
_TIME: Final = {"type": ["string", "null"], "pattern": "^([01][0-9]|2[0-4]):[0-5][0-9]$"}
_REQUIRED_TEXT: Final = {"type": "string", "pattern": r"\S", "maxLength": _MAX_MESSAGE}


def _described(properties: Mapping[str, tuple[str, JsonSchema]]) -> JsonSchema:
    return {
        name: {"description": f"{name} {text}", **schema}
        for name, (text, schema) in properties.items()
    }


SCHEDULE: Final[JsonSchema] = {
    "description": (
        "The schedule says when a rule holds, by the clock of the server. It has days, or both "
        "from and until, or all of them."
    ),
    **_object(
        _described(
            {
                "days": (
                    "are the days of the week on which it begins; unset means every day.",
                    {"type": ["array", "null"], "items": {"enum": [*DAYS]}, "minItems": 1},
                ),
                "from": ("is the time of day at which it begins, for instance `22:00`.", _TIME),
                "until": (
                    "is the time of day before which it ends; if it is not later than `from`, that "
                    "is the next day.",
                    _TIME,
                ),
                "timezone": (
                    "is the time zone, for instance `Europe/Berlin`; unset means UTC.",
                    _text(_MAX_NAME),
                ),
            }
        )
    ),
}
CONDITIONS: Final = {
    "title": "RuleConditions",
    "description": (
        "RuleConditions are the conditions of a rule. A request must meet all fields that are set, "
        "and at least one entry of each list."
    ),
    **_object(
        _described(
            {
                "user_groups": ("names groups; the subject must be in one of them.", _NAMES),
                "not_user_groups": ("names groups; the subject must be in none of them.", _NAMES),
                "entity_types": ("names entity types; a finding must have one of them.", _NAMES),
                "entity_confidence_min": (
                    "is the lowest confidence of that finding.",
                    {"type": ["number", "null"], "minimum": 0, "maximum": 1},
                ),
                "content_regex": (
                    "is an RE2 pattern that must match in the text or in a string of the "
                    "arguments.",
                    _text(1000),
                ),
                "providers": ("names providers; the request must be for one of them.", _NAMES),
                "not_providers": (
                    "names providers; the request must be for none of them.",
                    _NAMES,
                ),
                "models": (
                    "names models, or patterns with `*`; the request must be for one of them.",
                    _NAMES,
                ),
                "not_models": (
                    "names models, or patterns with `*`; the request must be for none of them.",
                    _NAMES,
                ),
                "user_risk_score_min": (
                    "is the lowest risk score of the subject.",
                    {"type": ["number", "null"]},
                ),
                "intent_complexity": (
                    "is the intent complexity of the request.",
                    _one_of("simple", "medium", "complex"),
                ),
                "channel": (
                    "names channels; the request must have one of them.",
                    {"type": ["array", "null"], "items": {"enum": ["interactive", "api"]}},
                ),
                "tools": ("names tools; the request must be for one of them.", _NAMES),
                "actions": (
                    "are patterns of actions, `domain:scope:verb`; one of them must match that of "
                    "the request.",
                    _ACTION_PATTERNS,
                ),
                "agent_ids": ("names agents; one of them must have made the request.", _NAMES),
                "schedule": (
                    "is when the rule holds.",
                    {"anyOf": [SCHEDULE, {"type": "null"}]},
                ),
                "expression": (
                    "is a condition that the request must meet, in the language of conditions.",
                    _text(MAX_EXPRESSION),
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
    packs.ESCALATE,
    packs.ALLOW_WITH_OVERRIDE,
)
_APPROVERS: Final[JsonSchema] = {
    "type": ["array", "null"],
    "items": {"type": "string", "minLength": 1, "maxLength": _MAX_NAME},
    "minItems": 1,
    "maxItems": approval.MAX_APPROVERS,
}
_EXPIRY: Final[JsonSchema] = {
    "type": ["integer", "null"],
    "minimum": 1,
    "maximum": approval.MAX_EXPIRY_S,
}
ACTION: Final[JsonSchema] = {
    "title": "RuleAction",
    "description": "RuleAction is the action for a request that meets the conditions of a rule.",
    # All fields for people, and the valid combinations for programs.
    **_object(
        _described(
            {
                "type": ("is the type of the action.", {"type": "string", "enum": [*_TYPES]}),
                "message": (
                    "is the message of BLOCK, CANCEL and ESCALATE.",
                    _text(_MAX_MESSAGE),
                ),
                "redact_replacement": ("replaces what REDACT removes.", _text(_MAX_NAME)),
                "route_to_model": (
                    "is the model of ROUTE_TO, if no tier is set.",
                    _text(_MAX_NAME),
                ),
                "route_to_tier": ("is the tier of ROUTE_TO, if no model is set.", _one_of(*TIERS)),
                "prompt_message": ("is the prompt of PROMPT.", _text(_MAX_MESSAGE)),
                "approvers": ("are the groups and roles that may answer an ESCALATE.", _APPROVERS),
                "expires_s": ("is the number of seconds until an ESCALATE expires.", _EXPIRY),
                "override_message": ("is the notice of ALLOW_WITH_OVERRIDE.", _text(_MAX_MESSAGE)),
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
        _action(packs.PROMPT, {"prompt_message": _REQUIRED_TEXT}, "prompt_message"),
        _action(
            packs.ESCALATE,
            {"message": _text(_MAX_MESSAGE), "approvers": _APPROVERS, "expires_s": _EXPIRY},
        ),
        _action(
            packs.ALLOW_WITH_OVERRIDE, {"override_message": _REQUIRED_TEXT}, "override_message"
        ),
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

FREE_FORM_SCHEMAS: Final[Mapping[str, JsonSchema]] = {
    **{f"pdp.v1.{rule}.conditions": CONDITIONS for rule in _RULES},
    **{f"pdp.v1.{rule}.action": ACTION for rule in _RULES},
    **{f"pdp.v1.UpdateLimitRequest.{name}": _COUNT for name in _BOUNDS},
    "pdp.v1.UpdateLimitRequest.daily_cost_limit_usd": _COST,
    "pdp.v1.UpdateLimitRequest.monthly_cost_limit_usd": _COST,
    "pdp.v1.SimulatePolicyRequest.model": _MODEL,
}
"""The schemas of free-form values that callers send, by the full names of their fields. A schema
with a title is a component of the document."""
