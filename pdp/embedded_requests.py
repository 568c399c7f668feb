"""What `Engine.decide` takes: keywords, a request, or the JSON form of one."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypedDict

from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp.domain.tenant import DEFAULT_TENANT
from pdp.transport.call import new_id
from pdp.transport.convert import to_request

if TYPE_CHECKING:
    from pdp.domain.request import Entity, JsonObject, Request, Subject, Target, Usage


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
    subject: Subject
    target: Target
    context: JsonObject | None
    timestamp: float
    entities: tuple[Entity, ...]
    usage: Usage
    explain: bool


def read(body: Mapping[str, Any]) -> tuple[Request, int]:
    """Returns the request that a DecideRequest in JSON form makes, and its `min_revision`.

    Raises:
        TypeError: `body` is no mapping.
        InvalidArgument: it is no DecideRequest; the fields at fault are named.
    """
    if not isinstance(body, Mapping):
        kind = type(body).__name__
        raise TypeError(f"a request is a Request or a mapping, not {kind}; for a text say text=…")
    from pdp.transport.jsonpb import decode  # noqa: PLC0415 - only who sends JSON pays for it

    message = pb.DecideRequest()
    decode(dict(body), message)
    request = to_request(message, message.tenant_id or DEFAULT_TENANT, message.request_id)
    return request, message.min_revision


def settled(request: Request) -> Request:
    """Fills in what the server fills in where a request leaves it open."""
    return request._replace(
        tenant_id=request.tenant_id or DEFAULT_TENANT,
        request_id=request.request_id or new_id(),
        direction=request.direction or "input",
        channel=request.channel or "interactive",
        timestamp=request.timestamp or time.time(),
    )
