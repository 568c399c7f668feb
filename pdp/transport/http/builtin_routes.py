"""The routes besides RPCs: health, metrics, the OpenAPI document and the API reference page."""

from __future__ import annotations

import hashlib
from importlib import resources
from typing import TYPE_CHECKING, Final, Protocol

from pdp.errors import DeadlineExceeded
from pdp.transport.http.headers import NOSNIFF, UNCACHED, Header
from pdp.transport.http.responses import NOT_MODIFIED, HttpResponse, json_response

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
_PAGE_HEADERS: Final[tuple[Header, ...]] = (
    (b"cache-control", b"no-cache"),
    (b"content-security-policy", _CONTENT_SECURITY_POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    NOSNIFF,
)
_STATIC: Final[Mapping[str, str]] = {
    "docs.css": "text/css; charset=utf-8",
    "docs.js": "text/javascript; charset=utf-8",
    "dom.js": "text/javascript; charset=utf-8",
    "schema.js": "text/javascript; charset=utf-8",
    "try.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
"""The files of the API reference page below `/docs/`, with their media types."""

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


def builtin_routes(metrics: Metrics, health: HealthChecks) -> dict[str, Route]:
    """Returns the built-in routes by path; all are for GET."""

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
        return json_response(200, _INDEX)

    return {
        "/": index,
        "/healthz": healthz,
        "/readyz": readyz,
        "/metrics": metrics_page,
        "/openapi.json": _file(resources.files("pdp._gen") / "openapi.json", "application/json"),
        **_reference_page(),
    }


def _reference_page() -> dict[str, Route]:
    static = resources.files(__package__) / "static"
    return {
        "/docs": _file(static / "docs.html", "text/html; charset=utf-8"),
        **{f"/docs/{name}": _file(static / name, kind) for name, kind in _STATIC.items()},
    }


def _file(file: Traversable, content_type: str) -> Route:
    """Reads a file, and returns its route."""
    body = file.read_bytes()
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers: tuple[Header, ...] = ((b"etag", etag.encode()), *_PAGE_HEADERS)
    full_headers = ((b"content-type", content_type.encode()), *headers)

    async def serve(request: HttpRequest, _variables: tuple[bytes, ...]) -> HttpResponse:
        if etag in request.headers.get("if-none-match", ""):
            return HttpResponse(NOT_MODIFIED, headers)
        return HttpResponse(200, full_headers, body)

    return serve
