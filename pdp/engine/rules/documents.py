"""The documents of a policy rule, read: what its conditions ask for, and what its action does.

Seed 002 has the fields. All conditions that are set must hold, any entry of a list will do, and
what is null or empty is not set; without any, every request meets them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from math import isfinite
from typing import Any, Final, NamedTuple

from pdp.domain import policy_pack as packs
from pdp.engine.text.patterns import CompiledPattern
from pdp.errors import InvalidArgument, InvalidPattern, Violation

MAX_ITEMS: Final = 1000
"""Entries of one list."""

MAX_NAME: Final = 256
"""Characters of a group, model, provider or entity type, as in DecideRequest."""

MAX_MESSAGE: Final = 2048
MAX_REPLACEMENT: Final = 256

COMPLEXITIES: Final = ("simple", "medium", "complex")
CHANNELS: Final = ("interactive", "api")
TIERS: Final = ("haiku", "sonnet", "opus")

_MAX_SHOWN: Final = 64


class Conditions(NamedTuple):
    """What a request must meet; what is empty or None is not asked for.

    Attributes:
        user_groups: the subject is in any of them.
        entity_types: a finding is of any of them, ...
        entity_confidence_min: ... at this confidence at least; without types, a finding of any.
        content_regex: found in the text, or in a string of the arguments.
        providers, models: the request is for any of them.
        user_risk_score_min: the subject's risk, at least.
        intent_complexity: the request's, exactly.
        channel: the request's is any of them.
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


class Action(NamedTuple):
    """What is done with a request that meets the conditions.

    Attributes:
        type: one of those in `pdp.domain.policy_pack`.
        message: of BLOCK, CANCEL, PROMPT and ALLOW_WITH_OVERRIDE; may be empty for the first two.
        replacement: of REDACT.
        model, tier: of ROUTE_TO, one of them.
    """

    type: str
    message: str = ""
    replacement: str = packs.DEFAULT_REPLACEMENT
    model: str = ""
    tier: str = ""


class _Refused(ValueError):
    """A value is not what its field takes."""


Read = Callable[[Any], Any]
"""Takes a value that is not null, returns it read; raises `_Refused` or `InvalidPattern`."""


def _text(most: int) -> Read:
    def read(value: Any) -> str:
        if type(value) is not str:
            raise _Refused("must be a string")
        if len(value) > most:
            raise _Refused(f"must be at most {most} characters")
        return value

    return read


def _one_of(*allowed: str) -> Read:
    def read(value: Any) -> str:
        if value != "" and value not in allowed:
            raise _Refused(f"must be one of {', '.join(allowed)}")
        return str(value)

    return read


def _names(value: Any) -> tuple[str, ...]:
    if type(value) is not list:
        raise _Refused("must be a list of strings")
    if len(value) > MAX_ITEMS:
        raise _Refused(f"must have at most {MAX_ITEMS} entries")
    for name in value:
        if type(name) is not str or not name:
            raise _Refused("must be a list of strings that are not empty")
        if len(name) > MAX_NAME:
            raise _Refused(f"must have entries of at most {MAX_NAME} characters")
    return tuple(dict.fromkeys(value))


def _some_of(*allowed: str) -> Read:
    def read(value: Any) -> tuple[str, ...]:
        if type(value) is not list or any(name not in allowed for name in value):
            raise _Refused(f"must be a list of {', '.join(allowed)}")
        return tuple(dict.fromkeys(value))

    return read


def _number(value: Any) -> float:
    if type(value) not in {int, float} or not isfinite(value):
        raise _Refused("must be a number")
    return float(value)


def _share(value: Any) -> float:
    number = _number(value)
    if not 0 <= number <= 1:
        raise _Refused("must be from 0 to 1")
    return number


def _pattern(value: Any) -> str:
    if type(value) is not str:
        raise _Refused("must be a string")
    if value:
        CompiledPattern(value)
    return value


_CONDITIONS: Final[Mapping[str, Read]] = {
    "user_groups": _names,
    "entity_types": _names,
    "entity_confidence_min": _share,
    "content_regex": _pattern,
    "providers": _names,
    "models": _names,
    "user_risk_score_min": _number,
    "intent_complexity": _one_of(*COMPLEXITIES),
    "channel": _some_of(*CHANNELS),
}

_message: Final = _text(MAX_MESSAGE)


class _Form(NamedTuple):
    """The fields of one type of action: where each value goes, and how it is read."""

    fields: Mapping[str, tuple[str, Read]]
    required: str = ""


_ACTIONS: Final[Mapping[str, _Form]] = {
    packs.ALLOW: _Form({}),
    packs.BLOCK: _Form({"message": ("message", _message)}),
    packs.CANCEL: _Form({"message": ("message", _message)}),
    packs.REDACT: _Form({"redact_replacement": ("replacement", _text(MAX_REPLACEMENT))}),
    packs.ROUTE_TO: _Form(
        {
            "route_to_model": ("model", _text(MAX_NAME)),
            "route_to_tier": ("tier", _one_of(*TIERS)),
        }
    ),
    packs.PROMPT: _Form({"prompt_message": ("message", _message)}, "prompt_message"),
    packs.ALLOW_WITH_OVERRIDE: _Form(
        {"override_message": ("message", _message)}, "override_message"
    ),
}


def read_rule(
    conditions: Mapping[str, Any], action: Mapping[str, Any], place: str = ""
) -> tuple[Conditions, Action]:
    """Returns what the documents of a rule say.

    Args:
        conditions: as it was posted.
        action: as it was posted.
        place: put before the fields' paths, for a rule that lies in another message.

    Raises:
        InvalidPattern: `content_regex` is not RE2; all other faults are named too.
        InvalidArgument: a field is unknown, or is not what it takes; all faults are named.
    """
    faults: list[Violation] = []
    found = _read_conditions(conditions, f"{place}conditions", faults)
    bad_pattern = any(fault.field.endswith(".content_regex") for fault in faults)
    read = _read_action(action, f"{place}action", faults)
    if faults:
        kind = InvalidPattern if bad_pattern else InvalidArgument
        raise kind.of(*faults)
    return found, read


def known_rule(
    conditions: Mapping[str, Any], action: Mapping[str, Any]
) -> tuple[Conditions, Action]:
    """Returns what documents say that `read_rule` has accepted before; checks nothing again."""
    found: dict[str, Any] = {
        name: tuple(dict.fromkeys(value)) if type(value) is list else value
        for name, value in conditions.items()
        if value is not None
    }
    fields = _ACTIONS[action["type"]].fields
    return Conditions(**found), Action(
        action["type"],
        **{
            fields[name][0]: value
            for name, value in action.items()
            if name != "type" and value is not None
        },
    )


def _read_conditions(
    document: Mapping[str, Any], place: str, faults: list[Violation]
) -> Conditions:
    found: dict[str, Any] = {}
    for name, value in document.items():
        read = _CONDITIONS.get(name)
        if read is None:
            faults.append(Violation(f"{place}.{_shown(name)}", _unknown(name, _CONDITIONS)))
        elif value is not None:
            found[name] = _checked(read, value, f"{place}.{name}", faults)
    return Conditions(**found)


def _read_action(document: Mapping[str, Any], place: str, faults: list[Violation]) -> Action:
    kind = document.get("type")
    if type(kind) is not str or kind not in _ACTIONS:
        why = "is required" if kind is None else f"must be one of {', '.join(_ACTIONS)}"
        faults.append(Violation(f"{place}.type", why))
        return Action("")
    form = _ACTIONS[kind]
    found: dict[str, Any] = {}
    for name, value in document.items():
        if name == "type":
            continue
        field = form.fields.get(name)
        if field is None:
            faults.append(Violation(f"{place}.{_shown(name)}", _foreign(name, kind, form)))
        elif value is not None:
            to, read = field
            found[to] = _checked(read, value, f"{place}.{name}", faults)
    if form.required and not str(document.get(form.required) or "").strip():
        faults.append(Violation(f"{place}.{form.required}", f"is required for {kind}"))
    if kind == packs.ROUTE_TO and bool(found.get("model")) == bool(found.get("tier")):
        why = "exactly one of route_to_model and route_to_tier is required for ROUTE_TO"
        faults.append(Violation(f"{place}.route_to_model", why))
    return Action(kind, **found)


def _checked(read: Read, value: Any, place: str, faults: list[Violation]) -> Any:
    try:
        return read(value)
    except _Refused as refusal:
        faults.append(Violation(place, str(refusal)))
    except InvalidPattern as error:
        faults.append(Violation(place, error.violations[0].reason))
    return None


def _unknown(name: str, known: Mapping[str, Any]) -> str:
    near = get_close_matches(name[:_MAX_SHOWN], known, n=1)
    return f"unknown field; did you mean {near[0]}?" if near else "unknown field"


def _foreign(name: str, kind: str, form: _Form) -> str:
    if any(name in other.fields for other in _ACTIONS.values()):
        allowed = " and ".join(form.fields) or "no fields"
        return f"is not a field of {kind}, which has {allowed}"
    return _unknown(name, form.fields)


def _shown(name: str) -> str:
    return name if len(name) <= _MAX_SHOWN else f"{name[:_MAX_SHOWN]}..."
