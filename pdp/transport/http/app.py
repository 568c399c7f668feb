"""The ASGI application: finds the route of a request, runs it, and always sends a response."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import structlog

from pdp.errors import InternalError, MethodNotAllowed, PdpError, RouteNotFound
from pdp.strictjson.problems import excerpt
from pdp.transport.admission import REQUEST_ID_HEADER, admit_all
from pdp.transport.http.binding import bindings
from pdp.transport.http.builtin_routes import HealthChecks, builtin_routes
from pdp.transport.http.loopback import check_loopback
from pdp.transport.http.requests import ClientGone, HttpRequest
from pdp.transport.http.responses import (
    NO_CONTENT,
    HttpResponse,
    StreamingResponse,
    error_response,
)
from pdp.transport.http.router import RouteMatch, Router
from pdp.transport.http.rpc_routes import Route, request_id, rpc_route, unread_headers

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from importlib.resources.abc import Traversable

    from starlette.types import ASGIApp, Receive, Scope, Send

    from pdp.transport.admission import Check
    from pdp.transport.call import Endpoint
    from pdp.transport.http.adapter_routes import AdapterRoute
    from pdp.transport.http.list_response import ListResponse
    from pdp.transport.methods import Method
    from pdp.transport.metrics import Metrics

__all__ = ["HealthChecks", "http_app"]

UNROUTED: Final = "unrouted"
"""The method label in metrics of a request that matches no RPC."""

_log = structlog.get_logger("pdp.http")


def http_app(
    methods: Mapping[str, Method],
    endpoints: Mapping[str, Endpoint],
    metrics: Metrics,
    health: HealthChecks,
    *,
    loopback_only: bool = True,
    admissions: Mapping[str, Check] = {},
    routes: Iterable[AdapterRoute] = (),
    console: Traversable | None = None,
) -> ASGIApp:
    """Returns the application.

    Args:
        methods: the RPCs by gRPC path. Those with a `google.api.http` annotation are served.
        endpoints: the guarded endpoint of each RPC, by gRPC path.
        metrics: counts the requests that never reach an endpoint. `/metrics` shows them all.
        health: the checks that `/readyz` shows.
        loopback_only: accept only requests for a loopback name.
        admissions: the check before the body of a request is read, by gRPC path.
        routes: the routes of adapters.
        console: the directory of the built console; None serves no console.

    Raises:
        ValueError: this server cannot serve an annotation, or two describe the same route.
        TypeError: a message cannot be written as JSON.
    """
    router: Router[Route] = Router()
    for path, method in methods.items():
        for binding in () if method.bidirectional else bindings(method):
            admit = admissions.get(path, admit_all)
            route = rpc_route(binding, endpoints[path], metrics, admit)
            router.add(binding.http_method, binding.template, route)
    for each in routes:
        router.add(each.http_method, each.template, each.route)
    for template, route in builtin_routes(metrics, health, console).items():
        router.add("GET", template, route)
    return _app(router, metrics, loopback_only=loopback_only)


def _app(router: Router[Route], metrics: Metrics, *, loopback_only: bool) -> ASGIApp:
    async def respond(request: HttpRequest) -> HttpResponse | ListResponse | StreamingResponse:
        begin = time.perf_counter()
        try:
            if loopback_only:
                check_loopback(request.headers, request.scheme)
            return await _dispatch(router, request)
        except PdpError as error:
            metrics.call("http", UNROUTED, error.reason, time.perf_counter() - begin)
            reply = unread_headers(request, error)
            if isinstance(error, MethodNotAllowed):
                reply["allow"] = ", ".join(error.allowed)
            return error_response(error, reply)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise NotImplementedError(f"this application serves HTTP, not {scope['type']}")
        request = HttpRequest.from_scope(scope, receive)
        try:
            response = await respond(request)
        except ClientGone:
            return
        except Exception:  # the caller must never see an internal error
            response = _internal_error(request)
        with suppress(OSError):  # ASGI servers raise it if the client has closed the connection
            await response.send(send, head=request.method == "HEAD")

    return app


async def _dispatch(
    router: Router[Route], request: HttpRequest
) -> HttpResponse | ListResponse | StreamingResponse:
    match = router.find(request.path)
    if match is None:
        path = excerpt(request.path.decode("utf-8", "replace"))
        raise RouteNotFound(f"there is no {path}; see /docs")
    route = match.values.get("GET" if request.method == "HEAD" else request.method)
    if route is not None:
        return await route(request, match.variables)
    allowed = _allowed_methods(match)
    if request.method == "OPTIONS":
        return HttpResponse(NO_CONTENT, ((b"allow", ", ".join(allowed).encode()),))
    path = excerpt(request.path.decode("utf-8", "replace"))
    raise MethodNotAllowed(f"{path} serves {', '.join(match.values)}", allowed)


def _allowed_methods(match: RouteMatch[Route]) -> tuple[str, ...]:
    head = ("HEAD",) if "GET" in match.values else ()
    return (*match.values, *head, "OPTIONS")


def _internal_error(request: HttpRequest) -> HttpResponse:
    """Logs the current exception, and returns a response that shows only the request's id."""
    name = request_id(request)
    _log.exception("request failed", method=request.method, request_id=name)
    return error_response(
        InternalError(f"internal error; request id {name}"), {REQUEST_ID_HEADER: name}
    )
