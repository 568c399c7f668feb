"""Requests from plain values: mappings with the names of the contract."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar

from google.protobuf.json_format import ParseDict, ParseError

from pdp_client._gen.pdp.v1 import decide_pb2 as pb

if TYPE_CHECKING:
    from google.protobuf.message import Message

_M = TypeVar("_M", bound="Message")

RequestLike = pb.DecideRequest | Mapping[str, Any]
"""A request: a message, or a mapping with its fields."""

_JSON_FIELDS: Final = ("arguments", "context")

_TEXT_FIELDS: Final = frozenset(
    field.name
    for field in pb.DecideRequest.DESCRIPTOR.fields
    if field.type == field.TYPE_STRING and not field.is_repeated
)


def request_of(request: RequestLike) -> pb.DecideRequest:
    """Returns a request as a new message.

    A mapping has the names of the contract. Beside their forms in ProtoJSON, `content` can be the
    text, `model` the name of the model, `timestamp` a datetime, and `payload.body` a JSON value.
    The numbers of `arguments`, `context` and `subject.attributes` stay exact.

    Raises:
        ValueError: the contract has no such field, or a value is not of its type.
    """
    if isinstance(request, pb.DecideRequest):
        copy = pb.DecideRequest()
        copy.CopyFrom(request)
        return copy
    simple = _simple_message(request)
    if simple is not None:
        return simple
    fields = _with_json_texts(request, _JSON_FIELDS)
    if isinstance(fields.get("content"), str):
        fields["content"] = {"text": fields["content"]}
    if isinstance(fields.get("model"), str):
        fields["model"] = {"model": fields["model"]}
    if isinstance(fields.get("timestamp"), datetime):
        fields["timestamp"] = _time_text(fields["timestamp"])
    if isinstance(fields.get("subject"), Mapping):
        fields["subject"] = _with_json_texts(fields["subject"], ("attributes",))
    if isinstance(fields.get("payload"), Mapping):
        payload = dict(fields["payload"])
        fields["payload"] = {**payload, "body": body_of(payload.get("body", ""))}
    return message_of(fields, pb.DecideRequest())


def _simple_message(request: Mapping[str, Any]) -> pb.DecideRequest | None:
    """Returns a mapping of texts as a message, in a tenth of the time; None for other mappings."""
    message = pb.DecideRequest()
    for name, value in request.items():
        if type(value) is not str:
            return None
        if name in _TEXT_FIELDS:
            setattr(message, name, value)
        elif name == "content":
            message.content.text = value
        elif name == "model":
            message.model.model = value
        else:
            return None
    return message


def message_of(fields: Mapping[str, Any], message: _M) -> _M:
    """Fills a message from a mapping in ProtoJSON, and returns it.

    Raises:
        ValueError: the contract has no such field, or a value is not of its type.
    """
    try:
        return ParseDict(dict(fields), message)
    except ParseError as error:
        raise ValueError(f"{message.DESCRIPTOR.name}: {error}") from None


def body_of(body: str | bytes | object) -> str:
    """Returns the body of a payload: a text, bytes in UTF-8, or a value that becomes JSON.

    Raises:
        ValueError: the bytes are not UTF-8, or the value has no form in JSON.
    """
    if isinstance(body, str):
        return body
    if isinstance(body, bytes | bytearray | memoryview):
        return bytes(body).decode()
    return json_text("body", body)


def json_text(name: str, value: object) -> str:
    """Returns a value as JSON text.

    Raises:
        ValueError: it has no form in JSON.
    """
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{name}: {error}") from None


def _with_json_texts(fields: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    result = dict(fields)
    for name in names:
        value = result.pop(name, None)
        if value is not None:
            if f"{name}_json" in result:
                raise ValueError(f"set {name} or {name}_json, not both")
            result[f"{name}_json"] = json_text(name, value)
    return result


def _time_text(value: datetime) -> str:
    if value.tzinfo is None:
        raise ValueError("timestamp: the time has no time zone")
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
