"""Generates `schema.json`, with which editors check and complete cases.

Requests, policies and expectations come from the contracts' descriptors. `python -m
pdp.cases.schema` writes the file. A test fails if the file is out of date.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pdp.cases.comparison import OTHERS
from pdp.cases.sections import SECTIONS
from pdp.client.base import rpc
from pdp.jsonpb.fields import bare_list, json_fields
from pdp.policy_files.schema import policies_schema
from pdp.policy_files.shape import FORMAT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.descriptor import FieldDescriptor

FILE: Final = Path(__file__).with_name("schema.json")

_TEXT: Final = {"type": "string", "minLength": 1}
_ANYTHING: Final[Mapping[str, dict[str, Any]]] = {
    "google.protobuf.Struct": {"type": ["object", "null"]},
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
}
_BY_POLICY: Final = frozenset({"pdp.v1.Match", "pdp.v1.PolicyWarning"})
_SCALARS: Final = {
    "string": "string",
    "bool": "boolean",
    "double": "number",
    "int32": "integer",
    "int64": "integer",
}
_TYPE_NAMES: Final = {1: "double", 3: "int64", 5: "int32", 8: "bool", 9: "string"}


def schema() -> dict[str, Any]:
    """Returns the JSON schema of a suite."""
    case = _object(
        {
            "name": {**_TEXT, "description": "Unique within the suite."},
            "why": {**_TEXT, "description": "What the case shows, in one line."},
            "tenant": {
                **_TEXT,
                "description": "Another tenant for the request, without the suite's policies.",
            },
            "before": {
                "type": "array",
                "items": _message(rpc("Decide").request.DESCRIPTOR),
                "description": "Requests that are decided first; their outcome is ignored.",
            },
            "request": {"type": "object"},
            "expect": _message(rpc("Decide").response.DESCRIPTOR),
            "error": _object({"code": _TEXT, "field": _TEXT}, "code"),
        },
    )
    # A request that must be refused may have any fault.
    request = _message(rpc("Decide").request.DESCRIPTOR)
    case["oneOf"] = [
        {"required": ["expect"], "properties": {"request": request}},
        {"required": ["error"]},
    ]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Decision cases",
        "description": "Requests and their expected decisions. Run with `pdp test`.",
        **_object(
            {
                "format": {"const": FORMAT},
                "suite": _TEXT,
                "description": {"type": "string"},
                "policies_file": {
                    "anyOf": [_TEXT, {"type": "array", "items": _TEXT}],
                    "description": "Policy files for the cases, or directories of them.",
                },
                "tenant": _TEXT,
                "policies": _policies(),
                "cases": {"type": "array", "minItems": 1, "items": case},
            },
            "cases",
        ),
    }


def _section(key: str) -> dict[str, Any]:
    section = SECTIONS[key]
    entry = _message(rpc(section.create).request.DESCRIPTOR)
    for alias, name in section.aliases.items():
        entry["properties"][alias] = entry["properties"].pop(name)
    return {"type": "array", "items": entry}


def _policies() -> dict[str, Any]:
    policies = policies_schema()
    own = {key: _section(key) for key in SECTIONS}
    return {**policies, "properties": {**own, **policies["properties"]}}


def _object(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    schema: dict[str, Any] = {
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
    }
    return {**schema, "required": list(required)} if required else schema


def _message(descriptor: Any) -> dict[str, Any]:
    return _object({field.name: _field(field) for field in json_fields(descriptor)})


def _field(field: FieldDescriptor) -> dict[str, Any]:
    field = bare_list(field) or field
    value = _value(field)
    if not field.is_repeated:
        return value
    return {"type": ["array", "null"], "items": {"anyOf": [{"const": OTHERS}, value]}}


def _value(field: FieldDescriptor) -> dict[str, Any]:
    if field.enum_type is not None:
        prefix = field.enum_type.values[0].name.removesuffix("UNSPECIFIED")
        return {"enum": [value.name.removeprefix(prefix) for value in field.enum_type.values[1:]]}
    if field.message_type is None:
        kind = _SCALARS[_TYPE_NAMES[field.type]]
        # Null means that the value does not exist, which is possible only for these fields.
        return {"type": [kind, "null"] if field.has_presence else kind}
    name = field.message_type.full_name
    if name in _ANYTHING:
        anything = dict(_ANYTHING[name])
        # A case may expect that a document does not exist, as for a scalar.
        return {"anyOf": [anything, {"type": "null"}]} if anything else anything
    message = _message(field.message_type)
    return {"anyOf": [_TEXT, message]} if name in _BY_POLICY else message


def render() -> str:
    """Returns the text of `schema.json`."""
    return json.dumps(schema(), indent=2) + "\n"


if __name__ == "__main__":
    FILE.write_text(render(), encoding="utf-8")
