"""Bodies: those that are read, and those that are refused before the endpoint is called."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import structlog.testing

from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp.transport import beside
from pdp.transport.http import requests
from tests.support.http_api import JSON, POLICIES, Api


@pytest.fixture
def api() -> Api:
    """A new application."""
    return Api()


@pytest.mark.parametrize(
    "media_type",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "",
        "application/jsonx",
        "a, application/json",
    ],
)
def test_a_body_must_be_declared_as_json(api: Api, media_type: str) -> None:
    reply = api.request("POST", "/v1/decide", b"{}", {"content-type": media_type})
    assert reply.error == (415, "UNSUPPORTED_MEDIA_TYPE")


def test_json_may_have_parameters_but_no_compression(api: Api) -> None:
    media_type = {"content-type": "Application/JSON; charset=utf-8"}
    assert api.request("POST", "/v1/decide", b"{}", media_type).status == 200
    zipped = {**JSON, "content-encoding": "gzip"}
    assert api.request("POST", "/v1/decide", b"{}", zipped).error == (415, "UNSUPPORTED_MEDIA_TYPE")


@pytest.mark.parametrize(
    ("body", "code", "violations"),
    [
        (b"", "MALFORMED_REQUEST", {"body": "is required"}),
        (b'{"tool"', "MALFORMED_REQUEST", {"body": "expected a colon at line 1, column 8"}),
        (b"[]", "INVALID_ARGUMENT", {"body": "must be an object, not an array"}),
        (b"\xff", "MALFORMED_REQUEST", {"body": "byte 0 is not UTF-8"}),
        (
            b'{"a":1,"a":1}',
            "MALFORMED_REQUEST",
            {"body": 'the name "a" occurs twice in one object'},
        ),
        (b"[" * 100_000, "MALFORMED_REQUEST", {"body": "nested too deep"}),
        (b'{"tol": 1}', "INVALID_ARGUMENT", {"tol": "unknown field; did you mean tool?"}),
        (b'{"\\ud800": 1}', "INVALID_ARGUMENT", {"?": "unknown field"}),
    ],
)
def test_an_invalid_body_is_refused(
    api: Api, body: bytes, code: str, violations: dict[str, str]
) -> None:
    reply = api.request("POST", "/v1/decide", body, {**JSON, "x-request-id": "mine"})
    assert reply.error == (400, code)
    assert {each["field"]: each["reason"] for each in reply.json["error"]["details"]} == violations
    assert reply.headers["x-request-id"] == "mine"
    assert 'method="Decide",transport="http"} 1.0' in _calls(api, code)


def _calls(api: Api, code: str) -> str:
    lines = api.metrics.render().decode().splitlines()
    return next(line for line in lines if line.startswith(f'pdp_calls_total{{code="{code}"'))


def test_a_method_without_a_body_refuses_one(api: Api) -> None:
    assert api.request("DELETE", f"{POLICIES}/pol_1", headers=JSON).status == 200
    reply = api.request("DELETE", f"{POLICIES}/pol_1", b"{}")
    assert reply.error == (400, "MALFORMED_REQUEST")


@pytest.mark.parametrize("headers", [{}, {"content-length": "2"}, {"transfer-encoding": "chunked"}])
def test_a_body_that_is_too_large_is_refused_whatever_its_headers(
    api: Api, monkeypatch: pytest.MonkeyPatch, headers: dict[str, str]
) -> None:
    monkeypatch.setattr(requests, "MAX_BODY_BYTES", 1024)
    reply = api.request("POST", "/v1/decide", [b" " * 100] * 11, {**JSON, **headers})
    assert reply.error == (413, "REQUEST_TOO_LARGE")
    body = b'{"tool": "' + b"x" * 1012 + b'"}'
    assert api.request("POST", "/v1/decide", [body[:500], body[500:]], JSON).status == 200


def test_the_server_does_not_wait_for_an_endless_body(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests, "MAX_BODY_BYTES", 10)
    monkeypatch.setattr(requests, "MAX_DISCARDED_BYTES", 40)
    body = [b" " * 10] * 10
    reply = api.request("POST", "/v1/decide", body, JSON)
    assert reply.error == (413, "REQUEST_TOO_LARGE")
    assert reply.headers["connection"] == "close"
    headers = {**JSON, "expect": "100-continue", "content-length": "99999999999999999999"}
    reply = api.request("POST", "/v1/decide", [], headers)
    assert reply.error == (413, "REQUEST_TOO_LARGE")
    assert reply.headers["connection"] == "close"


async def test_a_body_that_does_not_arrive_times_out(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests, "BODY_TIMEOUT_S", 0.01)
    messages: list[Any] = []

    async def receive() -> Any:
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        messages.append(message)

    scope: dict[str, Any] = {"type": "http", "method": "POST", "path": "/v1/decide"}
    scope |= {"query_string": b"", "headers": [(b"host", b"localhost")]}
    await api.app()(scope, receive, send)
    assert messages[0]["status"] == 504


def test_a_closed_connection_gets_no_response(api: Api) -> None:
    with structlog.testing.capture_logs() as logs:
        assert api.request("POST", "/v1/decide", [], JSON).status == 0
    assert not logs
    assert not api.calls


def test_a_large_body_is_decoded_in_a_thread(api: Api) -> None:
    """Megabytes of JSON do not delay the decisions of others."""
    text = "x" * beside.LARGE
    assert api.post("/v1/decide", {"content": {"text": text}}).status == 200
    assert api.calls[0][1] == pb.DecideRequest(content=pb.Content(text=text))
    assert api.post("/v1/decide", {"tool": [text]}).error == (400, "INVALID_ARGUMENT")
