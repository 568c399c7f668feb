"""`POST /v1/decide/payload/{format}`: decides the body of a request as a gateway holds it.

The context is in headers, so that curl and any webhook can ask. Who may set them, and how a gateway
removes those of its own clients, is in docs/integrations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp.errors import InvalidArgument, Violation
from pdp.payloads.formats import NAMES
from pdp.payloads.payload import DETECT
from pdp.strictjson.problems import excerpt
from pdp.transport.http.adapter_routes import AdapterRoute, adapter_route
from pdp.transport.http.fact_headers import GROUPS, TOKENS, read_facts, read_tokens
from pdp.transport.http.json_forms import form_of
from pdp.transport.http.responses import HttpResponse, json_response

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pdp.transport.call import Call
    from pdp.transport.decide_port import DecidePort
    from pdp.transport.http.requests import HttpRequest

TEMPLATE: Final = "/v1/decide/payload/{format}"

EXPLAIN: Final = "x-pdp-explain"


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


def _read_headers(message: pb.DecideRequest, headers: Mapping[str, str]) -> None:
    read_facts(message, headers, _FACTS, (EXPLAIN, TOKENS))
    message.tokens.extend(read_tokens(headers))
    explain = headers.get(EXPLAIN, "false")
    if explain not in ("true", "false"):
        raise InvalidArgument.of(Violation("X-PDP-Explain", "must be true or false"))
    message.explain = explain == "true"


_FACTS: Final = (
    "user",
    GROUPS,
    "agent",
    "customer",
    "direction",
    "channel",
    "provider",
    "model",
    "session",
    "history",
)
"""The facts of the context that headers give."""
