"""`POST /v1/decide/payload/{format}`: decides the body of a request as a gateway holds it.

The context is in headers, so that curl and any webhook can ask. Who may set them, and how a gateway
removes those of its own clients, is in docs/integrations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import unquote_to_bytes

from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp.errors import InvalidArgument, Violation
from pdp.payloads.formats import NAMES
from pdp.payloads.payload import DETECT
from pdp.strictjson.problems import excerpt
from pdp.transport.http.adapter_routes import AdapterRoute, adapter_route
from pdp.transport.http.json_forms import form_of
from pdp.transport.http.responses import HttpResponse, json_response

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pdp.transport.call import Call
    from pdp.transport.decide_port import DecidePort
    from pdp.transport.http.requests import HttpRequest

TEMPLATE: Final = "/v1/decide/payload/{format}"

MAX_GROUPS: Final = 1000


def payload_route(port: DecidePort) -> AdapterRoute:
    """Returns the route."""

    async def handle(
        call: Call, request: HttpRequest, variables: tuple[bytes, ...]
    ) -> HttpResponse:
        message = pb.DecideRequest()
        message.payload.format = _format(variables[0])
        _check_encoding(request.headers)
        _read_headers(message, request.headers)
        message.payload.body = _text(await request.body())
        response = await port.decide(call, message)
        form = form_of(request.headers)
        return json_response(200, form.body(response, ""), call.reply, form.headers)

    return AdapterRoute("POST", TEMPLATE, adapter_route(port, handle))


def _format(raw: bytes) -> str:
    name = raw.decode("ascii", "replace")
    if name == DETECT:
        return ""
    if name not in NAMES:
        reason = f"is no format of payloads; use {', '.join((*NAMES, DETECT))}"
        raise InvalidArgument.of(Violation("format", reason))
    return name


def _check_encoding(headers: Mapping[str, str]) -> None:
    encoding = headers.get("content-encoding", "identity")
    if encoding.lower() != "identity":
        reason = f"is {excerpt(encoding)}; send the body without Content-Encoding"
        raise InvalidArgument.of(Violation("Content-Encoding", reason))


def _text(body: bytes | bytearray) -> str:
    if not body:
        raise InvalidArgument.of(Violation("body", "is empty; send the payload as the body"))
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        reason = f"byte {error.start} is not UTF-8"
        raise InvalidArgument.of(Violation("body", reason)) from None


def _set_groups(message: pb.DecideRequest, value: str) -> None:
    groups = [each.strip() for each in value.split(",") if each.strip()]
    if len(groups) > MAX_GROUPS:
        raise InvalidArgument.of(
            Violation("X-PDP-Groups", f"must have at most {MAX_GROUPS} groups")
        )
    message.subject.groups.extend(groups)


def _set_explain(message: pb.DecideRequest, value: str) -> None:
    if value not in ("true", "false"):
        raise InvalidArgument.of(Violation("X-PDP-Explain", "must be true or false"))
    message.explain = value == "true"


def _set(path: str) -> Callable[[pb.DecideRequest, str], None]:
    *owners, name = path.split(".")

    def set_field(message: pb.DecideRequest, value: str) -> None:
        owner: object = message
        for each in owners:
            owner = getattr(owner, each)
        setattr(owner, name, value)

    return set_field


_HEADERS: Final[Mapping[str, Callable[[pb.DecideRequest, str], None]]] = {
    "x-pdp-user": _set("subject.user_id"),
    "x-pdp-groups": _set_groups,
    "x-pdp-agent": _set("subject.agent_id"),
    "x-pdp-customer": _set("customer_id"),
    "x-pdp-direction": _set("direction"),
    "x-pdp-channel": _set("channel"),
    "x-pdp-provider": _set("model.provider"),
    "x-pdp-model": _set("model.model"),
    "x-pdp-session": _set("session_id"),
    "x-pdp-history": _set("payload.history"),
    "x-pdp-explain": _set_explain,
}
"""The headers of the context; a value may be percent-encoded UTF-8."""


def _read_headers(message: pb.DecideRequest, headers: Mapping[str, str]) -> None:
    """Sets the fields that headers give.

    Raises:
        InvalidArgument: a header is unknown, or its value cannot be read.
    """
    for name, value in headers.items():
        if not name.startswith("x-pdp-"):
            continue
        set_field = _HEADERS.get(name)
        if set_field is None:
            known = ", ".join(_HEADERS)
            raise InvalidArgument.of(Violation(excerpt(name), f"is unknown; use {known}"))
        try:
            # The bytes of a header arrive as Latin-1.
            set_field(message, unquote_to_bytes(value.encode("latin-1")).decode("utf-8"))
        except UnicodeDecodeError:
            reason = "is not UTF-8; percent-encode what is not ASCII"
            raise InvalidArgument.of(Violation(name, reason)) from None
