"""What all connectors that speak HTTP have in common: what may go wrong, and what is made of it."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Final

import httpx2
import pytest

from pdp.export.siem import http
from pdp.export.siem.base import BatchRefused, DeliveryFailed
from tests.support.certificates import authority
from tests.support.siem import connected, events, uids
from tests.support.siem_product import Asked, Product, Say

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


def granted(asked: Asked) -> Say:
    """Grants tokens, and answers deliveries as nobody expects."""
    if asked.path.endswith("/token"):
        return Say(200, {"access_token": "granted", "expires_in": 3599})
    return Say(500, "not what was asked for")


@pytest.fixture
def product() -> Iterator[Product]:
    with Product(granted) as opened:
        yield opened


@pytest.fixture(params=sorted(ENVIRONMENTS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def failure(connector: Connector) -> DeliveryFailed:
    with pytest.raises(DeliveryFailed) as failed:
        await connector.send(events(2))
    return failed.value


def say(product: Product, name: str, answer: Say) -> None:
    """Has a delivery answered so, whatever else is asked before."""
    if name == "sentinel":
        product.said.append(Say(200, {"access_token": "granted", "expires_in": 3599}))
    product.said.append(answer)


async def test_throttling_is_obeyed(
    product: Product, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with connected(name, **ENVIRONMENTS[name](product.url)) as connector:
        say(product, name, Say(429, "slow down", {"Retry-After": "17"}))
        assert (await failure(connector)).after_s == 17
        now = datetime(2026, 9, 21, 14, 13, 21, tzinfo=UTC)
        monkeypatch.setattr(http, "time", now.timestamp)
        at = now + timedelta(minutes=10)
        product.said.append(Say(503, headers={"Retry-After": format_datetime(at, usegmt=True)}))
        assert (await failure(connector)).after_s == 600
        product.said.append(Say(503, headers={"Retry-After": "soon"}))
        assert (await failure(connector)).after_s is None
        product.said.append(Say(503, headers={"Retry-After": "1e9"}))
        assert (await failure(connector)).after_s == http.MAX_RETRY_AFTER_S


@pytest.mark.parametrize("status", [401, 403, 404, 408, 429, 500, 502, 503, 504, 302])
async def test_what_is_no_events_fault_is_tried_again(
    product: Product, name: str, status: int
) -> None:
    async with connected(name, **ENVIRONMENTS[name](product.url)) as connector:
        say(product, name, Say(status, "no", {"location": "http://127.0.0.1:1/"}))
        assert f"HTTP {status}" in (await failure(connector)).reason
        assert len(product.asked) == (2 if name == "sentinel" else 1), "a redirect was followed"


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_what_is_the_batchs_fault_is_not(product: Product, name: str, status: int) -> None:
    async with connected(name, **ENVIRONMENTS[name](product.url)) as connector:
        say(product, name, Say(status, "bad"))
        with pytest.raises(BatchRefused, match=f"HTTP {status} bad"):
            await connector.send(events(2))


@pytest.mark.parametrize(
    "answer",
    [
        Say(reset=True),
        Say(raw=b""),
        Say(raw=b"SSH-2.0-OpenSSH_9.6\r\n"),
        Say(raw=b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\ncut off"),
        Say(raw=b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"),
        Say(raw=b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 3\r\n\r\nabc"),
    ],
    ids=["reset", "closed", "other protocol", "cut off", "bad chunk", "bad gzip"],
)
async def test_garbage_is_tried_again(product: Product, name: str, answer: Say) -> None:
    async with connected(name, **ENVIRONMENTS[name](product.url)) as connector:
        say(product, name, answer)
        assert (await failure(connector)).reason


async def test_an_endless_answer_is_cut_off(product: Product, name: str) -> None:
    async with connected(name, **ENVIRONMENTS[name](product.url)) as connector:
        say(product, name, Say(200, b"x" * (http.MAX_ANSWER + 1)))
        assert "longer than" in (await failure(connector)).reason


async def test_a_slow_answer_is_not_waited_for_for_ever(
    product: Product, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "_TIMEOUT", httpx2.Timeout(0.05))
    never = threading.Event()
    async with connected(name, **ENVIRONMENTS[name](product.url)) as connector:
        product.said.append(Say(200, wait=never))
        assert "no answer in time" in (await failure(connector)).reason
    never.set()


async def test_nobody_there(name: str) -> None:
    with Product(granted) as gone:
        environ = ENVIRONMENTS[name](gone.url)
    async with connected(name, **environ) as connector:
        assert "ConnectError" in (await failure(connector)).reason
        with pytest.raises(DeliveryFailed):
            await connector.check()


async def test_secrets_never_show(
    product: Product, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    async with connected(name, **ENVIRONMENTS[name](product.url)) as connector:
        assert SECRET not in str(connector.config_summary())
        say(product, name, Say(400, f"bad {SECRET}"))
        product.said.append(Say(500, f"worse {SECRET}"))
        for _ in range(2):
            with pytest.raises((BatchRefused, DeliveryFailed)) as failed:
                await connector.send(events(1))
            assert "***" in str(failed.value)
            assert SECRET not in str(failed.value)
        product.said.extend([Say(500, SECRET)] * 2)
        with pytest.raises(DeliveryFailed) as unhealthy:
            await connector.check()
        assert SECRET not in str(unhealthy.value)
    assert SECRET not in caplog.text


async def test_what_is_sent_again_can_be_told(product: Product, name: str) -> None:
    """The connection broke after the product had taken the events: it knows them by their uids."""
    async with connected(name, **ENVIRONMENTS[name](product.url)) as connector:
        say(product, name, Say(reset=True))
        with pytest.raises(DeliveryFailed):
            await connector.send(events(3))
        product.said.append(Say(500))
        with pytest.raises(DeliveryFailed):
            await connector.send(events(3))
    first, second = product.asked[-2:]
    for uid in uids(3):
        assert uid.encode() in first.body
        assert uid.encode() in second.body


async def test_a_secret_is_known_where_an_answer_is_cut(product: Product, name: str) -> None:
    async with connected(name, **ENVIRONMENTS[name](product.url)) as connector:
        say(product, name, Say(500, "x" * (http.SHOWN - 5) + SECRET))
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
async def test_a_secret_is_known_however_it_is_written(
    product: Product, name: str, environ: dict[str, str], repeated: str
) -> None:
    """A gateway in between may show the request that it refuses."""
    async with connected(name, **{**ENVIRONMENTS[name](product.url), **environ}) as connector:
        say(product, name, Say(500, f"refused: {repeated}!"))
        assert (await failure(connector)).reason == "HTTP 500 refused: ***!"


async def test_a_certificate_that_nobody_vouches_for_is_refused(name: str, tmp_path: Path) -> None:
    certificate, key = authority().signs("localhost").write(tmp_path, "server")
    with Product(granted, (str(certificate), str(key))) as product:
        async with connected(name, **ENVIRONMENTS[name](product.url)) as connector:
            assert "CERTIFICATE_VERIFY_FAILED" in (await failure(connector)).reason
        assert product.asked == []


async def test_a_certificate_may_be_let_pass(tmp_path: Path) -> None:
    certificate, key = authority().signs("localhost").write(tmp_path, "server")
    with Product(
        lambda _: Say(200, {"text": "Success", "code": 0}), (str(certificate), str(key))
    ) as product:
        environ = ENVIRONMENTS["splunk"](product.url)
        async with connected("splunk", **environ, SPLUNK_HEC_TLS_VERIFY="false") as connector:
            assert await connector.send(events(1)) == ()
