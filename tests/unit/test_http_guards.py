"""Around the routes: who is answered at all, faults, and the pages that are no RPCs."""

from __future__ import annotations

from typing import Any

import pytest
import structlog.testing

from pdp.errors import InvalidPattern, PdpError, PolicyNameExists, StoreUnavailable, Violation
from pdp.transport.http import exchange
from tests.support.shim import POLICIES, Api


@pytest.fixture
def api() -> Api:
    """A fresh application."""
    return Api()


LOOPBACK_HOSTS = ("localhost", "LOCALHOST:1", "127.0.0.1:8080", "127.9.9.9", "[::1]:1")
OTHER_HOSTS = (
    "",
    "evil.example:8080",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "0.0.0.0",  # noqa: S104 - not bound to, asked for
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
def test_development_mode_answers_loopback_names_only(api: Api, host: str, status: int) -> None:
    reply = api.ask("GET", "/healthz", headers={"host": host})
    assert reply.status == status
    if status == 403:
        assert reply.error == (403, "HOST_REFUSED")
    assert Api(loopback_only=False).ask("GET", "/healthz", headers={"host": host}).status == 200


def test_two_hosts_are_refused(api: Api) -> None:
    reply = api.ask("GET", "/healthz", more=[(b"host", b"evil.example")])
    assert reply.error == (403, "HOST_REFUSED")


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://localhost:5173", 200),
        ("http://127.0.0.1", 200),
        ("https://evil.example", 403),
        ("null", 403),
    ],
)
def test_development_mode_answers_no_foreign_page(api: Api, origin: str, status: int) -> None:
    """A form on a foreign page could send what needs no body."""
    assert api.ask("DELETE", f"{POLICIES}/p", headers={"origin": origin}).status == status


def test_a_tenant_named_twice_is_no_tenant(api: Api) -> None:
    api.ask("GET", POLICIES, headers={"x-tenant-id": "a"}, more=[(b"x-tenant-id", b"b")])
    assert api.calls[0][0].metadata["x-tenant-id"] == "a, b"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InvalidPattern.of(Violation("pattern", "no")), 400),
        (PolicyNameExists("taken"), 409),
        (StoreUnavailable("later"), 503),
    ],
)
def test_errors_come_in_the_envelope(api: Api, error: PdpError, status: int) -> None:
    api.answers["ListStaticPolicies"] = error
    reply = api.ask("GET", POLICIES)
    assert reply.error == (status, error.reason)
    assert reply.headers["x-request-id"] == "req-1"


def test_a_fault_is_logged_and_not_shown(api: Api) -> None:
    api.answers["ListStaticPolicies"] = RuntimeError("the secret is 42")
    with structlog.testing.capture_logs() as logs:
        reply = api.ask("GET", POLICIES, headers={"x-request-id": "mine"})
    assert reply.error == (500, "INTERNAL")
    assert reply.json["error"]["message"] == "internal error; request id mine"
    assert logs[0]["request_id"] == "mine"
    assert logs[0]["exc_info"]


def test_an_id_cannot_begin_a_header_of_its_own(api: Api) -> None:
    name = exchange.json_answer(200, {}, {"x-request-id": "a\r\nset-cookie: é"}).headers[-1]
    assert name == (b"x-request-id", b"a%0D%0Aset-cookie: %C3%A9")
    long = api.ask("GET", "/x", headers={"x-request-id": "x" * 999})
    assert len(long.headers["x-request-id"]) == 256


def test_health_is_liveness_and_readiness_is_service(api: Api) -> None:
    assert api.ask("GET", "/readyz").json == {"status": "SERVING", "checks": {"snapshot": "loaded"}}
    api.health.serving = False
    reply = api.ask("GET", "/readyz")
    assert (reply.status, reply.json["status"]) == (503, "NOT_SERVING")
    assert api.ask("GET", "/healthz").json == {"status": "SERVING"}


def test_metrics_are_prometheus_text(api: Api) -> None:
    api.ask("GET", "/nothing")
    reply = api.ask("GET", "/metrics")
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
def test_pages_are_guarded_and_cached_by_content(api: Api, path: str, content_type: str) -> None:
    reply = api.ask("GET", path)
    assert reply.headers["content-type"] == content_type
    assert "unsafe" not in reply.headers["content-security-policy"]
    assert reply.headers["x-content-type-options"] == "nosniff"
    again = api.ask("GET", path, headers={"if-none-match": reply.headers["etag"]})
    assert (again.status, again.body) == (304, b"")


def test_the_root_leads_people_to_the_page_and_programs_to_the_document(api: Api) -> None:
    assert api.ask("GET", "/").json["openapi"] == "/openapi.json"
    reply = api.ask("GET", "/", headers={"accept": "text/html,*/*"})
    assert (reply.status, reply.headers["location"]) == (307, "/docs")


async def test_only_http_is_spoken(api: Api) -> None:
    async def receive() -> Any: ...

    async def send(_message: Any) -> None: ...

    with pytest.raises(NotImplementedError, match="not websocket"):
        await api.app()({"type": "websocket"}, receive, send)
