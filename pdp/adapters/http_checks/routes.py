"""`/v1/authz`: checks by HTTP, with or without a body."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp.adapters.approvals import decide_approved
from pdp.adapters.http_checks.answers import denied, passed, refused
from pdp.adapters.http_checks.fact_headers import described, read_headers, supported_obligations
from pdp.adapters.http_checks.mapped import original_of, read_mapped
from pdp.adapters.mapping import may_pass
from pdp.domain.request import MAX_VALUES
from pdp.errors import InvalidArgument, Violation
from pdp.jsonpb import decode, decode_json
from pdp.jsonpb.value_count import has_more_values
from pdp.transport.beside import run_beside
from pdp.transport.http.adapter_routes import AdapterRoute, adapter_route
from pdp.transport.http.fact_headers import read_tokens
from pdp.transport.http.requests import check_json

if TYPE_CHECKING:
    from pdp.adapters.mapping import MappingFile
    from pdp.transport.call import Call
    from pdp.transport.decide_port import DecidePort
    from pdp.transport.http.requests import HttpRequest
    from pdp.transport.http.responses import HttpResponse

PATH: Final = "/v1/authz"
TEMPLATES: Final = (PATH, f"{PATH}/{{path=**}}")
METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY")

REDACT: Final = "REDACT"


def http_check_routes(port: DecidePort, mapping: MappingFile) -> tuple[AdapterRoute, ...]:
    """Returns the routes of HTTP checks.

    Args:
        port: asks for decisions.
        mapping: the mapping file. If it has routes, they say how a check is read that names the
            request it is about.
    """

    async def handle(
        call: Call, request: HttpRequest, _variables: tuple[bytes, ...]
    ) -> HttpResponse:
        return await _check(port, mapping, call, request)

    route = adapter_route(port, handle, refused)
    return tuple(
        AdapterRoute(method, template, route) for template in TEMPLATES for method in METHODS
    )


async def _check(
    port: DecidePort, mapping: MappingFile, call: Call, request: HttpRequest
) -> HttpResponse:
    path = request.path.decode("ascii", "replace").removeprefix(PATH)
    original = original_of(request, path) if mapping.routes else None
    if original is not None:
        # The headers of such a check are those of the client, which cannot promise anything.
        route, message = await read_mapped(call, request, original, mapping.routes)
        supported: frozenset[str] = frozenset()
    else:
        route = None
        message, supported = await _read(request)
    message.tokens.extend(read_tokens(request.headers))
    response = await decide_approved(partial(port.decide, call), message)
    answer = passed if may_pass(response, supported) else denied
    return await run_beside(response.ByteSize(), answer, response, call.reply, route)


async def _read(request: HttpRequest) -> tuple[pb.DecideRequest, frozenset[str]]:
    """Returns the request of a check, and the obligations that its caller carries out."""
    supported = supported_obligations(request.headers)
    body = await request.body()
    if not body:
        if not described(request.headers):
            reason = "is empty; send a DecideRequest, or describe the request in X-PDP-… headers"
            raise InvalidArgument.of(Violation("body", reason))
        # There is no text that the answer could bring back redacted.
        return read_headers(request.headers), supported - {REDACT}
    if described(request.headers):
        reason = "describe the request, but it has a body, too; send one of them"
        raise InvalidArgument.of(Violation("X-PDP-… headers", reason))
    check_json(request.headers)
    return await run_beside(len(body), _parse, body), supported


def _parse(body: bytes | bytearray) -> pb.DecideRequest:
    if has_more_values(body, MAX_VALUES):
        raise InvalidArgument.of(Violation("body", f"holds more than {MAX_VALUES} JSON values"))
    request = pb.DecideRequest()
    decode(decode_json(body), request)
    return request
