"""Compares a document with the JSON schema of mapping files.

It knows only the keywords that the schema uses, and says what to write in place of a fault.
"""

from __future__ import annotations

import json
import re
from difflib import get_close_matches
from importlib import resources
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pdp.strictjson.problems import excerpt

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MAX_FAULTS: Final = 50

SCHEMA: Final[Mapping[str, Any]] = json.loads(
    (resources.files(__package__) / "schema.json").read_text(encoding="utf-8")
)

_TYPES: Final[Mapping[str, type | tuple[type, ...]]] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
}
_WORDS: Final = {
    "object": "a mapping",
    "array": "a list",
    "string": "a text",
    "boolean": "true or false",
    "integer": "a whole number",
}


class MappingFault(NamedTuple):
    """A fault of a mapping file.

    Attributes:
        path: of the value at fault, such as `routes[0].match.path`.
        problem: what is wrong, and what to write.
    """

    path: str
    problem: str


def faults_of(document: Any) -> list[MappingFault]:
    """Returns the faults of a document: at most `MAX_FAULTS` of them."""
    faults: list[MappingFault] = []
    for fault in _faults(document, SCHEMA, ""):
        faults.append(fault)
        if len(faults) == MAX_FAULTS:
            break
    return faults


def _resolved(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    reference: str = schema.get("$ref", "")
    if not reference:
        return schema
    target: Mapping[str, Any] = SCHEMA["$defs"][reference.removeprefix("#/$defs/")]
    return target


def _faults(value: Any, schema: Mapping[str, Any], path: str) -> Iterator[MappingFault]:
    schema = _resolved(schema)
    for alternative in map(_resolved, schema.get("anyOf", ())):
        if _has_type(value, alternative["type"]):
            yield from _faults(value, alternative, path)
            return
    if "anyOf" in schema:
        words = " or ".join(_WORDS[_resolved(each)["type"]] for each in schema["anyOf"])
        yield MappingFault(path, f"must be {words}")
        return
    if "type" in schema and not _has_type(value, schema["type"]):
        yield MappingFault(path, f"must be {_WORDS[schema['type']]}")
        return
    if "const" in schema and (type(value), value) != (type(schema["const"]), schema["const"]):
        yield MappingFault(path, f"must be {json.dumps(schema['const'])}")
    if "enum" in schema and value not in schema["enum"]:
        yield MappingFault(path, f"must be {_or(schema['enum'])}{_similar(value, schema['enum'])}")
        return
    if isinstance(value, dict):
        yield from _mapping_faults(value, schema, path)
    elif isinstance(value, list):
        yield from _list_faults(value, schema, path)
    elif isinstance(value, str):
        yield from _text_faults(value, schema, path)
    elif "minimum" in schema and not schema["minimum"] <= value <= schema["maximum"]:
        yield MappingFault(path, f"must be from {schema['minimum']} to {schema['maximum']}")


def _has_type(value: Any, name: str) -> bool:
    return isinstance(value, _TYPES[name]) and (name == "boolean" or type(value) is not bool)


def _mapping_faults(
    value: dict[str, Any], schema: Mapping[str, Any], path: str
) -> Iterator[MappingFault]:
    known, others = schema.get("properties", {}), schema.get("additionalProperties", {})
    if len(value) > schema.get("maxProperties", len(value)):
        yield MappingFault(path, f"must have at most {schema['maxProperties']} entries")
        return
    if len(value) < schema.get("minProperties", 0):
        yield MappingFault(path, "must not be empty")
    for key in schema.get("required", ()):
        if key not in value:
            yield MappingFault(path, f'has no "{key}"; write it')
    for key, member in value.items():
        place = f"{path}.{key}" if path else key
        if key in known:
            yield from _faults(member, known[key], place)
        elif others is False:
            advice = _similar(key, known) or f"; it can be {_or(list(known))}"
            yield MappingFault(place, f"is unknown{advice}")
        else:
            if "propertyNames" in schema:
                yield from _faults(key, schema["propertyNames"], place)
            yield from _faults(member, others, place)


def _list_faults(value: list[Any], schema: Mapping[str, Any], path: str) -> Iterator[MappingFault]:
    if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
        least, most = schema.get("minItems", 0), schema["maxItems"]
        yield MappingFault(path, f"must have {least} to {most} items")
        return
    for index, item in enumerate(value):
        yield from _faults(item, schema.get("items", {}), f"{path}[{index}]")


def _text_faults(value: str, schema: Mapping[str, Any], path: str) -> Iterator[MappingFault]:
    longest = schema.get("maxLength", len(value))
    if not schema.get("minLength", 0) <= len(value) <= longest:
        least = schema.get("minLength", 0)
        yield MappingFault(path, f"must have {least} to {longest} characters")
    elif "pattern" in schema and not re.fullmatch(schema["pattern"][1:-1], value, re.DOTALL):
        yield MappingFault(path, f'is "{excerpt(value)}"; it must match {schema["pattern"]}')


def _or(choices: list[Any]) -> str:
    *others, last = map(str, choices)
    return f"{', '.join(others)} or {last}" if others else last


def _similar(value: Any, choices: Any) -> str:
    close = get_close_matches(value, list(choices), 1) if isinstance(value, str) else []
    return f"; did you mean {close[0]}?" if close else ""
