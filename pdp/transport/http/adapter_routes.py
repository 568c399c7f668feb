"""Routes of adapters: the credential first, then the body; every failure is a refusal."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, NamedTuple

import structlog

from pdp.errors import InternalError, PdpError
from pdp.transport.admission import REQUEST_ID_HEADER
from pdp.transport.http.requests import ClientGone
from pdp.transport.http.responses import HttpResponse, error_response
from pdp.transport.http.rpc_routes import Route, unread_headers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pdp.transport.call import Call
    from pdp.transport.decide_port import DecidePort
    from pdp.transport.http.requests import HttpRequest

_log = structlog.get_logger("pdp.adapters")

Handle = Callable[["Call", "HttpRequest", tuple[bytes, ...]], Awaitable[HttpResponse]]
"""Answers an admitted call; takes the raw text of the path's variables, too."""

Refuse = Callable[["PdpError", "Mapping[str, str]"], HttpResponse]
"""Returns the answer to a call that is refused, in the words of the protocol, with headers."""


class AdapterRoute(NamedTuple):
    """A route of an adapter.

    Attributes:
        http_method: the HTTP method.
        template: the path, as in `pdp.transport.http.router`.
        route: serves a request.
    """

    http_method: str
    template: str
    route: Route


def adapter_route(port: DecidePort, handle: Handle, refuse: Refuse = error_response) -> Route:
    """Returns a route that asks for the credential before it reads anything else.

    Args:
        port: asks for decisions.
        handle: answers an admitted call.
        refuse: makes the answer of an error.
    """

    async def route(request: HttpRequest, variables: tuple[bytes, ...]) -> HttpResponse:
        begin = time.perf_counter()
        call = port.call(request.headers, "http", request.peer)
        try:
            port.admit(call)
            return await handle(call, request, variables)
        except ClientGone:
            raise
        except Exception as failure:
            # A gateway may be configured to go on after an answer that it cannot read, so every
            # failure is a refusal in the words of its protocol.
            error = failure if isinstance(failure, PdpError) else _internal(failure)
            port.count_refusal(call, error, begin)
            headers = {**unread_headers(request, error), **call.reply}
            if call.request_id:
                headers[REQUEST_ID_HEADER] = call.request_id
            return refuse(error, headers)

    return route


def _internal(failure: Exception) -> InternalError:
    """Logs a fault, and returns the error that says nothing of it."""
    _log.error("call failed", exc_info=failure)
    return InternalError("internal error; the log of the server has its cause")
