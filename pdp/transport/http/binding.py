"""Builds an RPC's message from path, query and body, as its `google.api.http` rule says."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote_to_bytes

from google.api import annotations_pb2

from pdp.errors import InvalidArgument, MalformedRequest, Violation
from pdp.jsonpb import (
    InvalidValue,
    Problems,
    check_decodable,
    check_encodable,
    check_textual,
    decode_into,
    decode_json,
    decode_text,
)
from pdp.jsonpb.value_count import has_more_values
from pdp.strictjson.problems import excerpt
from pdp.transport.http.router import PathVariable, parse
from pdp.transport.write_warnings import WARNINGS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from google.api.http_pb2 import HttpRule
    from google.protobuf.descriptor import Descriptor, FieldDescriptor
    from google.protobuf.message import Message

    from pdp.transport.methods import Method

WHOLE: Final = "*"
"""The body is the whole message."""

_EMPTY_OBJECT: Final = b"{}"
"""The body that many clients post if there is nothing to send."""

_MALFORMED_PERCENT: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")


@dataclass(frozen=True, slots=True)
class FieldPath:
    """A field of a message, or of a message within it.

    Attributes:
        name: its path, for example `subject.user_id`.
        field: the descriptor of the field.
    """

    name: str
    field: FieldDescriptor

    def parent(self, message: Message) -> Message:
        """Returns the message within `message` that has the field."""
        for step in self.name.split(".")[:-1]:
            message = getattr(message, step)
        return message


@dataclass(frozen=True, slots=True)
class Binding:
    """One route of an RPC.

    Attributes:
        method: the RPC.
        http_method: the HTTP method, for example `GET`.
        template: the path, for example `/api/v1/static-policies/{id}`.
        body: `*`, or the field that the body sets; empty if the route takes no body.
        response_body: the field that makes the response's body; empty for the whole message.
        path: the fields that the template's variables set, in order.
        query: the fields that a query may set, by each of their names.
        ignores_warnings: whether the body may have the warnings of an answer, which are ignored,
            so that a client can send back what it got.
    """

    method: Method
    http_method: str
    template: str
    body: str
    response_body: str
    path: tuple[FieldPath, ...]
    query: dict[str, FieldPath]
    ignores_warnings: bool = False


def bindings(method: Method) -> Iterator[Binding]:
    """Yields the routes of an RPC; none if it has no annotation.

    Raises:
        ValueError: this server cannot serve the annotation.
        TypeError: a field that the path or the query sets cannot be written as text.
    """
    rule: HttpRule = method.descriptor.GetOptions().Extensions[annotations_pb2.http]
    for each in (rule, *rule.additional_bindings):
        kind = each.WhichOneof("pattern")
        if kind is None:
            continue
        if kind == "custom":
            raise ValueError(f"{method.path}: custom HTTP methods are not supported")
        template: str = getattr(each, kind)
        yield _binding(method, kind.upper(), template, each)


def _binding(method: Method, http_method: str, template: str, rule: HttpRule) -> Binding:
    request, response = method.descriptor.input_type, method.descriptor.output_type
    variables = [part.name for part in parse(template) if isinstance(part, PathVariable)]
    path = tuple(_variable(request, name) for name in variables)
    _check_field(request, rule.body)
    _check_field(response, rule.response_body)
    check_decodable(request)
    check_encodable(response)
    query = {} if rule.body == WHOLE else _query(request, {*variables, rule.body})
    ignores_warnings = (
        method.writes and rule.body == WHOLE and WARNINGS not in request.fields_by_name
    )
    return Binding(
        method,
        http_method,
        template,
        rule.body,
        rule.response_body,
        path,
        query,
        ignores_warnings,
    )


def _variable(descriptor: Descriptor, name: str) -> FieldPath:
    *steps, last = name.split(".")
    parent: Descriptor | None = descriptor
    for step in steps:
        parent = parent.fields_by_name[step].message_type if parent else None
    field = parent.fields_by_name.get(last) if parent else None
    if field is None or field.is_repeated:
        raise ValueError(f"{descriptor.full_name} has no singular field {name}")
    check_textual(field)
    return FieldPath(name, field)


def _check_field(descriptor: Descriptor, name: str) -> None:
    if name not in {"", WHOLE} and name not in descriptor.fields_by_name:
        raise ValueError(f"{descriptor.full_name} has no field {name}")


def _query(descriptor: Descriptor, other_names: set[str]) -> dict[str, FieldPath]:
    """Returns the fields that a query may set: all but those that path and body set."""
    names: dict[str, FieldPath] = {}
    for field in descriptor.fields:
        if field.name not in other_names:
            check_textual(field)
            names[field.name] = names[field.json_name] = FieldPath(field.name, field)
    return names


def bind(
    binding: Binding, variables: tuple[bytes, ...], query: bytes, body: bytes | bytearray
) -> Message:
    """Returns the message of a request.

    Args:
        binding: the route.
        variables: the raw text of the path's variables.
        query: the raw query string.
        body: the whole body.

    Raises:
        MalformedRequest: path, query or body cannot be parsed.
        InvalidArgument: a value does not fit the type of its field, a name is unknown, or the body
            holds too many values.
    """
    message = binding.method.request()
    problems = Problems()
    _bind_body(binding, message, body, problems)
    for path, raw in zip(binding.path, variables, strict=True):
        _bind_variable(path, percent_decode(raw, path.name), message, problems)
    if query:
        _bind_query(binding, message, query, problems)
    problems.raise_if_any()
    return message


def _bind_body(
    binding: Binding, message: Message, body: bytes | bytearray, problems: Problems
) -> None:
    if body:
        if not binding.body:
            if binding.http_method == "POST" and body.strip() == _EMPTY_OBJECT:
                return
            reason = f"{binding.http_method} {binding.template} takes no body"
            raise MalformedRequest(reason, Violation("body", "must be empty"))
        if has_more_values(body, binding.method.max_values):
            reason = f"holds more than {binding.method.max_values} JSON values"
            raise InvalidArgument.of(Violation("body", reason))
        value = decode_json(body)
        if binding.ignores_warnings and type(value) is dict:
            value.pop(WARNINGS, None)
        decode_into(value if binding.body == WHOLE else {binding.body: value}, message, problems)
    elif binding.body:
        raise MalformedRequest("a JSON body is required", Violation("body", "is required"))


def _bind_variable(path: FieldPath, text: str, message: Message, problems: Problems) -> None:
    parent = path.parent(message)
    default = type(parent)()
    body_value = getattr(parent, path.field.name)
    _set(path, text, message, problems)
    if body_value not in (getattr(default, path.field.name), getattr(parent, path.field.name)):
        problems.add(path.name, "differs from the path")


def _bind_query(binding: Binding, message: Message, query: bytes, problems: Problems) -> None:
    names: set[str] = set()
    for pair in query.split(b"&"):
        if not pair:
            continue
        raw_name, _, raw_value = pair.replace(b"+", b" ").partition(b"=")
        name = percent_decode(raw_name, "query")
        path = binding.query.get(name)
        if path is None:
            problems.add(excerpt(name), "unknown query parameter")
        elif path.name in names and not path.field.is_repeated:
            problems.add(path.name, "is given twice")
        else:
            names.add(path.name)
            _set(path, percent_decode(raw_value, path.name), message, problems)


def _set(path: FieldPath, text: str, message: Message, problems: Problems) -> None:
    try:
        decode_text(text, path.parent(message), path.field)
    except InvalidValue as error:
        problems.add(path.name, str(error))


def percent_decode(raw: bytes, name: str) -> str:
    """Decodes percent-encoded text, strictly.

    Args:
        raw: one segment of a path, or one name or value of a query.
        name: the name of the value in an error.

    Raises:
        MalformedRequest: a `%` without two hexadecimal digits, or bytes that are not UTF-8.
    """
    if _MALFORMED_PERCENT.search(raw):
        raise _malformed(name, "malformed percent-encoding")
    try:
        return unquote_to_bytes(raw).decode("utf-8")
    except UnicodeDecodeError:
        raise _malformed(name, "not UTF-8") from None


def _malformed(name: str, reason: str) -> MalformedRequest:
    return MalformedRequest(f"{name}: {reason}", Violation(name, reason))
