"""Webhooks are reached where they may be, and nowhere else."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

from pdp.errors import ConfigError
from pdp.export.alerts import addresses, webhook
from pdp.export.alerts.addresses import (
    AddressRefused,
    AllowedDestinations,
    is_public,
    parse_hosts,
    parse_networks,
    resolve,
)
from pdp.export.alerts.webhook import WebhookClient
from pdp.export.siem.base import BatchRefused, DeliveryFailed
from tests.support.certificates import authority
from tests.support.siem_product import Product, Say

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOOPBACK = AllowedDestinations(parse_networks("127.0.0.0/8, ::1/128"))


@pytest.fixture
def slack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Product]:
    """A webhook over TLS, with a certificate for localhost and 127.0.0.1 that is trusted."""
    signer = authority()
    ca_file, _ = signer.write(tmp_path, "ca")
    monkeypatch.setenv("SSL_CERT_FILE", str(ca_file))
    certificate, key = signer.signs("localhost").write(tmp_path, "server")
    with Product(lambda _: Say(200, "ok"), (str(certificate), str(key))) as product:
        yield product


async def post(url: str, allowed: str = "127.0.0.0/8,::1/128") -> None:
    webhooks = WebhookClient(AllowedDestinations(parse_networks(allowed)))
    try:
        await webhooks.post(url, b'{"text":"hello"}')
    finally:
        await webhooks.close()


async def test_a_message_is_posted(slack: Product) -> None:
    await post(f"https://localhost:{slack.port}/services/T/B?x=1")
    [asked] = slack.asked
    assert (asked.method, asked.path) == ("POST", "/services/T/B?x=1")
    assert asked.headers["host"] == f"localhost:{slack.port}"
    assert asked.headers["content-type"] == "application/json"
    assert asked.json == {"text": "hello"}


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
async def test_the_servers_own_network_is_refused(slack: Product, url: str) -> None:
    with pytest.raises(BatchRefused, match="the webhook is refused"):
        await post(url.format(port=slack.port), allowed="")
    assert slack.asked == []


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("127.0.0.1", False),
        ("0.0.0.0", False),  # noqa: S104 - an address that is refused
        ("100.64.0.1", False),
        ("169.254.169.254", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::", False),
        ("::1", False),
        ("fe80::1", False),
        ("fc00::1", False),
        ("ff02::1", False),
        ("::ffff:10.0.0.1", False),
        ("::ffff:8.8.8.8", True),
        ("::10.0.0.1", False),
        ("64:ff9b::a9fe:a9fe", False),
        ("64:ff9b::808:808", True),
        ("2002:7f00:1::", False),
        ("2002:808:808::1", True),
    ],
)
def test_what_is_public(address: str, public: bool) -> None:
    assert is_public(ipaddress.ip_address(address)) is public


async def test_a_name_is_resolved_once_and_all_its_addresses_are_judged(
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
    assert len(slack.asked) == 1
    assert answers == [["10.0.0.1"]], "the connection resolved the name again"
    answers[:] = [["127.0.0.1", "10.0.0.1"]]
    with pytest.raises(AddressRefused):
        await resolve(f"https://localhost:{slack.port}/", LOOPBACK)


async def test_redirects_are_followed_only_to_where_a_webhook_may_be(slack: Product) -> None:
    here = f"https://localhost:{slack.port}"
    slack.said.append(Say(308, headers={"location": "/moved"}))
    await post(here)
    assert [each.path for each in slack.asked] == ["/", "/moved"]
    assert slack.asked[1].json == {"text": "hello"}
    for location in (f"http://localhost:{slack.port}/", "https://10.0.0.1/", "https://[fe80::1]/"):
        slack.said.append(Say(307, headers={"location": location}))
        with pytest.raises(BatchRefused, match="the webhook is refused"):
            await post(here)
    slack.said.append(Say(302, headers={"location": "/elsewhere"}))
    with pytest.raises(BatchRefused, match="HTTP 302"):
        await post(here)
    slack.said.extend([Say(307, headers={"location": "/again"})] * 9)
    with pytest.raises(BatchRefused, match="redirects"):
        await post(here)
    assert "/elsewhere" not in [each.path for each in slack.asked]


async def test_what_may_pass_is_tried_again_and_what_may_not_is_not(slack: Product) -> None:
    here = f"https://localhost:{slack.port}"
    slack.said.append(Say(429, headers={"retry-after": "30"}))
    with pytest.raises(DeliveryFailed) as failed:
        await post(here)
    assert failed.value.after_s == 30
    for answer in (Say(500, "oops"), Say(reset=True), Say(raw=b"garbage\r\n\r\n")):
        slack.said.append(answer)
        with pytest.raises(DeliveryFailed):
            await post(here)
    slack.said.append(Say(404, "no_service"))
    with pytest.raises(BatchRefused, match="HTTP 404 no_service"):
        await post(here)


async def test_a_certificate_of_another_name_is_refused(
    slack: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def pretended(url: str, allowed: Any) -> addresses.Destination:
        return addresses.Destination("hooks.example.com", slack.port, "127.0.0.1")

    monkeypatch.setattr("pdp.export.alerts.webhook.resolve", pretended)
    with pytest.raises(DeliveryFailed, match="ConnectError"):
        await post(f"https://hooks.example.com:{slack.port}/")
    assert slack.asked == []


async def test_a_name_that_does_not_resolve_is_tried_again() -> None:
    with pytest.raises(DeliveryFailed, match="gaierror"):
        await post("https://nowhere.invalid/")


async def test_an_address_is_nowhere_in_an_error(slack: Product) -> None:
    with pytest.raises((DeliveryFailed, BatchRefused)) as failed:
        await post("https://127.0.0.1:1/services/T000/s3cret")
    assert "s3cret" not in str(failed.value)


def test_networks_are_checked() -> None:
    assert parse_networks("") == ()
    with pytest.raises(ConfigError, match="PDP_ALERT_NETWORKS"):
        parse_networks("10.0.0.0/8, here")


async def test_nothing_is_left_open(slack: Product) -> None:
    webhooks = WebhookClient(LOOPBACK)
    await asyncio.gather(
        *(webhooks.post(f"https://localhost:{slack.port}/", b"{}") for _ in range(5))
    )
    await webhooks.close()
    assert len(slack.asked) == 5


async def test_only_the_hosts_that_are_named_are_asked(slack: Product) -> None:
    """Not even their names are resolved."""
    reach = LOOPBACK._replace(hosts=parse_hosts("Localhost, hooks.example.com"))
    place = await resolve(f"https://LOCALHOST:{slack.port}/", reach)
    assert place.host == "localhost"
    with pytest.raises(AddressRefused, match="host is not allowed"):
        await resolve(f"https://127.0.0.1:{slack.port}/", reach)


async def test_who_answers_without_end_is_left(
    slack: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However little comes at a time: the whole post has its time, and not each byte of it."""
    monkeypatch.setattr(webhook, "TIMEOUT_S", 0.05)
    never = threading.Event()
    slack.said.append(Say(200, wait=never))
    with pytest.raises(DeliveryFailed, match="no answer in time"):
        await post(f"https://localhost:{slack.port}/")
    never.set()


@pytest.mark.parametrize("status", [404, 500])
@pytest.mark.parametrize("before", ["", "x" * 80], ids=["whole", "where it is cut"])
async def test_an_answer_that_repeats_the_address_does_not_show_it(
    slack: Product, status: int, before: str
) -> None:
    """What comes after the host is a secret: who knows it can post there."""
    slack.said.append(Say(status, f"{before}Cannot POST /services/T/B/s3cret?key=an0ther"))
    with pytest.raises((BatchRefused, DeliveryFailed)) as failed:
        await post(f"https://localhost:{slack.port}/services/T/B/s3cret?key=an0ther")
    assert "Cannot POST" in str(failed.value)
    assert not any(part in str(failed.value) for part in ("T/B", "s3c", "an0"))
