"""The names that conditions may use, and where in a request each is found (decide.md)."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pdp.engine.conditions.kinds import ValueType

if TYPE_CHECKING:
    from pdp.domain.request import Request


class Field(NamedTuple):
    """A field of the request, by the attributes that lead to it.

    A text that is empty was not given, so it is missing; a list that is empty is an empty list,
    which the wire does not tell from one that was not given.
    """

    attributes: tuple[str, ...]
    kind: ValueType


class Member(NamedTuple):
    """A member of one of the request's documents, by the names that lead to it."""

    attributes: tuple[str, ...]
    keys: tuple[str, ...]


class ActionPart(NamedTuple):
    """A part of the action, by its number."""

    number: int


Source = Field | Member | ActionPart


class UnknownName(Exception):
    """A name that can never be in a request; the message says which there are."""


TIMESTAMP: Final = "timestamp"
"""The only name whose value is a time."""

_RISK: Final = Field(("subject", "risk_score"), ValueType.NUMBER)
_CONTEXT: Final = ("context",)
_ATTRIBUTES: Final = ("subject", "attributes")

FIELDS: Final[Mapping[str, Source]] = {
    "action": Field(("action",), ValueType.TEXT),
    "action.domain": ActionPart(0),
    "action.scope": ActionPart(1),
    "action.verb": ActionPart(2),
    "tool": Field(("tool",), ValueType.TEXT),
    TIMESTAMP: Field(("timestamp",), ValueType.TIME),
    "direction": Field(("direction",), ValueType.TEXT),
    "channel": Field(("channel",), ValueType.TEXT),
    "risk_score": _RISK,
    "arguments": Field(("arguments",), ValueType.OBJECT),
    "subject.user_id": Field(("subject", "user_id"), ValueType.TEXT),
    "subject.agent_id": Field(("subject", "agent_id"), ValueType.TEXT),
    "subject.groups": Field(("subject", "groups"), ValueType.LIST),
    "subject.risk_score": _RISK,
    "subject.attributes": Field(_ATTRIBUTES, ValueType.OBJECT),
    "model.provider": Field(("provider",), ValueType.TEXT),
    "model.model": Field(("model",), ValueType.TEXT),
    "target.resource_type": Field(("target", "resource_type"), ValueType.TEXT),
    "target.resource_id": Field(("target", "resource_id"), ValueType.TEXT),
    "target.sensitivity_level": Field(("target", "sensitivity_level"), ValueType.NUMBER),
    "target.classifications": Field(("target", "classifications"), ValueType.LIST),
    "target.fields": Field(("target", "fields"), ValueType.LIST),
}
"""The names that stand for one thing each; all others are members of documents."""

_ROOTS: Final = frozenset(path.partition(".")[0] for path in FIELDS)


def resolve(path: str) -> Source:
    """Returns where the name `path` is found.

    Raises:
        UnknownName: it lies in a part of the request that has no such field.
    """
    field = FIELDS.get(path)
    if field is not None:
        return field
    root, *inner = path.split(".")
    match root, inner:
        case (("arguments" | "context"), [_, *_]):
            return Member((root,), tuple(inner))
        case "subject", ["attributes", _, *_]:
            return Member(_ATTRIBUTES, tuple(inner[1:]))
        case "subject", [name, *_] if f"subject.{name}" not in FIELDS:
            return Member(_ATTRIBUTES, tuple(inner))
        case "context", []:
            raise UnknownName("context is no value itself: name one of its keys")
        case _ if root in _ROOTS:
            raise UnknownName(_no_such_field(path, root))
        case _:
            return Member(_CONTEXT, (root, *inner))


def kind_of_source(source: Source) -> ValueType:
    """Returns what kind of value is found there, if any is."""
    match source:
        case Field(_, kind):
            return kind
        case ActionPart():
            return ValueType.TEXT
        case _:
            return ValueType.ANY


def find(source: Source, request: Request) -> Any:
    """Returns what is found there in `request`; None where nothing is.

    What conditions are compiled to does the same in less time.
    """
    if isinstance(source, ActionPart):
        return action_part(request.action, source.number)
    value: Any = request
    for attribute in source.attributes:
        value = getattr(value, attribute)
    if isinstance(source, Member):
        return member(value, source.keys)
    return None if value == "" else value


def member(document: Any, keys: tuple[str, ...]) -> Any:
    """Returns the member of a document that `keys` lead to; None where there is none."""
    for key in keys:
        if type(document) is not dict and not isinstance(document, Mapping):
            return None
        document = document.get(key)
    return document


def absence(source: Source, request: Request) -> str:
    """Returns how it is that `find` finds nothing: "missing", or "null" where that was sent."""
    if isinstance(source, Member):
        *parents, last = source.keys
        holder = member(find(Field(source.attributes, ValueType.OBJECT), request), tuple(parents))
        if isinstance(holder, Mapping) and last in holder:
            return "null"
    return "missing"


def action_part(action: str, number: int) -> str | None:
    """Returns one part of `domain:scope:verb`; None where there is no such action."""
    parts = action.split(":", 2)
    return (parts[number] or None) if len(parts) == 3 else None  # noqa: PLR2004 - as just said


def _no_such_field(path: str, root: str) -> str:
    own = [name for name in FIELDS if name.startswith(f"{root}.")]
    if path == root:
        return f"{root} is no value itself: name one of {', '.join(own)}"
    within = next((name for name in FIELDS if path.startswith(f"{name}.") and name != root), root)
    if within != root or not own:
        return f"{within} has no fields of its own"
    parts = {name.removeprefix(f"{root}."): name for name in own}
    close = get_close_matches(path.removeprefix(f"{root}."), parts, n=1)
    hint = f"did you mean {parts[close[0]]}?" if close else f"there are {', '.join(own)}"
    return f"a request has no {path}; {hint}"
