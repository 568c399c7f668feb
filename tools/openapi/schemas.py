"""Generates the JSON Schemas of messages, as the JSON codec reads and writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pdp._gen.pdp.v1 import options_pb2
from pdp.jsonpb.fields import (
    LIST_VALUE,
    STRUCT,
    TIMESTAMP,
    VALUE,
    Unsupported,
    bare_list,
    enum_names,
    enum_prefix,
    integer_range,
    is_bool,
    is_map,
    is_number,
    is_text,
    json_fields,
    json_form,
    map_value,
)
from pdp.jsonpb.timestamps import EXAMPLE
from pdp.messages.contracts import field_rules
from pdp.transport.write_warnings import WARNINGS
from tools.openapi.bounds import (
    JsonSchema,
    allow_zero,
    bounds,
    ignores_zero,
    is_required,
)
from tools.openapi.free_form import FREE_FORM_SCHEMAS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

_WELL_KNOWN: Final[Mapping[str, JsonSchema]] = {
    TIMESTAMP: {"type": "string", "format": "date-time", "examples": [EXAMPLE]},
    STRUCT: {"type": "object"},
    LIST_VALUE: {"type": "array"},
    VALUE: {},
}

_IGNORED_WARNINGS: Final[JsonSchema] = {
    "description": "warnings are those of an earlier answer; they are ignored."
}


class SchemaRegistry:
    """Collects the schemas that the operations of a document refer to."""

    def __init__(
        self, comments: Mapping[str, str], inputs: list[Descriptor], outputs: list[Descriptor]
    ) -> None:
        """Creates an empty registry.

        Args:
            comments: the comments of the contracts, by full name.
            inputs: the messages that callers send.
            outputs: the messages that the server sends.
        """
        self._comments = comments
        sent = {each.full_name for each in _reachable(inputs)}
        self._sent_and_received = sent & {each.full_name for each in _reachable(outputs)}
        self._schemas: dict[str, JsonSchema] = {}

    def schemas(self) -> dict[str, JsonSchema]:
        """Returns the collected schemas, by name."""
        return dict(sorted(self._schemas.items()))

    def add(self, name: str, schema: JsonSchema) -> JsonSchema:
        """Adds a schema under `name`, and returns the reference to it."""
        self._schemas[name] = schema
        return {"$ref": f"#/components/schemas/{name}"}

    def input(
        self,
        message: Descriptor,
        without: frozenset[str] = frozenset(),
        *,
        ignores_warnings: bool = False,
    ) -> JsonSchema:
        """Returns the reference to the schema of a message that the server reads.

        Args:
            message: the type of the message.
            without: the fields that are bound in the path, which the schema omits.
            ignores_warnings: whether the message may have the warnings of an answer.
        """
        name = _name(message)
        name = f"{name}Input" if message.full_name in self._sent_and_received else name
        if name not in self._schemas:
            self._schemas[name] = {}  # a type can contain itself
            self._schemas[name] = self._input(message, without)
            if ignores_warnings:
                self._schemas[name]["properties"][WARNINGS] = dict(_IGNORED_WARNINGS)
        return {"$ref": f"#/components/schemas/{name}"}

    def output(self, message: Descriptor) -> JsonSchema:
        """Returns the reference to the schema of a message that the server writes."""
        name = _name(message)
        if name not in self._schemas:
            self._schemas[name] = {}
            self._schemas[name] = self._output(message)
        return {"$ref": f"#/components/schemas/{name}"}

    def output_with_warnings(self, message: Descriptor, field: str) -> JsonSchema:
        """Returns the reference to the schema of a field that is written as the whole body.

        Args:
            message: the type of the response, with the field `warnings`, which the body has too.
            field: the field, a message.
        """
        inner = message.fields_by_name[field].message_type
        if inner is None:
            raise Unsupported(message.fields_by_name[field], "a body with warnings")
        schema = {**self._output(inner), **self._object(message)}
        warnings = self._output(message)["properties"][WARNINGS]
        schema["properties"] = {**schema["properties"], WARNINGS: warnings}
        return self.add(_name(message), schema)

    def parameter(self, field: FieldDescriptor) -> JsonSchema:
        """Returns the schema of a field in a path or a query."""
        return self._bounded(field)

    def describe(self, full_name: str) -> str:
        """Returns the comment of an element of the contracts.

        Raises:
            KeyError: the element has no comment.
        """
        return self._comments[full_name]

    def output_field(self, field: FieldDescriptor) -> JsonSchema:
        """Returns the schema of a field that the server writes, without null."""
        if field.is_repeated and not is_map(field):
            return {"type": "array", "items": self._value(field, written=True)}
        return self._value(field, written=True)

    def _object(self, message: Descriptor) -> JsonSchema:
        return {"type": "object", "description": self.describe(message.full_name)}

    def _input(self, message: Descriptor, without: frozenset[str]) -> JsonSchema:
        properties: JsonSchema = {}
        required: list[str] = []
        for field in json_fields(message):
            if field.name in without:
                continue
            schema = self._bounded(bare_list(field) or field)
            if is_required(field, schema):
                required.append(field.name)
            else:
                schema = _nullable(schema)
            properties[field.name] = self._described(field, schema)
        return {**self._object(message), **_members(properties, required)}

    def _output(self, message: Descriptor) -> JsonSchema:
        properties: JsonSchema = {}
        required: list[str] = []
        for field in json_fields(message):
            schema = self.output_field(bare_list(field) or field)
            form = json_form(field)
            if form in {options_pb2.JSON_FORM_NULL, options_pb2.JSON_FORM_NULL_IF_EMPTY}:
                schema = _nullable(schema)
            always = not field.has_presence and form != options_pb2.JSON_FORM_OMIT_EMPTY
            if always or form == options_pb2.JSON_FORM_NULL:
                required.append(field.name)
            properties[field.name] = self._described(field, schema)
        return {**self._object(message), **_members(properties, required)}

    def _described(self, field: FieldDescriptor, schema: JsonSchema) -> JsonSchema:
        return {"description": self.describe(field.full_name), **schema}

    def _bounded(self, field: FieldDescriptor) -> JsonSchema:
        """Returns the schema of a field that the server reads, with its bounds."""
        rules = bounds(field_rules(field), field.full_name)
        if not field.is_repeated or is_map(field):
            schema = {**self._value(field, written=False), **rules}
            return allow_zero(schema) if ignores_zero(field) else schema
        items = {**self._value(field, written=False), **rules.pop("items", {})}
        return {"type": "array", "items": items, **rules}

    def _value(self, field: FieldDescriptor, *, written: bool) -> JsonSchema:
        """Returns the schema of one value of a field."""
        schema = None if written else FREE_FORM_SCHEMAS.get(field.full_name)
        if schema is not None:
            return self.add(schema["title"], schema) if "title" in schema else dict(schema)
        if is_map(field):
            return {
                "type": "object",
                "additionalProperties": self._value(map_value(field), written=written),
            }
        message = field.message_type
        if message is not None:
            well_known = _WELL_KNOWN.get(message.full_name)
            if well_known is not None:
                return dict(well_known)
            return self.output(message) if written else self.input(message)
        return self._enum(field.enum_type) if field.enum_type is not None else _scalar(field)

    def _enum(self, enum: EnumDescriptor) -> JsonSchema:
        names = [name for name in enum_names(enum).values() if name != "UNSPECIFIED"]
        prefix = enum_prefix(enum)
        lines = [
            f"- `{name}` {self.describe(f'{enum.full_name}.{prefix}{name}').split(' ', 1)[1]}"
            for name in names
        ]
        description = f"{self.describe(enum.full_name)}\n\n" + "\n".join(lines)
        schema = {"type": "string", "enum": names, "description": description}
        return self.add(enum.full_name.removeprefix(f"{enum.file.package}."), schema)


def _scalar(field: FieldDescriptor) -> JsonSchema:
    if is_text(field):
        return {"type": "string"}
    if is_bool(field):
        return {"type": "boolean"}
    if is_number(field):
        return {"type": "number", "format": "double"}
    limits = integer_range(field)
    if limits is None:
        raise Unsupported(field, "its type")
    width = "int32" if limits[1] < 2**32 else "int64"
    return {"type": "integer", "format": width, "minimum": limits[0], "maximum": limits[1]}


def _nullable(schema: JsonSchema) -> JsonSchema:
    if not schema:
        return schema  # it accepts any value, so also null
    kind = schema.get("type")
    if kind is None:
        return {"anyOf": [schema, {"type": "null"}]}
    nullable: dict[str, Any] = {**schema, "type": [kind, "null"]}
    if "enum" in schema:
        nullable["enum"] = [*schema["enum"], None]
    return nullable


def _members(properties: JsonSchema, required: list[str]) -> JsonSchema:
    members: JsonSchema = {"properties": properties, "additionalProperties": False}
    return {**members, "required": required} if required else members


def _name(message: Descriptor) -> str:
    return message.full_name.removeprefix(f"{message.file.package}.")


def _reachable(messages: list[Descriptor]) -> Iterator[Descriptor]:
    queue, visited = list(messages), set()
    while queue:
        message = queue.pop()
        if message.full_name not in visited:
            visited.add(message.full_name)
            yield message
            queue.extend(field.message_type for field in message.fields if field.message_type)
