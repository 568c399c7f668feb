"""The names in conditions, and the part of the request that each refers to (decide.md)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pdp.engine.conditions.facts import NO_FACTS
from pdp.engine.conditions.value_types import ValueType

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pdp.domain.request import Request
    from pdp.engine.conditions.facts import ConditionFacts


class Field(NamedTuple):
    """A field of the request.

    An empty text is missing, because the request has none. An empty list is an empty list, because
    the wire format has no difference between an empty list and a missing one.

    Attributes:
        attributes: the attributes that lead from the request to the value.
        type: the type of the value.
    """

    attributes: tuple[str, ...]
    type: ValueType


class Member(NamedTuple):
    """A member of one of the documents of the request.

    Attributes:
        attributes: the attributes that lead from the request to the document.
        keys: the keys that lead from the document to the value.
    """

    attributes: tuple[str, ...]
    keys: tuple[str, ...]


class ActionPart(NamedTuple):
    """A part of the action, by its position."""

    position: int


class Fact(NamedTuple):
    """A fact that the request does not have itself, by its attribute of `ConditionFacts`."""

    attribute: str
    type: ValueType


Source = Field | Member | ActionPart | Fact


class UnknownName(Exception):
    """A name that no request can have. The message suggests valid names."""


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
    "session.id": Field(("session_id",), ValueType.TEXT),
    "groups": Fact("groups", ValueType.LIST),
    "findings.types": Fact("finding_types", ValueType.LIST),
    "findings.count": Fact("finding_count", ValueType.NUMBER),
    "target.resource_type": Field(("target", "resource_type"), ValueType.TEXT),
    "target.resource_id": Field(("target", "resource_id"), ValueType.TEXT),
    "target.sensitivity_level": Field(("target", "sensitivity_level"), ValueType.NUMBER),
    "target.classifications": Field(("target", "classifications"), ValueType.LIST),
    "target.fields": Field(("target", "fields"), ValueType.LIST),
}
"""The names of fixed parts of a request. All other names are members of documents."""

SHARED_ROOTS: Final = frozenset({"groups", "findings", "session"})
"""Roots of fields that may also be the name of an object in `context`."""

_ROOTS: Final = frozenset(path.partition(".")[0] for path in FIELDS) - SHARED_ROOTS

_is_plain: Final = re.compile(r"[^\W\d]\w*").fullmatch
_find_parts: Final = re.compile(r'\[("(?:[^"\\]|\\.)*")\]|([^.\[]+)').finditer
"""Finds the parts of a path; linear, because each alternative begins with another character."""


def path_of(parts: Iterable[str]) -> str:
    """Returns the path of a name: `a.b`, and `a["x-y"]` if a part is not a plain word."""
    path = ""
    for part in parts:
        if not _is_plain(part):
            path += f"[{json.dumps(part, ensure_ascii=False)}]"
        else:
            path += f".{part}" if path else part
    return path


def parts_of(path: str) -> tuple[str, ...]:
    """Returns the parts of a name, given by `path_of`."""
    if "[" not in path:
        return tuple(path.split("."))
    return tuple(
        json.loads(quoted) if quoted else plain
        for quoted, plain in (match.groups() for match in _find_parts(path))
    )


def resolve(path: str) -> Source:
    """Returns the part of the request that the name `path` refers to.

    Raises:
        UnknownName: that part of the request has no such field.
    """
    field = FIELDS.get(path)
    if field is not None:
        return field
    root, *inner = parts_of(path)
    match root, inner:
        case (("arguments" | "context"), [_, *_]):
            return Member((root,), tuple(inner))
        case "subject", ["attributes", _, *_]:
            return Member(_ATTRIBUTES, tuple(inner[1:]))
        case "subject", [name, *_] if f"subject.{name}" not in FIELDS:
            return Member(_ATTRIBUTES, tuple(inner))
        case "context", []:
            raise UnknownName("context is not a value: name one of its keys")
        case _ if root in _ROOTS:
            raise UnknownName(_no_such_field(path, root))
        case _:
            return Member(_CONTEXT, (root, *inner))


def type_of_source(source: Source) -> ValueType:
    """Returns the type of the value; ANY if it depends on the request."""
    match source:
        case Field(_, value_type):
            return value_type
        case Fact(_, value_type):
            return value_type
        case ActionPart():
            return ValueType.TEXT
        case _:
            return ValueType.ANY


def find(source: Source, request: Request, facts: ConditionFacts) -> Any:
    """Returns the value in `request` or in `facts`; None if there is none.

    Compiled conditions do the same, but faster.
    """
    if isinstance(source, Fact):
        return getattr(facts, source.attribute)
    if isinstance(source, ActionPart):
        return action_part(request.action, source.position)
    value: Any = request
    for attribute in source.attributes:
        value = getattr(value, attribute)
    if isinstance(source, Member):
        return member(value, source.keys)
    return None if value == "" else value


def member(document: Any, keys: tuple[str, ...]) -> Any:
    """Returns the member of a document that `keys` lead to; None if there is none."""
    for key in keys:
        if type(document) is not dict and not isinstance(document, Mapping):
            return None
        document = document.get(key)
    return document


def absence(source: Source, request: Request) -> str:
    """Returns why `find` returned None: "missing", or "null" if the request has a null there."""
    if isinstance(source, Fact):
        return "not known here"
    if isinstance(source, Member):
        *parents, last = source.keys
        document = find(Field(source.attributes, ValueType.OBJECT), request, NO_FACTS)
        parent = member(document, tuple(parents))
        if isinstance(parent, Mapping) and last in parent:
            return "null"
    return "missing"


def action_part(action: str, position: int) -> str | None:
    """Returns one part of `domain:scope:verb`; None if the action does not have this form."""
    parts = action.split(":", 2)
    return (parts[position] or None) if len(parts) == 3 else None  # noqa: PLR2004 - domain:scope:verb


def _no_such_field(path: str, root: str) -> str:
    names = [name for name in FIELDS if name.startswith(f"{root}.")]
    if path == root:
        return f"{root} is not a value: name one of {', '.join(names)}"
    parent = next((name for name in FIELDS if path.startswith(f"{name}.") and name != root), root)
    if parent != root or not names:
        return f"{parent} has no fields"
    parts = {name.removeprefix(f"{root}."): name for name in names}
    close = get_close_matches(path.removeprefix(f"{root}."), parts, n=1)
    hint = f"did you mean {parts[close[0]]}?" if close else f"use one of {', '.join(names)}"
    return f"a request has no {path}; {hint}"
