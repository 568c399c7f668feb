"""Generates `schema.json`, with which editors check and complete policy files.

The fields of entries come from the contracts. `python -m pdp.policy_files.schema` writes the file.
A test fails if the file is out of date.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pdp.jsonpb.fields import (
    STRUCT,
    TIMESTAMP,
    bare_list,
    enum_names,
    is_map,
    json_fields,
    map_value,
)
from pdp.policy_files.shape import FORMAT, SECTIONS

if TYPE_CHECKING:
    from google.protobuf.descriptor import FieldDescriptor

FILE: Final = Path(__file__).with_name("schema.json")

_SCALARS: Final = {1: "number", 3: "integer", 5: "integer", 8: "boolean", 9: "string"}
_TEXT: Final = {"type": "string", "minLength": 1}
_PACK: Final = {
    "anyOf": [
        _TEXT,
        {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "pack": {**_TEXT, "description": "The name of a pack."},
                "id": {**_TEXT, "description": "The same as pack."},
                "sequence": {"type": "integer"},
            },
        },
    ]
}


def schema() -> dict[str, Any]:
    """Returns the JSON schema of a policy file."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Policies of a tenant",
        "description": "See docs/policy-files.md.",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "format": {"const": FORMAT},
            "tenant": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,128}$"},
            "policies": policies_schema(),
        },
        "required": ["policies"],
    }


def policies_schema() -> dict[str, Any]:
    """Returns the JSON schema of the policies by section."""
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {key: section_schema(key) for key in SECTIONS},
    }


def section_schema(key: str) -> dict[str, Any]:
    """Returns the JSON schema of a section."""
    section = SECTIONS[key]
    names = {field: alias for alias, field in section.aliases.items()}
    properties: dict[str, Any] = {name: {"type": kind} for name, kind in section.extras.items()}
    for field in json_fields(section.descriptor):
        if field.name not in section.omitted:
            properties[names.get(field.name, field.name)] = _field(field)
    if key in {"chain", "user_chains"}:
        properties["packs"] = {"type": "array", "items": _PACK}
    entry: dict[str, Any] = {
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
    }
    if section.name and section.name in properties:
        entry["required"] = [section.name]
    many: dict[str, Any] = {"type": "array", "items": entry}
    if section.single:
        many = {"anyOf": [entry, many]}
    return {"description": section.description, **many}


def _field(field: FieldDescriptor) -> dict[str, Any]:
    if is_map(field):
        return {"type": "object", "additionalProperties": _value(map_value(field))}
    field = bare_list(field) or field
    value = _value(field)
    return {"type": "array", "items": value} if field.is_repeated else value


def _value(field: FieldDescriptor) -> dict[str, Any]:
    if field.enum_type is not None:
        return {"enum": [name for number, name in enum_names(field.enum_type).items() if number]}
    if field.message_type is None:
        return {"type": _SCALARS[field.type]}
    name = field.message_type.full_name
    if name == STRUCT:
        return {"type": "object"}
    if name == TIMESTAMP:
        return {"type": "string", "format": "date-time"}
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {each.name: _field(each) for each in json_fields(field.message_type)},
    }


def render() -> str:
    """Returns the text of `schema.json`."""
    return json.dumps(schema(), indent=2) + "\n"


if __name__ == "__main__":
    FILE.write_text(render(), encoding="utf-8")
