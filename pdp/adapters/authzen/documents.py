"""The documents of AuthZEN requests: subjects, actions, resources, and their defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pdp.errors import MalformedRequest, Violation
from pdp.strictjson.objects import read_object
from pdp.strictjson.problems import InvalidValue, Problems, type_mismatch

if TYPE_CHECKING:
    from collections.abc import Iterable

JsonObject = Mapping[str, Any]

MAX_NAME: Final = 256
"""Characters of a type, an id or the name of an action, as in DecideRequest."""

ENTITIES: Final = ("subject", "action", "resource")
"""What an evaluation must have."""

_REQUIRED: Final[Mapping[str, tuple[str, ...]]] = {
    "subject": ("type", "id"),
    "action": ("name",),
    "resource": ("type", "id"),
}
"""The texts that each entity must have."""


class AuthZenEntity(NamedTuple):
    """A subject or a resource. `id` is empty for what a search looks for."""

    type: str
    id: str
    properties: JsonObject


class AuthZenAction(NamedTuple):
    """What the subject does with the resource."""

    name: str
    properties: JsonObject


class Evaluation(NamedTuple):
    """One question: may the subject do this with the resource?"""

    subject: AuthZenEntity
    action: AuthZenAction
    resource: AuthZenEntity
    context: JsonObject


def read_document(body: bytes | bytearray) -> JsonObject:
    """Returns the JSON object in a body.

    Raises:
        MalformedRequest: the body is no JSON object, or is not valid UTF-8.
    """
    if not body:
        raise _malformed("is empty; send a JSON object")
    try:
        return read_object(body.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise _malformed(f"byte {error.start} is not UTF-8") from None
    except InvalidValue as error:
        raise _malformed(str(error)) from None


def _malformed(reason: str) -> MalformedRequest:
    return MalformedRequest(f"the body cannot be read: {reason}", Violation("body", reason))


def read_evaluation(
    document: JsonObject, omitted: Iterable[str] = (), searched: str = ""
) -> Evaluation:
    """Returns the question in a document. Unknown members are ignored.

    Args:
        document: the document, with its defaults applied.
        omitted: entities that the document need not have. Those that it has are ignored.
        searched: the entity that a search looks for: its id is ignored, and is empty in the answer.

    Raises:
        InvalidArgument: a member is missing or has a wrong type; it names all of them.
    """
    problems = Problems()
    unneeded = set(omitted)
    read: dict[str, JsonObject] = {}
    for entity in ENTITIES:
        if entity not in unneeded:
            required = [name for name in _REQUIRED[entity] if entity != searched or name != "id"]
            read[entity] = _entity(document, entity, required, problems)
    context = _object(document, "context", "context", problems)
    problems.raise_if_any()
    subject, action, resource = (read.get(entity, {}) for entity in ENTITIES)
    return Evaluation(
        AuthZenEntity(subject["type"], subject.get("id", ""), subject["properties"]),
        AuthZenAction(action.get("name", ""), action.get("properties", {})),
        AuthZenEntity(resource["type"], resource.get("id", ""), resource["properties"]),
        context,
    )


def _entity(
    document: JsonObject, name: str, required: Iterable[str], problems: Problems
) -> JsonObject:
    """Returns the members of an entity that are used; adds what is wrong with them."""
    value = document.get(name)
    if name not in document:
        problems.add(name, "is required")
        return {}
    if not isinstance(value, dict):
        problems.add(name, type_mismatch("an object", value))
        return {}
    members: dict[str, Any] = {}
    for member in required:
        text = value.get(member)
        path = f"{name}.{member}"
        if member not in value:
            problems.add(path, "is required")
        elif type(text) is not str:
            problems.add(path, type_mismatch("a string", text))
        elif not 0 < len(text) <= MAX_NAME:
            problems.add(path, f"must have 1 to {MAX_NAME} characters, not {len(text)}")
        else:
            members[member] = text
    members["properties"] = _object(value, "properties", f"{name}.properties", problems)
    return members


def _object(document: JsonObject, name: str, path: str, problems: Problems) -> JsonObject:
    """Returns an optional member that is an object."""
    value = document.get(name, {})
    if isinstance(value, dict):
        return value
    problems.add(path, type_mismatch("an object", value))
    return {}


def check_defaults(document: JsonObject) -> None:
    """Checks the defaults of evaluations, which need not be complete.

    Raises:
        InvalidArgument: a default is not an object.
    """
    problems = Problems()
    for name in (*ENTITIES, "context"):
        if name in document and not isinstance(document[name], dict):
            problems.add(name, type_mismatch("an object", document[name]))
    problems.raise_if_any()


def with_defaults(item: JsonObject, defaults: JsonObject) -> JsonObject:
    """Returns an evaluation with the defaults for what it does not have.

    A member of the item replaces the whole default: properties of the two are never mixed. Only
    the type of a subject or resource is taken over if the item does not name it. An id is not: an
    item that has lost its id must not be judged as another resource.
    """
    merged = {name: defaults[name] for name in (*ENTITIES, "context") if name in defaults}
    merged.update(item)
    for name in ("subject", "resource"):
        own, default = item.get(name), defaults.get(name)
        if not (isinstance(own, dict) and isinstance(default, dict)):
            continue
        if "type" not in own and "type" in default:
            merged[name] = {**own, "type": default["type"]}
    return merged
