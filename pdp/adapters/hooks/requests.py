"""Reads the JSON of a webhook, as the mapping file describes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp.adapters.mapping import SourceView, fill_context, payload_format
from pdp.domain.request import MAX_VALUES
from pdp.errors import InvalidArgument, Violation
from pdp.jsonpb import decode_json
from pdp.jsonpb.value_count import has_more_values
from pdp.payloads.pointers import value_at
from pdp.strictjson.objects import to_text
from pdp.strictjson.problems import LONE_SURROGATE, excerpt
from pdp.transport.http.decoded_headers import DecodedHeaders
from pdp.transport.http.fact_headers import read_tokens

if TYPE_CHECKING:
    from pdp.adapters.mapping import Hook
    from pdp.transport.http.requests import HttpRequest


class HookRequest(NamedTuple):
    """What a webhook asks.

    Attributes:
        message: what is to be decided.
        as_text: whether the payload is a text that holds JSON, and not JSON itself.
    """

    message: pb.DecideRequest
    as_text: bool


def read_hook(hook: Hook, request: HttpRequest, body: bytes | bytearray) -> HookRequest:
    """Returns what a webhook asks.

    Args:
        hook: how the body is read.
        request: the call of the webhook, for its headers and its certificate.
        body: the whole body.

    Raises:
        MalformedRequest: the body is not JSON.
        InvalidArgument: something that the mapping names is not there, or cannot be read.
    """
    if has_more_values(body, MAX_VALUES):
        raise InvalidArgument.of(Violation("body", f"holds more than {MAX_VALUES} JSON values"))
    document = decode_json(body)
    message = pb.DecideRequest(direction=_direction(hook, document))
    as_text = False
    if hook.text is not None:
        text = _at(document, hook.text)
        if not isinstance(text, str):
            raise _problem(hook.text, "must be a text")
        message.content.text = _whole_characters(text, hook.text)
    elif hook.payload is not None:
        message.payload.format = payload_format(hook.payload_format)
        message.payload.history = hook.history
        payload = _at(document, hook.payload)
        as_text = isinstance(payload, str)
        message.payload.body = _payload_text(payload, hook.payload)
    view = SourceView(
        headers=DecodedHeaders(request.headers),
        certificate=request.peer[0] if request.peer else "",
        body=document,
    )
    fill_context(message, hook.context, view)
    tokens = read_tokens(request.headers)
    if takes_tokens(message):
        message.tokens.extend(tokens)
    return HookRequest(message, as_text)


def takes_tokens(message: pb.DecideRequest) -> bool:
    """Whether confirmations that come with a webhook are about its message.

    A gateway sends the headers of its client with the webhook about the answer, too.
    """
    return message.direction == "input"


def _direction(hook: Hook, document: object) -> str:
    if hook.direction:
        return hook.direction
    value = _at(document, hook.direction_pointer)
    direction = hook.directions.get(value) if isinstance(value, str) else None
    if direction is None:
        known = ", ".join(hook.directions)
        shown = f'"{excerpt(value)}"' if isinstance(value, str) else "no text"
        raise _problem(hook.direction_pointer, f"is {shown}; it must be one of {known}")
    return direction


def _payload_text(value: Any, pointer: str) -> str:
    if isinstance(value, str):
        return _whole_characters(value, pointer)
    if not isinstance(value, dict | list):
        raise _problem(pointer, "must be an object, or JSON as a text")
    try:
        return _whole_characters(to_text(value), pointer)
    except (ValueError, RecursionError):
        raise _problem(pointer, "has a number out of range, or is nested too deep") from None


def _whole_characters(text: str, pointer: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _problem(pointer, LONE_SURROGATE) from None
    return text


def _at(document: object, pointer: str) -> Any:
    try:
        return value_at(document, pointer)
    except KeyError:
        raise _problem(pointer, "is not in the body; correct the pointer in the mapping") from None


def _problem(pointer: str, reason: str) -> InvalidArgument:
    return InvalidArgument.of(Violation(pointer or "body", reason))
