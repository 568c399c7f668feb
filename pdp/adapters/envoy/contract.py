"""The messages of Envoy's contracts `ext_authz` and `ext_proc`, as far as we read or write them.

They have Envoy's names and field numbers, and are the same on the wire. They do not come from the
package `xds-protos`, because that one replaces files of `googleapis-common-protos` and of
`opentelemetry-proto`, and export of traces then fails. They are in a descriptor pool of their own,
so that other packages can add the same names to the default one. A field that is missing here is
ignored when Envoy sends it. An enumeration is an `int32` here, which is the same on the wire.

Source: `api/envoy/service/{auth,ext_proc}/v3` and `api/envoy/config/core/v3/base.proto` of Envoy.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final

from google.protobuf import struct_pb2
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

if TYPE_CHECKING:
    from google.protobuf.descriptor import MethodDescriptor

_AUTH: Final = "envoy.service.auth.v3"
_CORE: Final = "envoy.config.core.v3"
_PROC: Final = "envoy.service.ext_proc.v3"
_TYPE: Final = "envoy.type.v3"
_MODE: Final = "envoy.extensions.filters.http.ext_proc.v3"
_STRUCT: Final = "google.protobuf.Struct"

Fields = dict[str, tuple[int, str]]
"""The number and type of each field. `*` before a type makes a list, `map:` a map from strings."""

MESSAGES: Final[dict[str, Fields]] = {
    "google.rpc.Status": {"code": (1, "int32"), "message": (2, "string")},
    f"{_TYPE}.HttpStatus": {"code": (1, "int32")},
    f"{_CORE}.HeaderValue": {
        "key": (1, "string"),
        "value": (2, "string"),
        "raw_value": (3, "bytes"),
    },
    f"{_CORE}.HeaderMap": {"headers": (1, f"*{_CORE}.HeaderValue")},
    f"{_CORE}.HeaderValueOption": {
        "header": (1, f"{_CORE}.HeaderValue"),
        "append_action": (3, "int32"),
    },
    f"{_CORE}.Metadata": {"filter_metadata": (1, f"map:{_STRUCT}")},
    f"{_AUTH}.Peer": {
        "service": (2, "string"),
        "principal": (4, "string"),
        "certificate": (5, "string"),
    },
    f"{_AUTH}.HttpRequest": {
        "id": (1, "string"),
        "method": (2, "string"),
        "headers": (3, "map:string"),
        "header_map": (13, f"{_CORE}.HeaderMap"),
        "path": (4, "string"),
        "host": (5, "string"),
        "scheme": (6, "string"),
        "size": (9, "int64"),
        "protocol": (10, "string"),
        "body": (11, "string"),
        "raw_body": (12, "bytes"),
    },
    f"{_AUTH}.Request": {"http": (2, f"{_AUTH}.HttpRequest")},
    f"{_AUTH}.AttributeContext": {
        "source": (1, f"{_AUTH}.Peer"),
        "destination": (2, f"{_AUTH}.Peer"),
        "request": (4, f"{_AUTH}.Request"),
        "context_extensions": (10, "map:string"),
        "metadata_context": (11, f"{_CORE}.Metadata"),
    },
    f"{_AUTH}.CheckRequest": {"attributes": (1, f"{_AUTH}.AttributeContext")},
    f"{_AUTH}.DeniedHttpResponse": {
        "status": (1, f"{_TYPE}.HttpStatus"),
        "headers": (2, f"*{_CORE}.HeaderValueOption"),
        "body": (3, "string"),
    },
    f"{_AUTH}.OkHttpResponse": {
        "headers": (2, f"*{_CORE}.HeaderValueOption"),
        "headers_to_remove": (5, "*string"),
        "response_headers_to_add": (6, f"*{_CORE}.HeaderValueOption"),
    },
    f"{_AUTH}.CheckResponse": {
        "status": (1, "google.rpc.Status"),
        "denied_response": (2, f"{_AUTH}.DeniedHttpResponse"),
        "ok_response": (3, f"{_AUTH}.OkHttpResponse"),
        "dynamic_metadata": (4, _STRUCT),
    },
    f"{_MODE}.ProcessingMode": {
        "request_header_mode": (1, "int32"),
        "response_header_mode": (2, "int32"),
        "request_body_mode": (3, "int32"),
        "response_body_mode": (4, "int32"),
        "request_trailer_mode": (5, "int32"),
        "response_trailer_mode": (6, "int32"),
    },
    f"{_PROC}.ProtocolConfiguration": {
        "request_body_mode": (1, "int32"),
        "response_body_mode": (2, "int32"),
        "send_body_without_waiting_for_header_response": (3, "bool"),
    },
    f"{_PROC}.HttpHeaders": {
        "headers": (1, f"{_CORE}.HeaderMap"),
        "end_of_stream": (3, "bool"),
    },
    f"{_PROC}.HttpBody": {"body": (1, "bytes"), "end_of_stream": (2, "bool")},
    f"{_PROC}.HttpTrailers": {"trailers": (1, f"{_CORE}.HeaderMap")},
    f"{_PROC}.ProcessingRequest": {
        "request_headers": (2, f"{_PROC}.HttpHeaders"),
        "response_headers": (3, f"{_PROC}.HttpHeaders"),
        "request_body": (4, f"{_PROC}.HttpBody"),
        "response_body": (5, f"{_PROC}.HttpBody"),
        "request_trailers": (6, f"{_PROC}.HttpTrailers"),
        "response_trailers": (7, f"{_PROC}.HttpTrailers"),
        "metadata_context": (8, f"{_CORE}.Metadata"),
        "attributes": (9, f"map:{_STRUCT}"),
        "observability_mode": (10, "bool"),
        "protocol_config": (11, f"{_PROC}.ProtocolConfiguration"),
    },
    f"{_PROC}.HeaderMutation": {
        "set_headers": (1, f"*{_CORE}.HeaderValueOption"),
        "remove_headers": (2, "*string"),
    },
    f"{_PROC}.StreamedBodyResponse": {"body": (1, "bytes"), "end_of_stream": (2, "bool")},
    f"{_PROC}.BodyMutation": {
        "body": (1, "bytes"),
        "clear_body": (2, "bool"),
        "streamed_response": (3, f"{_PROC}.StreamedBodyResponse"),
    },
    f"{_PROC}.CommonResponse": {
        "status": (1, "int32"),
        "header_mutation": (2, f"{_PROC}.HeaderMutation"),
        "body_mutation": (3, f"{_PROC}.BodyMutation"),
    },
    f"{_PROC}.HeadersResponse": {"response": (1, f"{_PROC}.CommonResponse")},
    f"{_PROC}.BodyResponse": {"response": (1, f"{_PROC}.CommonResponse")},
    f"{_PROC}.TrailersResponse": {"header_mutation": (1, f"{_PROC}.HeaderMutation")},
    f"{_PROC}.ImmediateResponse": {
        "status": (1, f"{_TYPE}.HttpStatus"),
        "headers": (2, f"{_PROC}.HeaderMutation"),
        "body": (3, "bytes"),
        "details": (5, "string"),
    },
    f"{_PROC}.ProcessingResponse": {
        "request_headers": (1, f"{_PROC}.HeadersResponse"),
        "response_headers": (2, f"{_PROC}.HeadersResponse"),
        "request_body": (3, f"{_PROC}.BodyResponse"),
        "response_body": (4, f"{_PROC}.BodyResponse"),
        "request_trailers": (5, f"{_PROC}.TrailersResponse"),
        "response_trailers": (6, f"{_PROC}.TrailersResponse"),
        "immediate_response": (7, f"{_PROC}.ImmediateResponse"),
        "dynamic_metadata": (8, _STRUCT),
        "mode_override": (9, f"{_MODE}.ProcessingMode"),
    },
}
"""The fields of each message that we read or write."""

ONEOFS: Final = {
    f"{_AUTH}.CheckResponse": ("denied_response", "ok_response"),
    f"{_PROC}.ProcessingRequest": (
        "request_headers",
        "response_headers",
        "request_body",
        "response_body",
        "request_trailers",
        "response_trailers",
    ),
    f"{_PROC}.ProcessingResponse": (
        "request_headers",
        "response_headers",
        "request_body",
        "response_body",
        "request_trailers",
        "response_trailers",
        "immediate_response",
    ),
    f"{_PROC}.BodyMutation": ("body", "clear_body", "streamed_response"),
}
"""The fields of each message of which only one is set."""

_SCALARS: Final = {
    "string": FieldDescriptorProto.TYPE_STRING,
    "bytes": FieldDescriptorProto.TYPE_BYTES,
    "bool": FieldDescriptorProto.TYPE_BOOL,
    "int32": FieldDescriptorProto.TYPE_INT32,
    "int64": FieldDescriptorProto.TYPE_INT64,
}


def _pool() -> DescriptorPool:
    """Returns the pool; it has a file for each package, in the order in which they are used."""
    pool = DescriptorPool()
    pool.AddSerializedFile(struct_pb2.DESCRIPTOR.serialized_pb)
    files: dict[str, FileDescriptorProto] = {}
    for name, fields in MESSAGES.items():
        package, _, short = name.rpartition(".")
        if package not in files:
            path = f"pdp/{package.replace('.', '/')}.proto"
            files[package] = FileDescriptorProto(name=path, package=package, syntax="proto3")
            before = [file.name for file in files.values()][:-1]
            files[package].dependency.extend([struct_pb2.DESCRIPTOR.name, *before])
        _add_message(files[package].message_type.add(name=short), name, fields)
    _add_service(files[_AUTH], "Authorization", "Check", streams=False)
    _add_service(files[_PROC], "ExternalProcessor", "Process", streams=True)
    for file in files.values():
        pool.AddSerializedFile(file.SerializeToString())
    return pool


def _add_message(message: DescriptorProto, name: str, fields: Fields) -> None:
    oneof = ONEOFS.get(name, ())
    if oneof:
        message.oneof_decl.add(name="one")
    for field_name, (number, kind) in fields.items():
        field = message.field.add(name=field_name, number=number)
        field.label = FieldDescriptorProto.LABEL_OPTIONAL
        if field_name in oneof:
            field.oneof_index = 0
        of_map = kind.startswith("map:")
        listed = _add_entry(message, name, field_name, kind[4:]) if of_map else kind
        if listed.startswith("*"):
            field.label = FieldDescriptorProto.LABEL_REPEATED
        _set_type(field, listed.removeprefix("*"))


def _add_entry(message: DescriptorProto, name: str, field: str, kind: str) -> str:
    """Adds the message of an entry of a map, and returns the type of the map's field."""
    short = "".join(part.capitalize() for part in field.split("_")) + "Entry"
    entry = message.nested_type.add(name=short)
    entry.options.map_entry = True
    for number, (each, of) in enumerate((("key", "string"), ("value", kind)), 1):
        part = entry.field.add(name=each, number=number, label=FieldDescriptorProto.LABEL_OPTIONAL)
        _set_type(part, of)
    return f"*{name}.{short}"


def _set_type(field: FieldDescriptorProto, kind: str) -> None:
    if kind in _SCALARS:
        field.type = _SCALARS[kind]
    else:
        field.type, field.type_name = FieldDescriptorProto.TYPE_MESSAGE, f".{kind}"


def _add_service(file: FileDescriptorProto, name: str, method: str, *, streams: bool) -> None:
    kind = "Processing" if streams else "Check"
    file.service.add(name=name).method.add(
        name=method,
        input_type=f".{file.package}.{kind}Request",
        output_type=f".{file.package}.{kind}Response",
        client_streaming=streams,
        server_streaming=streams,
    )


_POOL: Final = _pool()


def message_class(name: str) -> Any:
    """Returns the class of a message of `MESSAGES`."""
    return GetMessageClass(_POOL.FindMessageTypeByName(name))


CHECK: Final[MethodDescriptor] = _POOL.FindMethodByName(f"{_AUTH}.Authorization.Check")
PROCESS: Final[MethodDescriptor] = _POOL.FindMethodByName(f"{_PROC}.ExternalProcessor.Process")

CheckRequest: Final = message_class(f"{_AUTH}.CheckRequest")
CheckResponse: Final = message_class(f"{_AUTH}.CheckResponse")
ProcessingRequest: Final = message_class(f"{_PROC}.ProcessingRequest")
ProcessingResponse: Final = message_class(f"{_PROC}.ProcessingResponse")

OVERWRITE: Final = 2
"""`HeaderValueOption.append_action`: replaces the header, or adds it."""


class BodyMode(IntEnum):
    """`ProcessingMode.BodySendMode`: how Envoy sends a body."""

    NONE = 0
    STREAMED = 1
    BUFFERED = 2
    BUFFERED_PARTIAL = 3
    FULL_DUPLEX_STREAMED = 4
    GRPC = 5


SEND: Final = 1
"""`ProcessingMode.HeaderSendMode`: Envoy sends headers or trailers."""
