"""Around the routes: loopback checks, errors, and the built-in routes."""

from __future__ import annotations

from typing import Any

import pytest
import structlog.testing

from pdp.errors import (
    HostRefused,
    InvalidPattern,
    PdpError,
    PolicyNameExists,
    StoreUnavailable,
    Violation,
)
from pdp.transport.http.loopback import check_loopback
from pdp.transport.http.responses import json_response
from tests.support.http_api import POLICIES, Api


@pytest.fixture
def api() -> Api:
    """A new application."""
    return Api()


LOOPBACK_HOSTS = ("localhost", "LOCALHOST:1", "127.0.0.1:8080", "127.9.9.9", "[::1]:1")
OTHER_HOSTS = (
    "",
    "evil.example:8080",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "0.0.0.0",  # noqa: S104 - a Host header, not a bound address
    "10.0.0.1",
    "2130706433",
    "::1",
    "[::2]",
    "localhost:x",
    "a@localhost",
    "localhost, evil.example",
)


@pytest.mark.parametrize(
    ("host", "status"),
    [*((host, 200) for host in LOOPBACK_HOSTS), *((host, 403) for host in OTHER_HOSTS)],
)
def test_development_mode_accepts_loopback_names_only(api: Api, host: str, status: int) -> None:
    reply = api.request("GET", "/healthz", headers={"host": host})
    assert reply.status == status
    if status == 403:
        assert reply.error == (403, "HOST_REFUSED")
    assert Api(loopback_only=False).request("GET", "/healthz", headers={"host": host}).status == 200


def test_two_hosts_are_refused(api: Api) -> None:
    reply = api.request("GET", "/healthz", more=[(b"host", b"evil.example")])
    assert reply.error == (403, "HOST_REFUSED")


OWN_ORIGINS = (
    ("localhost:8080", "http://localhost:8080"),
    ("LOCALHOST:8080", "http://localhost:8080"),
    ("127.0.0.1:8080", "http://127.0.0.1:8080"),
    ("[::1]:8080", "http://[::1]:8080"),
    ("localhost", "http://localhost"),
    ("localhost:80", "http://localhost"),
    ("localhost", "http://localhost:80"),
)
FOREIGN_ORIGINS = (
    ("localhost:8080", "http://localhost:5173"),
    ("localhost:8080", "http://localhost"),
    ("localhost", "http://localhost:8080"),
    ("localhost:8080", "https://localhost:8080"),
    ("localhost:443", "http://localhost"),
    ("localhost:8080", "http://127.0.0.1:8080"),
    ("127.0.0.1:8080", "http://127.0.0.2:8080"),
    ("localhost:8080", "http://localhost:8080.evil.example"),
    ("localhost:8080", "http://localhost:8080/"),
    ("localhost:8080", "http://localhost:8080, http://localhost:8080"),
    ("localhost:8080", "localhost:8080"),
    ("localhost:8080", "https://evil.example"),
    ("evil.example:8080", "http://evil.example:8080"),
    ("localhost:8080", "null"),
    ("localhost:8080", ""),
)


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [*((*each, 200) for each in OWN_ORIGINS), *((*each, 403) for each in FOREIGN_ORIGINS)],
)
def test_development_mode_refuses_foreign_pages(
    api: Api, host: str, origin: str, status: int
) -> None:
    """A form on a foreign page could send a request without a body."""
    headers = {"host": host, "origin": origin}
    reply = api.request("DELETE", f"{POLICIES}/p", headers=headers)
    assert reply.status == status
    if status == 403:
        assert reply.error == (403, "HOST_REFUSED")
    other_mode = Api(loopback_only=False)
    assert other_mode.request("DELETE", f"{POLICIES}/p", headers=headers).status == 200


def test_over_tls_the_own_origin_is_https() -> None:
    headers = {"host": "localhost:443", "origin": "https://localhost"}
    check_loopback(headers, "https")
    with pytest.raises(HostRefused, match="scheme, host and port"):
        check_loopback(headers, "http")


def test_two_tenant_headers_are_not_a_tenant(api: Api) -> None:
    api.request("GET", POLICIES, headers={"x-tenant-id": "a"}, more=[(b"x-tenant-id", b"b")])
    assert api.calls[0][0].metadata["x-tenant-id"] == "a, b"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InvalidPattern.of(Violation("pattern", "no")), 400),
        (PolicyNameExists("taken"), 409),
        (StoreUnavailable("later"), 503),
    ],
)
def test_errors_are_sent_in_the_envelope(api: Api, error: PdpError, status: int) -> None:
    api.responses["ListStaticPolicies"] = error
    reply = api.request("GET", POLICIES)
    assert reply.error == (status, error.reason)
    assert reply.headers["x-request-id"] == "req-1"


def test_an_internal_error_is_logged_and_not_shown(api: Api) -> None:
    api.responses["ListStaticPolicies"] = RuntimeError("the secret is 42")
    with structlog.testing.capture_logs() as logs:
        reply = api.request("GET", POLICIES, headers={"x-request-id": "mine"})
    assert reply.error == (500, "INTERNAL")
    assert reply.json["error"]["message"] == "internal error; request id mine"
    assert logs[0]["request_id"] == "mine"
    assert logs[0]["exc_info"]


def test_an_id_cannot_start_a_new_header(api: Api) -> None:
    name = json_response(200, {}, {"x-request-id": "a\r\nset-cookie: é"}).headers[-1]
    assert name == (b"x-request-id", b"a%0D%0Aset-cookie: %C3%A9")
    long = api.request("GET", "/x", headers={"x-request-id": "x" * 999})
    assert len(long.headers["x-request-id"]) == 256


def test_healthz_is_liveness_and_readyz_is_readiness(api: Api) -> None:
    assert api.request("GET", "/readyz").json == {
        "status": "SERVING",
        "checks": {"snapshot": "loaded"},
    }
    api.health.serving = False
    reply = api.request("GET", "/readyz")
    assert (reply.status, reply.json["status"]) == (503, "NOT_SERVING")
    assert api.request("GET", "/healthz").json == {"status": "SERVING"}


def test_metrics_are_prometheus_text(api: Api) -> None:
    api.request("GET", "/nothing")
    reply = api.request("GET", "/metrics")
    assert reply.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert b'method="unrouted"' in reply.body


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/docs", "text/html; charset=utf-8"),
        ("/docs/docs.js", "text/javascript; charset=utf-8"),
        ("/docs/docs.css", "text/css; charset=utf-8"),
        ("/docs/icon.svg", "image/svg+xml"),
        ("/openapi.json", "application/json"),
    ],
)
def test_pages_have_security_headers_and_are_cached_by_content(
    api: Api, path: str, content_type: str
) -> None:
    reply = api.request("GET", path)
    assert reply.headers["content-type"] == content_type
    assert "unsafe" not in reply.headers["content-security-policy"]
    assert reply.headers["x-content-type-options"] == "nosniff"
    again = api.request("GET", path, headers={"if-none-match": reply.headers["etag"]})
    assert (again.status, again.body) == (304, b"")


def test_the_root_redirects_browsers_and_lists_the_routes_for_programs(api: Api) -> None:
    assert api.request("GET", "/").json["openapi"] == "/openapi.json"
    reply = api.request("GET", "/", headers={"accept": "text/html,*/*"})
    assert (reply.status, reply.headers["location"]) == (307, "/docs")


async def test_only_http_is_served(api: Api) -> None:
    async def receive() -> Any: ...

    async def send(_message: Any) -> None: ...

    with pytest.raises(NotImplementedError, match="not websocket"):
        await api.app()({"type": "websocket"}, receive, send)
