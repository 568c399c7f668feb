"""Translates the bounds in the contracts (protovalidate rules) to JSON Schema."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from pdp.messages.contracts import field_rules

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from google.protobuf.descriptor import FieldDescriptor

JsonSchema = dict[str, Any]

_IGNORE_IF_ZERO_VALUE, _IGNORE_ALWAYS = 1, 3  # the numbers of buf.validate.Ignore
_BLANK: Final = r"\t\n\f\r "  # the characters of \s in RE2


class UnsupportedRule(TypeError):
    """A rule that has no translation. Without it, the document would accept invalid values."""


def bounds(rules: Any, name: str) -> JsonSchema:
    """Returns the keywords that `rules` add to the schema of a value.

    Args:
        rules: the `buf.validate.FieldRules` of a field, or of the items of a repeated field.
        name: the name of the field, for the error.

    Raises:
        UnsupportedRule: a rule has no translation.
    """
    kind = rules.WhichOneof("type")
    schema: JsonSchema = {}
    if kind is not None and rules.ignore != _IGNORE_ALWAYS:
        for rule, value in getattr(rules, kind).ListFields():
            translate = _TRANSLATIONS.get(f"{_family(kind)}.{rule.name}")
            if translate is None:
                raise UnsupportedRule(f"{name}: no JSON Schema for {kind}.{rule.name}")
            schema.update(translate(value))
    if rules.required:
        if kind == "string" and "enum" not in schema:
            schema["minLength"] = max(1, schema.get("minLength", 0))
        elif kind == "repeated":
            schema["minItems"] = max(1, schema.get("minItems", 0))
    return schema


def is_required(field: FieldDescriptor, schema: JsonSchema) -> bool:
    """Whether a request without the field is refused. An absent field has its zero value."""
    rules = field_rules(field)
    if rules.required:
        return True
    if field.has_presence or rules.ignore == _IGNORE_ALWAYS or ignores_zero(field):
        return False
    if field.is_repeated:
        return bool(schema.get("minItems"))
    return not _accepts_zero(schema)


def ignores_zero(field: FieldDescriptor) -> bool:
    """Whether the rules of a field do not apply to an empty or zero value."""
    return bool(field_rules(field).ignore == _IGNORE_IF_ZERO_VALUE)


def allow_zero(schema: JsonSchema) -> JsonSchema:
    """Returns a schema that also accepts the zero value."""
    if _accepts_zero(schema):
        return schema
    if schema["type"] == "string" and "enum" not in schema and "minLength" not in schema:
        return {**schema, "pattern": f"^$|{schema['pattern']}"}
    return {"anyOf": [schema, {"const": "" if schema["type"] == "string" else 0}]}


def _accepts_zero(schema: JsonSchema) -> bool:
    match schema.get("type"):
        case "string":
            return (
                not schema.get("minLength")
                and "" in schema.get("enum", [""])
                and re.search(schema.get("pattern", ""), "") is not None
            )
        case "integer" | "number":
            above = schema.get("minimum", 0) <= 0 and schema.get("exclusiveMinimum", -1) < 0
            below = schema.get("maximum", 0) >= 0 and schema.get("exclusiveMaximum", 1) > 0
            return above and below and 0 in schema.get("enum", [0])
        case _:
            return True


def _family(kind: str) -> str:
    return kind if kind in {"string", "repeated", "map", "bool", "enum"} else "number"


def _pattern(pattern: str) -> JsonSchema:
    r"""Returns an RE2 pattern as ECMAScript, where `\s` matches more characters."""
    if "(?" in pattern:
        raise UnsupportedRule(f"no ECMAScript for {pattern}")
    if re.search(r"\[[^]]*\\[sS]", pattern):
        raise UnsupportedRule(f"no ECMAScript for a class within a class: {pattern}")
    return {"pattern": pattern.replace(r"\S", f"[^{_BLANK}]").replace(r"\s", f"[{_BLANK}]")}


def _items(rules: Any) -> JsonSchema:
    schema = bounds(rules, "items")
    return {"items": schema} if schema else {}


_TRANSLATIONS: Final[Mapping[str, Callable[[Any], JsonSchema]]] = {
    "string.min_len": lambda count: {"minLength": count},
    "string.max_len": lambda count: {"maxLength": count},
    # A character has at least one byte, so this is weaker than the server, never stricter.
    "string.max_bytes": lambda count: {"maxLength": count},
    "string.pattern": _pattern,
    "string.in": lambda words: {"enum": list(words)},
    "number.gt": lambda bound: {"exclusiveMinimum": bound},
    "number.gte": lambda bound: {"minimum": bound},
    "number.lt": lambda bound: {"exclusiveMaximum": bound},
    "number.lte": lambda bound: {"maximum": bound},
    "number.in": lambda numbers: {"enum": list(numbers)},
    "number.finite": lambda _: {},  # JSON has only finite numbers
    "repeated.min_items": lambda count: {"minItems": count},
    "repeated.max_items": lambda count: {"maxItems": count},
    "repeated.unique": lambda unique: {"uniqueItems": unique},
    "repeated.items": _items,
    "map.min_pairs": lambda count: {"minProperties": count},
    "map.max_pairs": lambda count: {"maxProperties": count},
}
