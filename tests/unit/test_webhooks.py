"""Webhooks: only allowed addresses are contacted."""

from __future__ import annotations

import asyncio
import errno
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

from pdp.errors import ConfigError
from pdp.export.alerts import addresses, webhook
from pdp.export.alerts.addresses import (
    AddressRefused,
    AllowedDestinations,
    parse_hosts,
    parse_networks,
    resolve,
)
from pdp.export.alerts.failure_words import failure_words
from pdp.export.alerts.webhook import WebhookClient
from pdp.export.siem.base import BatchRefused, DeliveryFailed
from tests.support.certificates import new_authority
from tests.support.siem_product import PlannedResponse, Product

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOOPBACK = AllowedDestinations(parse_networks("127.0.0.0/8, ::1/128"))


@pytest.fixture
def slack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Product]:
    """A webhook over TLS with a trusted certificate for localhost and 127.0.0.1."""
    signer = new_authority()
    ca_file, _ = signer.write(tmp_path, "ca")
    monkeypatch.setenv("SSL_CERT_FILE", str(ca_file))
    certificate, key = signer.issue("localhost").write(tmp_path, "server")
    with Product(lambda _: PlannedResponse(200, "ok"), (str(certificate), str(key))) as product:
        yield product


async def post(url: str, allowed: str = "127.0.0.0/8,::1/128") -> None:
    webhooks = WebhookClient(AllowedDestinations(parse_networks(allowed)))
    try:
        await webhooks.post(url, b'{"text":"hello"}')
    finally:
        await webhooks.close()


async def test_a_message_is_posted(slack: Product) -> None:
    await post(f"https://localhost:{slack.port}/services/T/B?x=1")
    [request] = slack.requests
    assert (request.method, request.path) == ("POST", "/services/T/B?x=1")
    assert request.headers["host"] == f"localhost:{slack.port}"
    assert request.headers["content-type"] == "application/json"
    assert request.json == {"text": "hello"}


@pytest.mark.parametrize(
    "url",
    [
        "https://localhost:{port}/",
        "https://127.0.0.1:{port}/",
        "https://127.1:{port}/",
        "https://2130706433:{port}/",
        "https://[::ffff:127.0.0.1]:{port}/",
        "https://0.0.0.0:{port}/",
        "https://user@localhost:{port}/",
        "http://localhost:{port}/",
        "https://:{port}/",
        "https://a..example:{port}/",
        "https://localhost:99999/",
    ],
)
async def test_private_addresses_and_invalid_urls_are_refused(slack: Product, url: str) -> None:
    with pytest.raises(BatchRefused, match="the webhook is refused"):
        await post(url.format(port=slack.port), allowed="")
    assert slack.requests == []


METADATA = (
    "169.254.169.254",
    "169.254.170.2",
    "100.100.100.200",
    "168.63.129.16",
    "fd00:ec2::254",
    "fd20:ce::254",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::a9fe:a9fe",
)


@pytest.mark.parametrize("allowed", ["", "0.0.0.0/0, ::/0"], ids=["public", "all"])
@pytest.mark.parametrize("address", METADATA)
async def test_metadata_services_are_refused_in_allowed_networks_too(
    monkeypatch: pytest.MonkeyPatch, address: str, allowed: str
) -> None:
    """By their address, whatever name resolves to it."""
    real = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda _, *args, **kw: real(address, *args, **kw))
    with pytest.raises(AddressRefused, match="metadata" if allowed else None):
        await resolve(
            "https://metadata.google.internal/", AllowedDestinations(parse_networks(allowed))
        )


@pytest.mark.parametrize("address", ["64:ff9b::a00:1", "64:ff9b:1::a00:1", "fec0::1", "10.0.0.1"])
async def test_addresses_that_are_not_public_are_refused_unless_allowed(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    real = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda _, *args, **kw: real(address, *args, **kw))
    with pytest.raises(AddressRefused, match="not public"):
        await resolve("https://hooks.example.com/", AllowedDestinations())
    allowed = AllowedDestinations(parse_networks(address))
    assert (await resolve("https://hooks.example.com/", allowed)).address == address


async def test_a_name_is_resolved_once_and_all_its_addresses_are_checked(
    slack: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = [["127.0.0.1"], ["10.0.0.1"]]
    real = socket.getaddrinfo

    def rebinding(host: Any, *args: Any, **kwargs: Any) -> Any:
        if host == "localhost":
            return [each for one in answers.pop(0) for each in real(one, *args, **kwargs)]
        return real(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    await post(f"https://localhost:{slack.port}/")
    assert len(slack.requests) == 1
    assert answers == [["10.0.0.1"]], "the connection resolved the name again"
    answers[:] = [["127.0.0.1", "10.0.0.1"]]
    with pytest.raises(AddressRefused):
        await resolve(f"https://localhost:{slack.port}/", LOOPBACK)


async def test_redirects_are_followed_only_to_allowed_destinations(slack: Product) -> None:
    here = f"https://localhost:{slack.port}"
    slack.responses.append(PlannedResponse(308, headers={"location": "/moved"}))
    await post(here)
    assert [each.path for each in slack.requests] == ["/", "/moved"]
    assert slack.requests[1].json == {"text": "hello"}
    for location in (f"http://localhost:{slack.port}/", "https://10.0.0.1/", "https://[fe80::1]/"):
        slack.responses.append(PlannedResponse(307, headers={"location": location}))
        with pytest.raises(BatchRefused, match="the webhook is refused"):
            await post(here)
    slack.responses.append(PlannedResponse(302, headers={"location": "/elsewhere"}))
    with pytest.raises(BatchRefused, match="HTTP 302"):
        await post(here)
    slack.responses.extend([PlannedResponse(307, headers={"location": "/again"})] * 9)
    with pytest.raises(BatchRefused, match="redirects"):
        await post(here)
    assert "/elsewhere" not in [each.path for each in slack.requests]


async def test_temporary_failures_are_retried_and_permanent_ones_are_not(slack: Product) -> None:
    here = f"https://localhost:{slack.port}"
    slack.responses.append(PlannedResponse(429, headers={"retry-after": "30"}))
    with pytest.raises(DeliveryFailed) as failed:
        await post(here)
    assert failed.value.after_s == 30
    for response in (
        PlannedResponse(500, "oops"),
        PlannedResponse(reset=True),
        PlannedResponse(raw=b"garbage\r\n\r\n"),
    ):
        slack.responses.append(response)
        with pytest.raises(DeliveryFailed):
            await post(here)
    slack.responses.append(PlannedResponse(404, "no_service"))
    with pytest.raises(BatchRefused, match="HTTP 404 no_service"):
        await post(here)


async def test_a_certificate_for_another_name_is_refused(
    slack: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fake_resolve(url: str, allowed: Any) -> addresses.Destination:
        return addresses.Destination("hooks.example.com", slack.port, "127.0.0.1")

    monkeypatch.setattr("pdp.export.alerts.webhook.resolve", fake_resolve)
    with pytest.raises(DeliveryFailed, match="certificate is not trusted"):
        await post(f"https://hooks.example.com:{slack.port}/")
    assert slack.requests == []


async def test_a_name_that_does_not_resolve_is_retried() -> None:
    with pytest.raises(DeliveryFailed, match="host name cannot be resolved"):
        await post("https://nowhere.invalid/")


async def test_failures_are_reported_in_words(slack: Product) -> None:
    """An author of alert rules does not know the names of exceptions."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        with pytest.raises(DeliveryFailed, match=r"^the connection was refused$"):
            await post(f"https://localhost:{closed.getsockname()[1]}/")
    slack.responses.append(PlannedResponse(raw=b"garbage\r\n\r\n"))
    with pytest.raises(DeliveryFailed, match=r"^its answer is not HTTP$"):
        await post(f"https://localhost:{slack.port}/")
    with socket.create_server(("127.0.0.1", 0)) as plain:
        plain.listen()
        answer = threading.Thread(target=_answer_in_plaintext, args=(plain,))
        answer.start()
        with pytest.raises(DeliveryFailed, match=r"^the TLS connection failed"):
            await post(f"https://localhost:{plain.getsockname()[1]}/")
        answer.join()


def _answer_in_plaintext(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.recv(65_536)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


def test_an_unknown_failure_has_the_name_of_its_class() -> None:
    assert failure_words(ValueError("https://secret")) == "the request failed (ValueError)"
    unreachable = OSError(errno.ENETUNREACH, "https://secret")
    assert failure_words(unreachable) == "there is no network route to it"


async def test_an_error_never_contains_the_url(slack: Product) -> None:
    with pytest.raises((DeliveryFailed, BatchRefused)) as failed:
        await post("https://127.0.0.1:1/services/T000/s3cret")
    assert "s3cret" not in str(failed.value)


def test_an_invalid_network_is_refused() -> None:
    assert parse_networks("") == ()
    with pytest.raises(ConfigError, match="PDP_ALERT_NETWORKS"):
        parse_networks("10.0.0.0/8, here")


async def test_concurrent_posts_share_a_client(slack: Product) -> None:
    webhooks = WebhookClient(LOOPBACK)
    await asyncio.gather(
        *(webhooks.post(f"https://localhost:{slack.port}/", b"{}") for _ in range(5))
    )
    await webhooks.close()
    assert len(slack.requests) == 5


async def test_only_allowed_hosts_are_contacted(slack: Product) -> None:
    """Other host names are not even resolved."""
    allowed = LOOPBACK._replace(hosts=parse_hosts("Localhost, hooks.example.com"))
    destination = await resolve(f"https://LOCALHOST:{slack.port}/", allowed)
    assert destination.host == "localhost"
    with pytest.raises(AddressRefused, match="host is not allowed"):
        await resolve(f"https://127.0.0.1:{slack.port}/", allowed)


async def test_a_slow_webhook_times_out(slack: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time-out covers the whole post, so a server that sends byte by byte gets no more."""
    monkeypatch.setattr(webhook, "TIMEOUT_S", 0.05)
    never = threading.Event()
    slack.responses.append(PlannedResponse(200, wait=never))
    with pytest.raises(DeliveryFailed, match="no answer in time"):
        await post(f"https://localhost:{slack.port}/")
    never.set()


@pytest.mark.parametrize("status", [404, 500])
@pytest.mark.parametrize("before", ["", "x" * 80], ids=["complete", "truncated"])
async def test_a_url_that_a_response_repeats_is_masked(
    slack: Product, status: int, before: str
) -> None:
    """Everything after the host is secret: it allows to post to the webhook."""
    slack.responses.append(
        PlannedResponse(status, f"{before}Cannot POST /services/T/B/s3cret?key=an0ther")
    )
    with pytest.raises((BatchRefused, DeliveryFailed)) as failed:
        await post(f"https://localhost:{slack.port}/services/T/B/s3cret?key=an0ther")
    assert "Cannot POST" in str(failed.value)
    assert not any(part in str(failed.value) for part in ("T/B", "s3c", "an0"))
