"""The arguments of `Engine.decide`: keywords, a request, or the JSON form of a request."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp.domain.ids import new_id
from pdp.domain.request import Request
from pdp.domain.tenant import DEFAULT_TENANT
from pdp.errors import InvalidArgument, Violation
from pdp.messages.conversion import to_request

if TYPE_CHECKING:
    from pdp.domain.request import Entity, JsonObject, Subject, Target, Usage
    from pdp.payloads.payload import Payload


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
    tokens: tuple[str, ...]
    want_input_hash: bool
    without_approval: bool


class Question(NamedTuple):
    """What an engine is asked.

    Attributes:
        request: the complete request.
        min_revision: the revision that the decision must be based on at least.
        payload: the payload; None if the request has none.
        history: see `pdp.decisions.payloads.judge`.
    """

    request: Request
    min_revision: int = 0
    payload: Payload | None = None
    history: str = ""


def read(request: Request | Mapping[str, Any] | None, fields: RequestFields) -> Question:
    """Returns what the arguments ask.

    Args:
        request: a request, or the JSON form of a DecideRequest; None if `fields` are everything.
        fields: replace those of the request.

    Raises:
        TypeError: `request` has another type.
        InvalidArgument: the JSON form is invalid; the error names the fields.
    """
    if request is None:
        return Question(_with_defaults(Request(**fields)))
    if isinstance(request, Request):
        return Question(_with_defaults(request._replace(**fields)))
    if not isinstance(request, Mapping):
        kind = type(request).__name__
        raise TypeError(f"a request is a Request or a mapping, not {kind}; for a text say text=…")
    from pdp.jsonpb import decode  # noqa: PLC0415 - only callers that send JSON need it

    message = pb.DecideRequest()
    decode(dict(request), message)
    tenant_id = message.tenant_id or DEFAULT_TENANT
    parsed = to_request(message, tenant_id, message.request_id, takes_payload=True)
    complete = _with_defaults(parsed._replace(**fields))
    if not message.HasField("payload"):
        return Question(complete, message.min_revision)
    if complete.text or complete.arguments or complete.tool or complete.action:
        reason = "cannot be combined with text, arguments, tool or action; set one of them"
        raise InvalidArgument.of(Violation("payload", reason))
    from pdp.messages.payloads import to_payload  # noqa: PLC0415 - as above

    return Question(complete, message.min_revision, to_payload(message), message.payload.history)


def _with_defaults(request: Request) -> Request:
    """Fills in the same defaults as the server."""
    return request._replace(
        tenant_id=request.tenant_id or DEFAULT_TENANT,
        request_id=request.request_id or new_id(),
        direction=request.direction or "input",
        channel=request.channel or "interactive",
        timestamp=request.timestamp or time.time(),
    )
