"""Checks of requests whose route in the mapping file says what they carry and who asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp.adapters.mapping import SourceView, fill_context, find_route, payload_format
from pdp.adapters.mapping.routes import NONE
from pdp.errors import AccessDenied, InvalidArgument, MalformedRequest, Violation
from pdp.transport.admission import TENANT_HEADER
from pdp.transport.beside import run_beside
from pdp.transport.http.decoded_headers import DecodedHeaders

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pdp.adapters.mapping import Route
    from pdp.transport.call import Call
    from pdp.transport.http.requests import HttpRequest

FORWARDED_URI: Final = "x-forwarded-uri"
FORWARDED_METHOD: Final = "x-forwarded-method"
FORWARDED_HOST: Final = "x-forwarded-host"

PARTIAL_BODY: Final = "x-envoy-auth-partial-body"


class Original(NamedTuple):
    """The request that a gateway asks about."""

    method: str
    host: str
    target: str


def original_of(request: HttpRequest, path: str) -> Original | None:
    """Returns the request that a gateway asks about; None if the check does not name it.

    Args:
        request: the check.
        path: the raw path behind `/v1/authz`. If it is empty, X-Forwarded-Uri names the request.

    Raises:
        InvalidArgument: X-Forwarded-Uri stands without the headers that belong to it.
    """
    headers = DecodedHeaders(request.headers)
    if path:
        return Original(request.method, headers.get("host", ""), path)
    if FORWARDED_URI not in headers:
        return None
    for name in (FORWARDED_METHOD, FORWARDED_HOST):
        if not headers.get(name):
            raise InvalidArgument.of(Violation(name, "is required beside x-forwarded-uri"))
    return Original(headers[FORWARDED_METHOD], headers[FORWARDED_HOST], headers[FORWARDED_URI])


async def read_mapped(
    call: Call, request: HttpRequest, original: Original, routes: Sequence[Route]
) -> tuple[Route, pb.DecideRequest]:
    """Returns the route of a request, and what is to be decided.

    Args:
        call: the call of the gateway. The client's own X-Tenant-ID is removed from it, because
            only what the mapping names counts.
        request: the check.
        original: the request that the gateway asks about.
        routes: the routes of the mapping file.

    Raises:
        AccessDenied: no route matches.
        PdpError: the body or a fact cannot be read.
    """
    found = find_route(routes, original.method, original.host, original.target)
    if found is None:
        raise AccessDenied("no route of the mapping file matches the request")
    call.metadata = {key: each for key, each in call.metadata.items() if key != TENANT_HEADER}
    message = pb.DecideRequest(direction="input")
    view = SourceView(
        headers=DecodedHeaders(request.headers),
        certificate=request.peer[0] if request.peer else "",
        path_variables=found.path_variables,
    )
    fill_context(message, found.route.context, view)
    if found.route.request_payload != NONE:
        _check_whole(request.headers)
        message.payload.format = payload_format(found.route.request_payload)
        body = await request.body()
        message.payload.body = await run_beside(len(body), _text, body)
    return found.route, message


def _check_whole(headers: Mapping[str, str]) -> None:
    if headers.get(PARTIAL_BODY, "false").lower() != "false":
        reason = "says that the body is not complete; let the gateway buffer all of it"
        raise InvalidArgument.of(Violation(PARTIAL_BODY, reason))
    if headers.get("content-encoding", "identity").lower() != "identity":
        reason = "must be identity; a compressed body is not read"
        raise InvalidArgument.of(Violation("Content-Encoding", reason))


def _text(body: bytes | bytearray) -> str:
    if not body:
        problem = Violation("body", "is empty; let the gateway send the body of the request")
        raise MalformedRequest("the route carries a payload, but the check has no body", problem)
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        reason = f"byte {error.start} is not UTF-8"
        problem = Violation("body", reason)
        raise MalformedRequest(f"the body is no text: {reason}", problem) from None
