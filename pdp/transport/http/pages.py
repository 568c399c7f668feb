"""The routes that are no RPCs: health, metrics, the API document and its page."""

from __future__ import annotations

import hashlib
from importlib import resources
from typing import TYPE_CHECKING, Final, Protocol

from pdp.errors import DeadlineExceeded
from pdp.transport.http.exchange import (
    JSON_HEADERS,
    NOSNIFF,
    NOT_MODIFIED,
    Exchange,
    Header,
    HttpResponse,
    json_answer,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from importlib.resources.abc import Traversable

    from pdp.transport.http.routes import Route
    from pdp.transport.metrics import Metrics

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_PAGE_HEADERS: Final[tuple[Header, ...]] = (
    (b"cache-control", b"no-cache"),
    (b"content-security-policy", _POLICY.encode()),
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
"""The page's files, below `/docs/`."""

_INDEX: Final = {
    "name": "pdp",
    "docs": "/docs",
    "openapi": "/openapi.json",
    "health": "/healthz",
    "readiness": "/readyz",
    "metrics": "/metrics",
}


class HealthChecks(Protocol):
    """What `/readyz` shows."""

    @property
    def serving(self) -> bool:
        """Whether the server may be sent calls."""

    def checks(self) -> Mapping[str, str]:
        """Returns the state of each thing that readiness depends on."""


def pages(metrics: Metrics, health: HealthChecks) -> dict[str, Route]:
    """Returns the plain routes, all of them for GET, by path."""

    async def healthz(_exchange: Exchange, _variables: tuple[bytes, ...]) -> HttpResponse:
        return json_answer(200, {"status": "SERVING"})

    async def readyz(_exchange: Exchange, _variables: tuple[bytes, ...]) -> HttpResponse:
        serving = health.serving
        status = {
            "status": "SERVING" if serving else "NOT_SERVING",
            "checks": dict(health.checks()),
        }
        return json_answer(200 if serving else 503, status)

    async def rendered(_exchange: Exchange, _variables: tuple[bytes, ...]) -> HttpResponse:
        content_type = (b"content-type", b"text/plain; version=0.0.4; charset=utf-8")
        try:
            page = await metrics.page()
        except TimeoutError:
            raise DeadlineExceeded("the other workers did not answer in time") from None
        return HttpResponse(200, (content_type, *JSON_HEADERS[1:]), page)

    async def index(exchange: Exchange, _variables: tuple[bytes, ...]) -> HttpResponse:
        if "text/html" in exchange.headers.get("accept", ""):
            return HttpResponse(307, ((b"location", b"/docs"), *JSON_HEADERS[1:]))
        return json_answer(200, _INDEX)

    return {
        "/": index,
        "/healthz": healthz,
        "/readyz": readyz,
        "/metrics": rendered,
        "/openapi.json": _file(resources.files("pdp._gen") / "openapi.json", "application/json"),
        **_documentation(),
    }


def _documentation() -> dict[str, Route]:
    static = resources.files(__package__) / "static"
    return {
        "/docs": _file(static / "docs.html", "text/html; charset=utf-8"),
        **{f"/docs/{name}": _file(static / name, kind) for name, kind in _STATIC.items()},
    }


def _file(file: Traversable, content_type: str) -> Route:
    """Returns the route of a file, which is read once, now."""
    body = file.read_bytes()
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers: tuple[Header, ...] = ((b"etag", etag.encode()), *_PAGE_HEADERS)
    typed = ((b"content-type", content_type.encode()), *headers)

    async def serve(exchange: Exchange, _variables: tuple[bytes, ...]) -> HttpResponse:
        if etag in exchange.headers.get("if-none-match", ""):
            return HttpResponse(NOT_MODIFIED, headers)
        return HttpResponse(200, typed, body)

    return serve
