"""The handling of errors that all HTTP connectors share."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Final

import httpx2
import pytest

from pdp.export.siem import http
from pdp.export.siem.base import BatchRefused, DeliveryFailed
from tests.support.certificates import new_authority
from tests.support.siem import connected, events, uids
from tests.support.siem_product import PlannedResponse, Product, ReceivedRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pdp.export.siem.base import Connector

SECRET: Final = "sup3r-s3cret"

ENVIRONMENTS: Final[dict[str, Callable[[str], dict[str, str]]]] = {
    "splunk": lambda url: {"SPLUNK_HEC_URL": url, "SPLUNK_HEC_TOKEN": SECRET},
    "elastic": lambda url: {"ELASTIC_URL": url, "ELASTIC_API_KEY": SECRET},
    "sentinel": lambda url: {
        "SENTINEL_ENDPOINT": url,
        "SENTINEL_AUTHORITY": url,
        "SENTINEL_RULE_ID": "dcr-1",
        "SENTINEL_STREAM": "Custom-Pdp_CL",
        "SENTINEL_TENANT_ID": "directory",
        "SENTINEL_CLIENT_ID": "app",
        "SENTINEL_CLIENT_SECRET": SECRET,
    },
    "datadog": lambda url: {
        "DATADOG_API_KEY": SECRET,
        "DATADOG_LOGS_URL": url,
        "DATADOG_API_URL": url,
    },
    "sumo_logic": lambda url: {"SUMO_LOGIC_URL": f"{url}/receiver/v1/http/{SECRET}"},
    "otlp": lambda url: {"OTLP_LOGS_ENDPOINT": url, "OTLP_LOGS_HEADERS": f"authorization={SECRET}"},
}


def grant_token(request: ReceivedRequest) -> PlannedResponse:
    """Grants tokens, and fails all other requests."""
    if request.path.endswith("/token"):
        return PlannedResponse(200, {"access_token": "granted", "expires_in": 3599})
    return PlannedResponse(500, "unexpected")


@pytest.fixture
def product() -> Iterator[Product]:
    with Product(grant_token) as server:
        yield server


@pytest.fixture(params=sorted(ENVIRONMENTS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def failure(connector: Connector) -> DeliveryFailed:
    with pytest.raises(DeliveryFailed) as failed:
        await connector.send(events(2))
    return failed.value


def plan(product: Product, name: str, response: PlannedResponse) -> None:
    """Plans the response to the next delivery, and to the token request before it."""
    if name == "sentinel":
        product.responses.append(
            PlannedResponse(200, {"access_token": "granted", "expires_in": 3599})
        )
    product.responses.append(response)


async def test_retry_after_is_obeyed(
    product: Product, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with connected(name, **ENVIRONMENTS[name](product.url)) as connector:
        plan(product, name, PlannedResponse(429, "slow down", {"Retry-After": "17"}))
        assert (await failure(connector)).after_s == 17
        now = datetime(2026, 9, 21, 14, 13, 21, tzinfo=UTC)
        monkeypatch.setattr(http, "time", now.timestamp)
        at = now + timedelta(minutes=10)
        product.responses.append(
            PlannedResponse(503, headers={"Retry-After": format_datetime(at, usegmt=True)})
        )
        assert (await failure(connector)).after_s == 600
        product.responses.append(PlannedResponse(503, headers={"Retry-After": "soon"}))
        assert (await failure(connector)).after_s is None
        product.responses.append(PlannedResponse(503, headers={"Retry-After": "1e9"}))
        assert (await failure(connector)).after_s == http.MAX_RETRY_AFTER_S


@pytest.mark.parametrize("status", [401, 403, 404, 408, 429, 500, 502, 503, 504, 302])
async def test_a_failure_that_no_event_causes_is_retried(
    product: Product, name: str, status: int
) -> None:
    async with connected(name, **ENVIRONMENTS[name](product.url)) as connector:
        plan(product, name, PlannedResponse(status, "no", {"location": "http://127.0.0.1:1/"}))
        assert f"HTTP {status}" in (await failure(connector)).reason
        assert len(product.requests) == (2 if name == "sentinel" else 1), "a redirect was followed"


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_a_failure_that_the_batch_causes_is_not_retried(
    product: Product, name: str, status: int
) -> None:
    async with connected(name, **ENVIRONMENTS[name](product.url)) as connector:
        plan(product, name, PlannedResponse(status, "bad"))
        with pytest.raises(BatchRefused, match=f"HTTP {status} bad"):
            await connector.send(events(2))


@pytest.mark.parametrize(
    "response",
    [
        PlannedResponse(reset=True),
        PlannedResponse(raw=b""),
        PlannedResponse(raw=b"SSH-2.0-OpenSSH_9.6\r\n"),
        PlannedResponse(raw=b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\ncut off"),
        PlannedResponse(raw=b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"),
        PlannedResponse(
            raw=b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 3\r\n\r\nabc"
        ),
    ],
    ids=["reset", "closed", "other protocol", "cut off", "bad chunk", "bad gzip"],
)
async def test_an_invalid_response_is_retried(
    product: Product, name: str, response: PlannedResponse
) -> None:
    async with connected(name, **ENVIRONMENTS[name](product.url)) as connector:
        plan(product, name, response)
        assert (await failure(connector)).reason


async def test_a_response_that_is_too_long_is_cut_off(product: Product, name: str) -> None:
    async with connected(name, **ENVIRONMENTS[name](product.url)) as connector:
        plan(product, name, PlannedResponse(200, b"x" * (http.MAX_RESPONSE + 1)))
        assert "longer than" in (await failure(connector)).reason


async def test_a_slow_response_times_out(
    product: Product, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "_TIMEOUT", httpx2.Timeout(0.05))
    never = threading.Event()
    async with connected(name, **ENVIRONMENTS[name](product.url)) as connector:
        product.responses.append(PlannedResponse(200, wait=never))
        assert "no answer in time" in (await failure(connector)).reason
    never.set()


async def test_a_refused_connection_is_a_failure(name: str) -> None:
    with Product(grant_token) as closed_server:
        environ = ENVIRONMENTS[name](closed_server.url)
    async with connected(name, **environ) as connector:
        assert "ConnectError" in (await failure(connector)).reason
        with pytest.raises(DeliveryFailed):
            await connector.check()


async def test_secrets_are_never_shown(
    product: Product, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    async with connected(name, **ENVIRONMENTS[name](product.url)) as connector:
        assert SECRET not in str(connector.config_summary())
        plan(product, name, PlannedResponse(400, f"bad {SECRET}"))
        product.responses.append(PlannedResponse(500, f"worse {SECRET}"))
        for _ in range(2):
            with pytest.raises((BatchRefused, DeliveryFailed)) as failed:
                await connector.send(events(1))
            assert "***" in str(failed.value)
            assert SECRET not in str(failed.value)
        product.responses.extend([PlannedResponse(500, SECRET)] * 2)
        with pytest.raises(DeliveryFailed) as unhealthy:
            await connector.check()
        assert SECRET not in str(unhealthy.value)
    assert SECRET not in caplog.text


async def test_events_keep_their_uids_if_they_are_sent_again(product: Product, name: str) -> None:
    """If the connection breaks after a delivery, the product can recognize the events."""
    async with connected(name, **ENVIRONMENTS[name](product.url)) as connector:
        plan(product, name, PlannedResponse(reset=True))
        with pytest.raises(DeliveryFailed):
            await connector.send(events(3))
        product.responses.append(PlannedResponse(500))
        with pytest.raises(DeliveryFailed):
            await connector.send(events(3))
    first, second = product.requests[-2:]
    for uid in uids(3):
        assert uid.encode() in first.body
        assert uid.encode() in second.body


async def test_a_secret_is_masked_before_truncation(product: Product, name: str) -> None:
    async with connected(name, **ENVIRONMENTS[name](product.url)) as connector:
        plan(product, name, PlannedResponse(500, "x" * (http.MAX_REASON - 5) + SECRET))
        assert SECRET[:5] not in (await failure(connector)).reason


@pytest.mark.parametrize(
    ("name", "environ", "repeated"),
    [
        ("splunk", {"SPLUNK_HEC_TOKEN": "a+b/c d=e"}, "a%2Bb%2Fc%20d%3De"),
        ("splunk", {"SPLUNK_HEC_TOKEN": "a+b/c d=e"}, "a%2Bb%2Fc+d%3De"),
        ("splunk", {"SPLUNK_HEC_TOKEN": 'say "friend"'}, 'say \\"friend\\"'),
        ("otlp", {"OTLP_LOGS_HEADERS": "authorization=Basic%20dXNlcjpwYXNz"}, "dXNlcjpwYXNz"),
        (
            "elastic",
            {"ELASTIC_API_KEY": "", "ELASTIC_USERNAME": "u", "ELASTIC_PASSWORD": "p4ssw0rd"},
            "dTpwNHNzdzByZA==",
        ),
        ("sentinel", {}, "granted"),
    ],
    ids=["percent", "form", "json", "decoded header", "basic", "token"],
)
async def test_a_secret_is_masked_in_every_encoding(
    product: Product, name: str, environ: dict[str, str], repeated: str
) -> None:
    """A gateway may repeat the request that it refuses in its response."""
    async with connected(name, **{**ENVIRONMENTS[name](product.url), **environ}) as connector:
        plan(product, name, PlannedResponse(500, f"refused: {repeated}!"))
        assert (await failure(connector)).reason == "HTTP 500 refused: ***!"


async def test_an_untrusted_certificate_is_refused(name: str, tmp_path: Path) -> None:
    certificate, key = new_authority().issue("localhost").write(tmp_path, "server")
    with Product(grant_token, (str(certificate), str(key))) as product:
        async with connected(name, **ENVIRONMENTS[name](product.url)) as connector:
            assert "CERTIFICATE_VERIFY_FAILED" in (await failure(connector)).reason
        assert product.requests == []


async def test_certificate_verification_can_be_switched_off(tmp_path: Path) -> None:
    certificate, key = new_authority().issue("localhost").write(tmp_path, "server")
    with Product(
        lambda _: PlannedResponse(200, {"text": "Success", "code": 0}), (str(certificate), str(key))
    ) as product:
        environ = ENVIRONMENTS["splunk"](product.url)
        async with connected("splunk", **environ, SPLUNK_HEC_TLS_VERIFY="false") as connector:
            assert await connector.send(events(1)) == ()
