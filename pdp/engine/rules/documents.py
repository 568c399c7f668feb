"""Parses and validates the documents of a pack rule: its conditions and its action.

A request matches a rule if it meets all conditions that are set. A list is met by any of its
entries. A field that is null or empty is not set. Every request matches a rule without conditions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from math import isfinite
from typing import Any, Final, NamedTuple

from pdp.domain import approval as approvals
from pdp.domain import policy_pack as packs
from pdp.domain.customer_policy import is_action_pattern
from pdp.engine.rules.expressions import Expression, compile_expression, known_expression
from pdp.engine.rules.globs import is_glob
from pdp.engine.rules.schedules import InvalidSchedule, Schedule, read_schedule
from pdp.engine.text.patterns import CompiledPattern
from pdp.errors import InvalidArgument, InvalidCondition, InvalidPattern, Violation

MAX_ITEMS: Final = 1000
"""The number of entries in one list."""

MAX_NAME: Final = 256
"""The length of a group, model, provider or entity type in characters, as in DecideRequest."""

MAX_GLOBS: Final = 32
"""The number of models with `*` in one list."""

MAX_MESSAGE: Final = 2048
MAX_REPLACEMENT: Final = 256

COMPLEXITIES: Final = ("simple", "medium", "complex")
CHANNELS: Final = ("interactive", "api")
TIERS: Final = ("haiku", "sonnet", "opus")

_MAX_SHOWN: Final = 64


class Conditions(NamedTuple):
    """The conditions of a rule. A condition that is empty or None is not set.

    Attributes:
        user_groups: the subject is in one of these groups.
        not_user_groups: the subject is in none of these groups.
        entity_types: a finding has one of these types.
        entity_confidence_min: a finding has at least this confidence. If `entity_types` is set,
            the finding must have one of these types too.
        content_regex: the pattern matches the text or a string of the arguments.
        providers: the model of the request is from one of these providers.
        not_providers: the model of the request is from none of these providers.
        models: the request is for one of these models: names, tiers, or names with `*`.
        not_models: the request is for none of these models.
        user_risk_score_min: the subject has at least this risk score.
        intent_complexity: the request has this complexity.
        channel: the request came through one of these channels.
        tools: an agent is about to call one of these tools.
        actions: an agent is about to take an action that matches one of these patterns.
        agent_ids: one of these agents sends the request.
        schedule: the request is made at one of these times.
        expression: the request meets this condition.
    """

    user_groups: tuple[str, ...] = ()
    entity_types: tuple[str, ...] = ()
    entity_confidence_min: float | None = None
    content_regex: str = ""
    providers: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    user_risk_score_min: float | None = None
    intent_complexity: str = ""
    channel: tuple[str, ...] = ()
    not_user_groups: tuple[str, ...] = ()
    not_providers: tuple[str, ...] = ()
    not_models: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    agent_ids: tuple[str, ...] = ()
    schedule: Schedule | None = None
    expression: Expression | None = None


class Action(NamedTuple):
    """The action of a rule on a request that matches.

    Attributes:
        type: one of the action types in `pdp.domain.policy_pack`.
        message: for BLOCK, CANCEL, PROMPT, ESCALATE and ALLOW_WITH_OVERRIDE. It may be empty for
            BLOCK, CANCEL and ESCALATE.
        replacement: for REDACT: the text that replaces what is redacted.
        model: for ROUTE_TO: the model to route to, if `tier` is empty.
        tier: for ROUTE_TO: the tier to route to, if `model` is empty.
        approvers: for ESCALATE: the groups and roles that may approve.
        expires_s: for ESCALATE: after how many seconds the approval expires.
    """

    type: str
    message: str = ""
    replacement: str = packs.DEFAULT_REPLACEMENT
    model: str = ""
    tier: str = ""
    approvers: tuple[str, ...] = approvals.DEFAULT_APPROVERS
    expires_s: int = approvals.DEFAULT_EXPIRY_S


class _InvalidValue(ValueError):
    """The value of a field is invalid. The message says what is required."""


Parse = Callable[[Any], Any]
"""Takes a value that is not null and returns it parsed.

Raises `_InvalidValue` or `InvalidPattern`.
"""


def _text(max_length: int) -> Parse:
    def parse(value: Any) -> str:
        if type(value) is not str:
            raise _InvalidValue("must be a string")
        if len(value) > max_length:
            raise _InvalidValue(f"must be at most {max_length} characters")
        return value

    return parse


def _one_of(*allowed: str) -> Parse:
    def parse(value: Any) -> str:
        if value != "" and value not in allowed:
            raise _InvalidValue(f"must be one of {', '.join(allowed)}")
        return str(value)

    return parse


def _names(value: Any) -> tuple[str, ...]:
    if type(value) is not list:
        raise _InvalidValue("must be a list of strings")
    if len(value) > MAX_ITEMS:
        raise _InvalidValue(f"must have at most {MAX_ITEMS} entries")
    for name in value:
        if type(name) is not str or not name:
            raise _InvalidValue("must be a list of strings that are not empty")
        if len(name) > MAX_NAME:
            raise _InvalidValue(f"must have entries of at most {MAX_NAME} characters")
    return tuple(dict.fromkeys(value))


def _models(value: Any) -> tuple[str, ...]:
    names = _names(value)
    if sum(map(is_glob, names)) > MAX_GLOBS:
        raise _InvalidValue(f"must have at most {MAX_GLOBS} entries with *")
    return names


def _actions(value: Any) -> tuple[str, ...]:
    names = _names(value)
    for name in names:
        if not is_action_pattern(name):
            raise _InvalidValue(
                f"{name!r} is no action pattern: it must be domain:scope:verb in lower case, in "
                "which * stands for one whole segment, as in cloud:iam:*"
            )
    return names


def _schedule(value: Any) -> Schedule | None:
    if value in ({}, ""):
        return None
    try:
        return read_schedule(value)
    except InvalidSchedule as error:
        raise _InvalidValue(str(error)) from None


def _expression(value: Any) -> Expression | None:
    if type(value) is not str:
        raise _InvalidValue("must be a string")
    return compile_expression(value) if value else None


def _approvers(value: Any) -> tuple[str, ...]:
    names = _names(value)
    if not 0 < len(names) <= approvals.MAX_APPROVERS:
        raise _InvalidValue(f"must have 1 to {approvals.MAX_APPROVERS} groups or roles")
    for name in names:
        problem = approvals.find_approver_problem(name)
        if problem:
            raise _InvalidValue(problem)
    return names


def _expiry(value: Any) -> int:
    longest = approvals.MAX_EXPIRY_S
    if type(value) not in {int, float} or not 1 <= value <= longest or value != int(value):
        raise _InvalidValue(f"must be a whole number of seconds from 1 to {longest}")
    return int(value)


def _some_of(*allowed: str) -> Parse:
    def parse(value: Any) -> tuple[str, ...]:
        if type(value) is not list or any(name not in allowed for name in value):
            raise _InvalidValue(f"must be a list of {', '.join(allowed)}")
        return tuple(dict.fromkeys(value))

    return parse


def _number(value: Any) -> float:
    if type(value) not in {int, float} or not isfinite(value):
        raise _InvalidValue("must be a number")
    return float(value)


def _fraction(value: Any) -> float:
    number = _number(value)
    if not 0 <= number <= 1:
        raise _InvalidValue("must be from 0 to 1")
    return number


def _pattern(value: Any) -> str:
    if type(value) is not str:
        raise _InvalidValue("must be a string")
    if value:
        CompiledPattern(value)
    return value


_CONDITIONS: Final[Mapping[str, Parse]] = {
    "user_groups": _names,
    "not_user_groups": _names,
    "entity_types": _names,
    "entity_confidence_min": _fraction,
    "content_regex": _pattern,
    "providers": _names,
    "not_providers": _names,
    "models": _models,
    "not_models": _models,
    "user_risk_score_min": _number,
    "intent_complexity": _one_of(*COMPLEXITIES),
    "channel": _some_of(*CHANNELS),
    "tools": _names,
    "actions": _actions,
    "agent_ids": _names,
    "schedule": _schedule,
    "expression": _expression,
}
CONDITION_NAMES: Final = tuple(_CONDITIONS)
"""The conditions that a rule may have."""

_message: Final = _text(MAX_MESSAGE)


class _ActionSchema(NamedTuple):
    """The fields of one type of action.

    Attributes:
        fields: for each field, the attribute of `Action` that takes its value, and its parser.
        required: the field that must not be blank; empty if there is none.
    """

    fields: Mapping[str, tuple[str, Parse]]
    required: str = ""


_ACTIONS: Final[Mapping[str, _ActionSchema]] = {
    packs.ALLOW: _ActionSchema({}),
    packs.BLOCK: _ActionSchema({"message": ("message", _message)}),
    packs.CANCEL: _ActionSchema({"message": ("message", _message)}),
    packs.REDACT: _ActionSchema({"redact_replacement": ("replacement", _text(MAX_REPLACEMENT))}),
    packs.ROUTE_TO: _ActionSchema(
        {
            "route_to_model": ("model", _text(MAX_NAME)),
            "route_to_tier": ("tier", _one_of(*TIERS)),
        }
    ),
    packs.PROMPT: _ActionSchema({"prompt_message": ("message", _message)}, "prompt_message"),
    packs.ALLOW_WITH_OVERRIDE: _ActionSchema(
        {"override_message": ("message", _message)}, "override_message"
    ),
    packs.ESCALATE: _ActionSchema(
        {
            "message": ("message", _message),
            "approvers": ("approvers", _approvers),
            "expires_s": ("expires_s", _expiry),
        }
    ),
}


def read_rule(
    conditions: Mapping[str, Any], action: Mapping[str, Any], prefix: str = ""
) -> tuple[Conditions, Action]:
    """Parses and validates the documents of a rule.

    Args:
        conditions: the document of the conditions, as it was sent.
        action: the document of the action, as it was sent.
        prefix: a prefix for the field paths in errors, if the rule is part of another message.

    Raises:
        InvalidPattern: `content_regex` is not valid RE2. The error lists all other faults too.
        InvalidCondition: `expression` does not compile. The error lists all other faults too.
        InvalidArgument: a field is unknown or its value is invalid. The error lists all faults.
    """
    faults: list[Violation] = []
    parsed_conditions = _read_conditions(conditions, f"{prefix}conditions", faults)
    bad_pattern = any(fault.field.endswith(".content_regex") for fault in faults)
    parsed_action = _read_action(action, f"{prefix}action", faults)
    if faults:
        bad_expression = any(fault.field.endswith(".expression") for fault in faults)
        other = InvalidCondition if bad_expression else InvalidArgument
        error = InvalidPattern if bad_pattern else other
        raise error.of(*faults)
    return parsed_conditions, parsed_action


def known_rule(
    conditions: Mapping[str, Any], action: Mapping[str, Any]
) -> tuple[Conditions, Action]:
    """Parses documents that `read_rule` has accepted before, without validating them again."""
    values: dict[str, Any] = {
        name: tuple(dict.fromkeys(value)) if type(value) is list else value
        for name, value in conditions.items()
        if value is not None
    }
    if "expression" in values:
        source = values["expression"]
        values["expression"] = known_expression(source) if source else None
    if "schedule" in values:
        values["schedule"] = _schedule(values["schedule"])
    fields = _ACTIONS[action["type"]].fields
    parts: dict[str, Any] = {
        fields[name][0]: tuple(dict.fromkeys(value)) if type(value) is list else value
        for name, value in action.items()
        if name != "type" and value is not None
    }
    return Conditions(**values), Action(action["type"], **parts)


def _read_conditions(document: Mapping[str, Any], path: str, faults: list[Violation]) -> Conditions:
    values: dict[str, Any] = {}
    for name, value in document.items():
        parse = _CONDITIONS.get(name)
        if parse is None:
            reason = _unknown_field(name, _CONDITIONS)
            faults.append(Violation(f"{path}.{_shortened(name)}", reason))
        elif value is not None:
            values[name] = _parsed(parse, value, f"{path}.{name}", faults)
    return Conditions(**values)


def _read_action(document: Mapping[str, Any], path: str, faults: list[Violation]) -> Action:
    action_type = document.get("type")
    if type(action_type) is not str or action_type not in _ACTIONS:
        missing = action_type is None
        reason = "is required" if missing else f"must be one of {', '.join(_ACTIONS)}"
        faults.append(Violation(f"{path}.type", reason))
        return Action("")
    schema = _ACTIONS[action_type]
    values: dict[str, Any] = {}
    for name, value in document.items():
        if name == "type":
            continue
        field = schema.fields.get(name)
        if field is None:
            reason = _field_of_other_action(name, action_type, schema)
            faults.append(Violation(f"{path}.{_shortened(name)}", reason))
        elif value is not None:
            attribute, parse = field
            values[attribute] = _parsed(parse, value, f"{path}.{name}", faults)
    if schema.required and not str(document.get(schema.required) or "").strip():
        faults.append(Violation(f"{path}.{schema.required}", f"is required for {action_type}"))
    is_route = action_type == packs.ROUTE_TO
    if is_route and bool(values.get("model")) == bool(values.get("tier")):
        reason = "exactly one of route_to_model and route_to_tier is required for ROUTE_TO"
        faults.append(Violation(f"{path}.route_to_model", reason))
    return Action(action_type, **values)


def _parsed(parse: Parse, value: Any, path: str, faults: list[Violation]) -> Any:
    try:
        return parse(value)
    except _InvalidValue as error:
        faults.append(Violation(path, str(error)))
    except InvalidCondition as error:
        faults += (Violation(path, each.reason) for each in error.violations)
    except InvalidPattern as error:
        faults.append(Violation(path, error.violations[0].reason))
    return None


def _unknown_field(name: str, fields: Mapping[str, Any]) -> str:
    close = get_close_matches(name[:_MAX_SHOWN], fields, n=1)
    return f"unknown field; did you mean {close[0]}?" if close else "unknown field"


def _field_of_other_action(name: str, action_type: str, schema: _ActionSchema) -> str:
    if any(name in other.fields for other in _ACTIONS.values()):
        allowed = " and ".join(schema.fields) or "no fields"
        return f"is not a field of {action_type}, which has {allowed}"
    return _unknown_field(name, schema.fields)


def _shortened(name: str) -> str:
    return name if len(name) <= _MAX_SHOWN else f"{name[:_MAX_SHOWN]}..."
