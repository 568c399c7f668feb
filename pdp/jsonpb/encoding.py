"""Encodes messages as JSON values."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from math import isfinite
from typing import TYPE_CHECKING, Any, Final

from google.protobuf.message import Message

from pdp._gen.pdp.v1 import options_pb2
from pdp.jsonpb.fields import (
    LIST_VALUE,
    STRUCT,
    TIMESTAMP,
    VALUE,
    Unsupported,
    bare_list,
    descriptor_of,
    enum_names,
    integer_range,
    is_bool,
    is_map,
    is_number,
    is_text,
    json_fields,
    json_form,
    map_value,
    text_fields,
)
from pdp.jsonpb.structs import list_array, struct_object, value_of
from pdp.jsonpb.timestamps import timestamp_text

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor, FieldDescriptor

Write = Callable[[Any, dict[str, Any]], None]
"""Writes one field of a message into its JSON object."""

Convert = Callable[[Any], Any]
"""Converts a field's value to JSON."""

_WELL_KNOWN: Final[Mapping[str, Convert]] = {
    TIMESTAMP: timestamp_text,
    STRUCT: struct_object,
    LIST_VALUE: list_array,
    VALUE: value_of,
}

_plans: Final[dict[Descriptor, list[Write]]] = {}


def check_encodable(descriptor: Descriptor) -> None:
    """Plans how to encode a message type and all types within it, before the first call.

    Raises:
        Unsupported: a field has no JSON form.
    """
    _plan(descriptor)


def encode(message: Message) -> dict[str, Any]:
    """Returns the JSON object of `message`, its members in the order of the contract."""
    return _object(_plan(descriptor_of(message)), message)


def _object(plan: list[Write], message: Message) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for write in plan:
        write(message, out)
    return out


def _plan(descriptor: Descriptor) -> list[Write]:
    plan = _plans.get(descriptor)
    if plan is not None:
        return plan
    plan = []
    _plans[descriptor] = plan  # before its fields, which may have the same type
    try:
        texts = text_fields(descriptor)
        for field in json_fields(descriptor):
            text = texts.get(field.name)
            write = _write(field)
            plan.append(write if text is None else _write_text(field.name, text, write))
    except Unsupported:
        del _plans[descriptor]
        raise
    return plan


def _write(field: FieldDescriptor) -> Write:
    form = json_form(field)
    list_field = bare_list(field)
    if list_field is not None:
        return _write_bare_list(field.name, _write(list_field))
    if is_map(field):
        return _write_map(field.name, _convert(map_value(field)), form)
    if field.is_repeated:
        return _write_list(field.name, _convert(field), form)
    if not field.has_presence:
        return _write_scalar(field, form)
    return _write_optional(field.name, _convert(field), form)


def _convert(field: FieldDescriptor) -> Convert | None:
    """Returns how to convert one value of the field; None if it is JSON already."""
    if field.message_type is not None:
        well_known = _WELL_KNOWN.get(field.message_type.full_name)
        if well_known is not None:
            return well_known
        plan = _plan(field.message_type)
        return lambda message: _object(plan, message)
    if field.enum_type is not None:
        names = enum_names(field.enum_type)
        return lambda number: names.get(number, number)
    if is_number(field):
        # NaN and infinities can only arrive over gRPC. JSON cannot express them.
        return lambda number: number if isfinite(number) else None
    if is_text(field) or is_bool(field) or integer_range(field) is not None:
        return None
    raise Unsupported(field, "its type")


def _write_scalar(field: FieldDescriptor, form: int) -> Write:
    name, convert = field.name, _convert(field)
    if form == options_pb2.JSON_FORM_OMIT_EMPTY:

        def write_non_empty(message: Any, out: dict[str, Any]) -> None:
            value = getattr(message, name)
            if value:
                out[name] = value if convert is None else convert(value)

        return write_non_empty
    if form != options_pb2.JSON_FORM_UNSPECIFIED:
        raise Unsupported(field, "null in a field without presence")
    if convert is None:

        def write(message: Any, out: dict[str, Any]) -> None:
            out[name] = getattr(message, name)

        return write
    converter = convert

    def write_converted(message: Any, out: dict[str, Any]) -> None:
        out[name] = converter(getattr(message, name))

    return write_converted


def _write_optional(name: str, convert: Convert | None, form: int) -> Write:
    null = form == options_pb2.JSON_FORM_NULL
    null_if_empty = form == options_pb2.JSON_FORM_NULL_IF_EMPTY
    omit_empty = form == options_pb2.JSON_FORM_OMIT_EMPTY

    def write(message: Any, out: dict[str, Any]) -> None:
        if not message.HasField(name):
            if null:
                out[name] = None
            return
        value = getattr(message, name)
        if null_if_empty and not value.ByteSize():
            out[name] = None
            return
        if omit_empty and not (value.ByteSize() if isinstance(value, Message) else value):
            return
        out[name] = value if convert is None else convert(value)

    return write


def _write_text(name: str, text: str, write: Write) -> Write:
    """Returns how to write the object in the field `text`; by `write` if the field is empty."""

    def write_object(message: Any, out: dict[str, Any]) -> None:
        value = getattr(message, text)
        if value:
            out[name] = json.loads(value)
        else:
            write(message, out)

    return write_object


def _write_list(name: str, convert: Convert | None, form: int) -> Write:
    omit_empty = form == options_pb2.JSON_FORM_OMIT_EMPTY

    def write(message: Any, out: dict[str, Any]) -> None:
        values = getattr(message, name)[
            :
        ]  # a slice is cheaper than iteration, which ends with an exception
        if not values and omit_empty:
            return
        out[name] = values if convert is None else [convert(value) for value in values]

    return write


def _write_bare_list(name: str, write: Write) -> Write:
    def write_bare_list(message: Any, out: dict[str, Any]) -> None:
        if message.HasField(name):
            write(getattr(message, name), out)  # the list has the same name

    return write_bare_list


def _write_map(name: str, convert: Convert | None, form: int) -> Write:
    omit_empty = form == options_pb2.JSON_FORM_OMIT_EMPTY

    def write(message: Any, out: dict[str, Any]) -> None:
        values = getattr(message, name)
        members = {key: values[key] for key in sorted(values)}
        if not members and omit_empty:
            return
        if convert is not None:
            members = {key: convert(value) for key, value in members.items()}
        out[name] = members

    return write
