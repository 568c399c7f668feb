"""The arguments of `Engine.decide`: keywords, a request, or the JSON form of a request."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypedDict

from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp.domain.ids import new_id
from pdp.domain.request import Request
from pdp.domain.tenant import DEFAULT_TENANT
from pdp.messages.conversion import to_request

if TYPE_CHECKING:
    from pdp.domain.request import Entity, JsonObject, Subject, Target, Usage


class RequestFields(TypedDict, total=False):
    """The fields of `Request`, as keywords of `Engine.decide`."""

    text: str
    action: str
    tool: str
    arguments: JsonObject | None
    direction: str
    channel: str
    intent_complexity: str
    provider: str
    model: str
    request_id: str
    tenant_id: str
    customer_id: str
    session_id: str
    subject: Subject
    target: Target
    context: JsonObject | None
    timestamp: float
    entities: tuple[Entity, ...]
    usage: Usage
    explain: bool


def read(request: Request | Mapping[str, Any] | None, fields: RequestFields) -> tuple[Request, int]:
    """Returns the complete request, and the revision that it asks for.

    Args:
        request: a request, or the JSON form of a DecideRequest; None if `fields` are everything.
        fields: replace those of the request.

    Raises:
        TypeError: `request` has another type.
        InvalidArgument: the JSON form is invalid; the error names the fields.
    """
    if request is None:
        return _with_defaults(Request(**fields)), 0
    if isinstance(request, Request):
        return _with_defaults(request._replace(**fields)), 0
    if not isinstance(request, Mapping):
        kind = type(request).__name__
        raise TypeError(f"a request is a Request or a mapping, not {kind}; for a text say text=…")
    from pdp.jsonpb import decode  # noqa: PLC0415 - only callers that send JSON need it

    message = pb.DecideRequest()
    decode(dict(request), message)
    parsed = to_request(message, message.tenant_id or DEFAULT_TENANT, message.request_id)
    return _with_defaults(parsed._replace(**fields)), message.min_revision


def _with_defaults(request: Request) -> Request:
    """Fills in the same defaults as the server."""
    return request._replace(
        tenant_id=request.tenant_id or DEFAULT_TENANT,
        request_id=request.request_id or new_id(),
        direction=request.direction or "input",
        channel=request.channel or "interactive",
        timestamp=request.timestamp or time.time(),
    )
