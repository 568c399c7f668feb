"""The ASGI application: finds the route of a request, runs it, and answers whatever happens."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import structlog

from pdp.errors import InternalError, MethodNotAllowed, PdpError, RouteNotFound
from pdp.jsonpb.refusal import shown
from pdp.transport.admission import REQUEST_ID_HEADER, admit_all
from pdp.transport.http.binding import bindings
from pdp.transport.http.exchange import (
    NO_CONTENT,
    ClientGone,
    Exchange,
    HttpResponse,
    error_answer,
    exchange_of,
)
from pdp.transport.http.hosts import check_loopback
from pdp.transport.http.pages import HealthChecks, pages
from pdp.transport.http.routes import Route, request_id, rpc, unread
from pdp.transport.http.templates import RouteMatch, Router

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import ASGIApp, Receive, Scope, Send

    from pdp.transport.admission import Check
    from pdp.transport.call import Endpoint
    from pdp.transport.http.streaming import StreamedAnswer
    from pdp.transport.methods import Method
    from pdp.transport.metrics import Metrics

__all__ = ["HealthChecks", "http_app"]

UNROUTED: Final = "unrouted"
"""What metrics call a request that is no RPC's."""

_log = structlog.get_logger("pdp.http")


def http_app(
    methods: Mapping[str, Method],
    endpoints: Mapping[str, Endpoint],
    metrics: Metrics,
    health: HealthChecks,
    *,
    loopback_only: bool = True,
    admissions: Mapping[str, Check] = {},
) -> ASGIApp:
    """Returns the application.

    Args:
        methods: the RPCs by gRPC path; those with a `google.api.http` annotation are served.
        endpoints: the guarded endpoint of each, by the same.
        metrics: counts what never reaches an endpoint, and is shown at `/metrics`.
        health: what `/readyz` shows.
        loopback_only: answer only requests that name this machine by a loopback name.
        admissions: what is asked before the body of a request is read, by path.

    Raises:
        ValueError: an annotation cannot be served, or two describe the same route.
        TypeError: a message cannot be written as JSON.
    """
    router: Router[Route] = Router()
    for path, method in methods.items():
        for binding in () if method.streaming else bindings(method):
            admit = admissions.get(path, admit_all)
            route = rpc(binding, endpoints[path], metrics, admit)
            router.add(binding.http_method, binding.template, route)
    for template, page in pages(metrics, health).items():
        router.add("GET", template, page)
    return _app(router, metrics, loopback_only=loopback_only)


def _app(router: Router[Route], metrics: Metrics, *, loopback_only: bool) -> ASGIApp:
    async def answer(exchange: Exchange) -> HttpResponse | StreamedAnswer:
        begin = time.perf_counter()
        try:
            if loopback_only:
                check_loopback(exchange.headers)
            return await _routed(router, exchange)
        except PdpError as error:
            metrics.call("http", UNROUTED, error.reason, time.perf_counter() - begin)
            reply = unread(exchange, error)
            if isinstance(error, MethodNotAllowed):
                reply["allow"] = ", ".join(error.allowed)
            return error_answer(error, reply)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise NotImplementedError(f"this application speaks HTTP, not {scope['type']}")
        exchange = exchange_of(scope, receive)
        try:
            answered = await answer(exchange)
        except ClientGone:
            return
        except Exception:  # whatever it is, it must not be shown
            answered = _fault(exchange)
        with suppress(OSError):  # what ASGI servers raise where nobody listens any more
            await answered.send(send, head=exchange.method == "HEAD")

    return app


async def _routed(router: Router[Route], exchange: Exchange) -> HttpResponse | StreamedAnswer:
    found = router.find(exchange.path)
    if found is None:
        path = shown(exchange.path.decode("utf-8", "replace"))
        raise RouteNotFound(f"there is no {path}; see /docs")
    route = found.values.get("GET" if exchange.method == "HEAD" else exchange.method)
    if route is not None:
        return await route(exchange, found.variables)
    allowed = _allowed(found)
    if exchange.method == "OPTIONS":
        return HttpResponse(NO_CONTENT, ((b"allow", ", ".join(allowed).encode()),))
    path = shown(exchange.path.decode("utf-8", "replace"))
    raise MethodNotAllowed(f"{path} serves {', '.join(found.values)}", allowed)


def _allowed(found: RouteMatch[Route]) -> tuple[str, ...]:
    head = ("HEAD",) if "GET" in found.values else ()
    return (*found.values, *head, "OPTIONS")


def _fault(exchange: Exchange) -> HttpResponse:
    """Returns the answer to a fault of ours; the log has the rest, under the request's id."""
    name = request_id(exchange)
    _log.exception("request failed", method=exchange.method, request_id=name)
    return error_answer(
        InternalError(f"internal error; request id {name}"), {REQUEST_ID_HEADER: name}
    )
