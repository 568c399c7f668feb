"""Builds the messages that commands send, from options and from JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pdp.cli.failures import UsageError
from pdp.cli.input import read_bytes, read_json_object
from pdp.client import rpc
from pdp.jsonpb import decode

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from pdp.cli.options.request import RequestOptions


def to_message(rpc_name: str, body: dict[str, Any]) -> Message:
    """Returns the request message of an RPC, from its JSON form.

    Raises:
        InvalidArgument: the JSON does not fit the message; the error names the fields at fault.
    """
    message = rpc(rpc_name).request()
    decode(body, message)
    return message


def decide_request(options: RequestOptions) -> dict[str, Any]:
    """Returns the DecideRequest that the options describe, in JSON form.

    Raises:
        UsageError: the options describe no request, or one of them cannot be read.
        MalformedRequest: the file of the request is not JSON.
        InvalidArgument: the file of the request does not hold an object.
    """
    request = read_json_object(options.request, "--request") if options.request else {}
    fields = [(path.split("."), value) for path, value in _fields(options) if value is not None]
    for argument in options.arg or ():
        name, value = _argument(argument)
        fields.append((["arguments", name], value))
    if not fields and not options.request:
        raise UsageError("there is no request: give --text, --payload, --tool or --request")
    for path, value in fields:
        _set(request, path, value)
    return request


def _fields(options: RequestOptions) -> list[tuple[str, Any]]:
    """Returns the path of each field and its value; None for fields that are not set."""
    provider, model = None, options.model
    if model and "/" in model:
        provider, _, model = model.partition("/")
    return [
        ("content.text", options.text),
        ("payload.format", options.payload_format),
        ("payload.history", options.history),
        ("payload.body", _payload(options.payload)),
        ("action", options.action),
        ("tool", options.tool),
        ("arguments", _json(options.arguments, "--arguments")),
        ("tenant_id", options.tenant),
        ("customer_id", options.customer),
        ("subject.user_id", options.user),
        ("subject.groups", options.group),
        ("subject.agent_id", options.agent),
        ("session_id", options.session),
        ("model.provider", provider),
        ("model.model", model),
        ("direction", options.direction),
        ("channel", options.channel),
        ("target.classifications", options.classification),
        ("target.fields", options.field),
        ("context", _json(options.context, "--context")),
        ("min_revision", options.min_revision),
        ("explain", options.explain or None),
    ]


def _payload(file: str | None) -> str | None:
    if file is None:
        return None
    try:
        return read_bytes(file, "--payload").decode()
    except UnicodeDecodeError as error:
        raise UsageError(f"--payload {file} is not UTF-8: see byte {error.start}") from None


def _set(request: dict[str, Any], path: list[str], value: Any) -> None:
    *parents, name = path
    inner: Any = request
    for parent in parents:
        inner = inner.setdefault(parent, {})
        if not isinstance(inner, dict):
            raise UsageError(f"{name} cannot be set: {parent} is not an object in the request")
    inner[name] = value


def _argument(argument: str) -> tuple[str, Any]:
    name, equals, value = argument.partition("=")
    if not equals or not name.rstrip(":"):
        raise UsageError(f'--arg: "{argument}" is neither NAME=VALUE nor NAME:=JSON')
    if name.endswith(":"):
        return name[:-1], _json(value, f"--arg {name[:-1]}")
    return name, value


def _json(text: str | None, option: str) -> Any:
    if text is None:
        return None
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise UsageError(f"{option} is not JSON: see character {error.pos + 1}") from None
    except ValueError:  # an integer with thousands of digits
        raise UsageError(f"{option} has a number that is too long") from None
