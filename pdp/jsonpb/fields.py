"""Reads from a field's descriptor how the field looks in JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from pdp._gen.pdp.v1 import options_pb2

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.message import Message

TIMESTAMP: Final = "google.protobuf.Timestamp"
STRUCT: Final = "google.protobuf.Struct"
LIST_VALUE: Final = "google.protobuf.ListValue"
VALUE: Final = "google.protobuf.Value"

_INTEGERS: Final[Mapping[int, tuple[int, int]]] = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}


class Unsupported(TypeError):
    """A field of a contract has no JSON form. Raised when a message type is planned."""

    def __init__(self, field: FieldDescriptor, what: str) -> None:
        super().__init__(f"{field.full_name}: the JSON codec has no form for {what}")


def descriptor_of(message: Message) -> Descriptor:
    """Returns the descriptor of the message's type."""
    # upb uses its own class for it, with the same interface.
    return message.DESCRIPTOR  # type: ignore[return-value]


def integer_range(field: FieldDescriptor) -> tuple[int, int] | None:
    """Returns the least and greatest number of an integer field; None for other fields."""
    return _INTEGERS.get(field.cpp_type)


def is_number(field: FieldDescriptor) -> bool:
    """Whether the field is a double."""
    return bool(field.cpp_type == FieldDescriptor.CPPTYPE_DOUBLE)


def is_text(field: FieldDescriptor) -> bool:
    """Whether the field is a string."""
    return bool(field.type == FieldDescriptor.TYPE_STRING)


def is_bool(field: FieldDescriptor) -> bool:
    """Whether the field is a bool."""
    return bool(field.cpp_type == FieldDescriptor.CPPTYPE_BOOL)


def is_map(field: FieldDescriptor) -> bool:
    """Whether the field is a map."""
    inner: Descriptor | None = field.message_type
    return inner is not None and bool(inner.GetOptions().map_entry)


def map_value(field: FieldDescriptor) -> FieldDescriptor:
    """Returns the field of a map's values.

    Raises:
        Unsupported: its keys are not strings.
    """
    entry = field.message_type
    assert entry is not None, "a map is a repeated message"  # noqa: S101 - for the type checker
    if not is_text(entry.fields_by_name["key"]):
        raise Unsupported(field, "a map whose keys are not strings")
    return entry.fields_by_name["value"]


def json_form(field: FieldDescriptor) -> int:
    """Returns the JSON form of the field if it is unset or empty."""
    return int(_options(field).json)


def _options(field: FieldDescriptor) -> options_pb2.FieldRules:
    options: options_pb2.FieldRules = field.GetOptions().Extensions[options_pb2.field]
    return options


def text_fields(descriptor: Descriptor) -> dict[str, str]:
    """Returns the fields of a message that hold an object as text, by the name of the object.

    In JSON, only the object exists.
    """
    pairs = ((_options(field).json_text_of, field.name) for field in descriptor.fields)
    return {name: text for name, text in pairs if name}


def json_fields(descriptor: Descriptor) -> list[FieldDescriptor]:
    """Returns the fields of a message that exist in its JSON form."""
    texts = set(text_fields(descriptor).values())
    return [field for field in descriptor.fields if field.name not in texts]


def bare_list(field: FieldDescriptor) -> FieldDescriptor | None:
    """Returns the list that replaces the message of a field in JSON; None for most fields.

    Raises:
        Unsupported: the message is more than one list with the name of the field.
    """
    if json_form(field) != options_pb2.JSON_FORM_LIST:
        return None
    inner = field.message_type.fields if field.message_type and not field.is_repeated else []
    if [(each.name, each.is_repeated) for each in inner] != [(field.name, True)]:
        raise Unsupported(field, "this bare list")
    return inner[0]


def enum_names(enum: EnumDescriptor) -> dict[int, str]:
    """Returns the JSON name of each number: the name without the enum's prefix."""
    prefix = enum_prefix(enum)
    return {value.number: value.name.removeprefix(prefix) for value in enum.values}


def enum_prefix(enum: EnumDescriptor) -> str:
    """Returns the prefix of the names of the enum's values, for example `OUTCOME_`."""
    return enum.values[0].name.removesuffix("UNSPECIFIED")
