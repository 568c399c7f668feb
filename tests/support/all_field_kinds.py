"""A message type with a field of every kind that the JSON codec supports, used or not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.message_factory import GetMessageClass

from pdp._gen.pdp.v1 import options_pb2

if TYPE_CHECKING:
    from google.protobuf.message import Message

_FIELD = descriptor_pb2.FieldDescriptorProto
_FORMS = {
    "nullable": "NULL",
    "omitted": "OMIT_EMPTY",
    "hidden": "NULL_IF_EMPTY",
    "few": "OMIT_EMPTY",
}
_KINDS = {
    "text": _FIELD.TYPE_STRING,
    "small": _FIELD.TYPE_UINT32,
    "large": _FIELD.TYPE_UINT64,
    "ratio": _FIELD.TYPE_DOUBLE,
    "flag": _FIELD.TYPE_BOOL,
    "omitted": _FIELD.TYPE_INT32,
}
_TYPES = {
    "outcome": ".pdp.v1.Outcome",
    "anything": ".google.protobuf.Value",
    "list": ".google.protobuf.ListValue",
    "nullable": ".pdp.tests.Everything",
    "hidden": ".pdp.v1.Model",
}
_REPEATED = {
    "outcomes": ".pdp.v1.Outcome",
    "times": ".google.protobuf.Timestamp",
    "documents": ".google.protobuf.Struct",
    "few": ".pdp.v1.Model",
    "counts": ".pdp.tests.Everything.CountsEntry",
    "models": ".pdp.tests.Everything.ModelsEntry",
}


def _field(name: str, number: int) -> descriptor_pb2.FieldDescriptorProto:
    field = _FIELD(name=name, number=number, label=_FIELD.LABEL_OPTIONAL)
    type_name = _TYPES.get(name) or _REPEATED.get(name)
    if name in _REPEATED:
        field.label = _FIELD.LABEL_REPEATED
    if type_name:
        field.type_name = type_name
        field.type = _FIELD.TYPE_ENUM if "Outcome" in type_name else _FIELD.TYPE_MESSAGE
    else:
        field.type = _KINDS[name]
    if name in _FORMS:
        form = options_pb2.JsonForm.Value(f"JSON_FORM_{_FORMS[name]}")
        field.options.Extensions[options_pb2.field].json = form
    return field


def _entry(name: str, value: descriptor_pb2.FieldDescriptorProto) -> descriptor_pb2.DescriptorProto:
    key = _FIELD(name="key", number=1, type=_FIELD.TYPE_STRING, label=_FIELD.LABEL_OPTIONAL)
    entry = descriptor_pb2.DescriptorProto(name=name, field=[key, value])
    entry.options.map_entry = True
    return entry


def _everything() -> type[Message]:
    """Returns a message type with a field of every kind that the codec supports."""
    names = [*_KINDS, *_TYPES, *_REPEATED]
    message = descriptor_pb2.DescriptorProto(
        name="Everything", field=[_field(name, index + 1) for index, name in enumerate(names)]
    )
    count = _FIELD(name="value", number=2, type=_FIELD.TYPE_INT64, label=_FIELD.LABEL_OPTIONAL)
    model = _FIELD(name="value", number=2, type_name=".pdp.v1.Model", label=_FIELD.LABEL_OPTIONAL)
    model.type = _FIELD.TYPE_MESSAGE
    message.nested_type.extend([_entry("CountsEntry", count), _entry("ModelsEntry", model)])
    file = descriptor_pb2.FileDescriptorProto(
        name="tests/everything.proto",
        package="pdp.tests",
        syntax="proto3",
        dependency=[
            "google/protobuf/struct.proto",
            "google/protobuf/timestamp.proto",
            "pdp/v1/decide.proto",
            "pdp/v1/options.proto",
        ],
        message_type=[message],
    )
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(file.SerializeToString())
    return GetMessageClass(pool.FindMessageTypeByName("pdp.tests.Everything"))


Everything = _everything()
