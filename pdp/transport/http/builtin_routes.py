"""The routes besides RPCs: health, metrics, the OpenAPI document and its page, the console."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING, Final, Protocol

from pdp.errors import DeadlineExceeded
from pdp.transport.http.console_routes import CONSOLE, console_routes
from pdp.transport.http.headers import UNCACHED
from pdp.transport.http.responses import HttpResponse, json_response
from pdp.transport.http.static_files import StaticRoute, static_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from importlib.resources.abc import Traversable

    from pdp.transport.http.requests import HttpRequest
    from pdp.transport.http.rpc_routes import Route
    from pdp.transport.metrics import Metrics

_CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_STATIC: Final = ("docs.css", "docs.js", "dom.js", "schema.js", "try.js", "icon.svg")
"""The files of the API reference page below `/docs/`."""

_INDEX: Final = {
    "name": "pdp",
    "docs": "/docs",
    "openapi": "/openapi.json",
    "health": "/healthz",
    "readiness": "/readyz",
    "metrics": "/metrics",
}


class HealthChecks(Protocol):
    """The state of the server that `/readyz` shows."""

    @property
    def serving(self) -> bool:
        """Whether the server accepts calls."""

    def checks(self) -> Mapping[str, str]:
        """Returns the state of each part that readiness depends on."""


def builtin_routes(
    metrics: Metrics, health: HealthChecks, console: Traversable | None = None
) -> dict[str, Route]:
    """Returns the built-in routes by path; all are for GET.

    Args:
        metrics: what `/metrics` shows.
        health: the checks that `/readyz` shows.
        console: the directory of the built console; None serves no console.
    """
    names = _INDEX if console is None else {**_INDEX, "console": f"{CONSOLE}/"}

    async def healthz(_request: HttpRequest, _variables: tuple[bytes, ...]) -> HttpResponse:
        return json_response(200, {"status": "SERVING"})

    async def readyz(_request: HttpRequest, _variables: tuple[bytes, ...]) -> HttpResponse:
        serving = health.serving
        status = {
            "status": "SERVING" if serving else "NOT_SERVING",
            "checks": dict(health.checks()),
        }
        return json_response(200 if serving else 503, status)

    async def metrics_page(_request: HttpRequest, _variables: tuple[bytes, ...]) -> HttpResponse:
        content_type = (b"content-type", b"text/plain; version=0.0.4; charset=utf-8")
        try:
            page = await metrics.page()
        except TimeoutError:
            raise DeadlineExceeded("the other workers did not send their metrics in time") from None
        return HttpResponse(200, (content_type, *UNCACHED), page)

    async def index(request: HttpRequest, _variables: tuple[bytes, ...]) -> HttpResponse:
        if "text/html" in request.headers.get("accept", ""):
            return HttpResponse(307, ((b"location", b"/docs"), *UNCACHED))
        return json_response(200, names)

    return {
        "/": index,
        "/healthz": healthz,
        "/readyz": readyz,
        "/metrics": metrics_page,
        "/openapi.json": _reference_file(resources.files("pdp._gen") / "openapi.json"),
        **_reference_page(),
        **({} if console is None else console_routes(console)),
    }


def _reference_page() -> dict[str, StaticRoute]:
    static = resources.files(__package__) / "static"
    return {
        "/docs": _reference_file(static / "docs.html"),
        **{f"/docs/{name}": _reference_file(static / name) for name in _STATIC},
    }


def _reference_file(file: Traversable) -> StaticRoute:
    return static_file(file, _CONTENT_SECURITY_POLICY)
