"""From path, query and body to the message of an RPC, as its `google.api.http` rule says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from google.api import annotations_pb2

from pdp.errors import MalformedRequest, Violation
from pdp.jsonpb import (
    Problems,
    ValueRefused,
    check_decodable,
    check_encodable,
    check_textual,
    collect,
    decode_json,
    decode_text,
)
from pdp.jsonpb.refusal import shown
from pdp.transport.http.percent_encoding import decoded
from pdp.transport.http.templates import PathVariable, parse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from google.api.http_pb2 import HttpRule
    from google.protobuf.descriptor import Descriptor, FieldDescriptor
    from google.protobuf.message import Message

    from pdp.transport.methods import Method

WHOLE: Final = "*"
"""The body is the message itself."""

_NOTHING: Final = b"{}"
"""What many clients post where there is nothing to say."""


@dataclass(frozen=True, slots=True)
class FieldPath:
    """A field of a message, or of a message within it.

    Attributes:
        name: its path, for instance `subject.user_id`.
        field: the field itself.
    """

    name: str
    field: FieldDescriptor

    def holder(self, message: Message) -> Message:
        """Returns the message within `message` that has the field."""
        for step in self.name.split(".")[:-1]:
            message = getattr(message, step)
        return message


@dataclass(frozen=True, slots=True)
class Binding:
    """One route of an RPC.

    Attributes:
        method: the RPC.
        http_method: for instance `GET`.
        template: the path, for instance `/api/v1/static-policies/{id}`.
        body: `*`, the field that the body fills, or empty where the route takes no body.
        response_body: the field that is answered, or empty for the whole response.
        path: the fields that the template's variables set, in order.
        query: the fields that a query may set, by every name that they go by.
    """

    method: Method
    http_method: str
    template: str
    body: str
    response_body: str
    path: tuple[FieldPath, ...]
    query: dict[str, FieldPath]


def bindings(method: Method) -> Iterator[Binding]:
    """Yields the routes of an RPC; none if it has no annotation.

    Raises:
        ValueError: the annotation is not one that this server can serve.
        TypeError: a field that the path or the query would set cannot be written as text.
    """
    rule: HttpRule = method.descriptor.GetOptions().Extensions[annotations_pb2.http]
    for each in (rule, *rule.additional_bindings):
        kind = each.WhichOneof("pattern")
        if kind is None:
            continue
        if kind == "custom":
            raise ValueError(f"{method.path}: custom HTTP methods are not served")
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
    return Binding(method, http_method, template, rule.body, rule.response_body, path, query)


def _variable(descriptor: Descriptor, name: str) -> FieldPath:
    *steps, last = name.split(".")
    inside: Descriptor | None = descriptor
    for step in steps:
        inside = inside.fields_by_name[step].message_type if inside else None
    field = inside.fields_by_name.get(last) if inside else None
    if field is None or field.is_repeated:
        raise ValueError(f"{descriptor.full_name} has no singular field {name}")
    check_textual(field)
    return FieldPath(name, field)


def _check_field(descriptor: Descriptor, name: str) -> None:
    if name not in {"", WHOLE} and name not in descriptor.fields_by_name:
        raise ValueError(f"{descriptor.full_name} has no field {name}")


def _query(descriptor: Descriptor, elsewhere: set[str]) -> dict[str, FieldPath]:
    names: dict[str, FieldPath] = {}
    for field in descriptor.fields:
        if field.name not in elsewhere:
            check_textual(field)
            names[field.name] = names[field.json_name] = FieldPath(field.name, field)
    return names


def bind(binding: Binding, variables: tuple[bytes, ...], query: bytes, body: bytes) -> Message:
    """Returns the message that a request asks with.

    Args:
        binding: the route.
        variables: the raw text of the path's variables.
        query: the raw query string.
        body: the whole body.

    Raises:
        MalformedRequest: path, query or body cannot be read at all.
        InvalidArgument: a value is not of its field's type, or a name is unknown.
    """
    message = binding.method.request()
    problems = Problems()
    _bind_body(binding, message, body, problems)
    for path, raw in zip(binding.path, variables, strict=True):
        _bind_variable(path, decoded(raw, path.name), message, problems)
    if query:
        _bind_query(binding, message, query, problems)
    problems.settle()
    return message


def _bind_body(binding: Binding, message: Message, body: bytes, problems: Problems) -> None:
    if body:
        if not binding.body:
            if binding.http_method == "POST" and body.strip() == _NOTHING:
                return
            reason = f"{binding.http_method} {binding.template} takes no body"
            raise MalformedRequest(reason, Violation("body", "must be empty"))
        value = decode_json(body)
        collect(value if binding.body == WHOLE else {binding.body: value}, message, problems)
    elif binding.body:
        raise MalformedRequest("a JSON body is required", Violation("body", "is required"))


def _bind_variable(path: FieldPath, text: str, message: Message, problems: Problems) -> None:
    holder = path.holder(message)
    default = type(holder)()
    in_body = getattr(holder, path.field.name)
    _set(path, text, message, problems)
    if in_body not in (getattr(default, path.field.name), getattr(holder, path.field.name)):
        problems.add(path.name, "differs from the path")


def _bind_query(binding: Binding, message: Message, query: bytes, problems: Problems) -> None:
    seen: set[str] = set()
    for pair in query.split(b"&"):
        if not pair:
            continue
        raw_name, _, raw_value = pair.replace(b"+", b" ").partition(b"=")
        name = decoded(raw_name, "query")
        path = binding.query.get(name)
        if path is None:
            problems.add(shown(name), "unknown query parameter")
        elif path.name in seen and not path.field.is_repeated:
            problems.add(path.name, "is given twice")
        else:
            seen.add(path.name)
            _set(path, decoded(raw_value, path.name), message, problems)


def _set(path: FieldPath, text: str, message: Message, problems: Problems) -> None:
    try:
        decode_text(text, path.holder(message), path.field)
    except ValueRefused as refusal:
        problems.add(path.name, str(refusal))
