"""The URL of the server, as AuthZEN metadata have it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pdp.adapters.authzen.metadata import metadata, path_of, public_url
from pdp.config import load
from pdp.errors import ConfigError

if TYPE_CHECKING:
    from pdp.config import Settings


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        (load({"http_listen": "127.0.0.1:8080"}), "http://127.0.0.1:8080"),
        (load({"http_listen": "localhost:80"}), "http://localhost:80"),
        (load({"http_listen": "[::1]:8080"}), "http://[::1]:8080"),
        (load({"http_listen": "10.0.0.1:443", "tls_cert_file": "x"}), "https://10.0.0.1:443"),
        (load({"http_listen": "127.0.0.1:0"}), ""),
        (load({"http_listen": "0.0.0.0:8080"}), ""),
        (load({"http_listen": "[::]:8080"}), ""),
        (load({"http_listen": "unix:/run/pdp.sock"}), ""),
        (
            load({"http_listen": "0.0.0.0:8080", "public_url": "https://pdp.example.com"}),
            "https://pdp.example.com",
        ),
    ],
)
def test_the_url_of_a_server(settings: Settings, url: str) -> None:
    assert public_url(settings) == url


def test_the_path_of_the_url_follows_the_well_known_path() -> None:
    well_known = "/.well-known/authzen-configuration"
    assert path_of("https://pdp.example.com") == well_known
    assert path_of("https://pdp.example.com/a/b") == f"{well_known}/a/b"
    assert metadata("https://x/a")["access_evaluation_endpoint"] == (
        "https://x/a/access/v1/evaluation"
    )


def test_only_a_server_that_takes_access_requests_says_so() -> None:
    assert {"access_request_endpoint", "capabilities"}.isdisjoint(metadata("https://x"))
    shown = metadata("https://x", takes_requests=True)
    assert shown["access_request_endpoint"] == "https://x/access/v1/requests"
    assert shown["capabilities"] == ["urn:openid:authzen:capability:access-request"]


@pytest.mark.parametrize(
    "url",
    ["https://pdp.example.com", "https://pdp.example.com:8443/a/b-c", "http://127.0.0.1:8080",
     "http://localhost:1", "http://[::1]:8080", "https://[2001:db8::1]", ""],
)  # fmt: skip
def test_urls_that_are_accepted(url: str) -> None:
    assert load({"public_url": url}).public_url == url


@pytest.mark.parametrize(
    "url",
    ["pdp.example.com", "http://pdp.example.com", "https://pdp.example.com/", "https://x?y",
     "https://x/#f", "https://user@x", "https://x:99999", "https://x:y", "https://", "https://x y",
     "https://x\n", "https://[::1", "ftp://x", "javascript:alert(1)", "https://x//y"],
)  # fmt: skip
def test_urls_that_are_refused(url: str) -> None:
    with pytest.raises(ConfigError, match=r"(?s)PDP_PUBLIC_URL.*cannot be used. Use https://HOST"):
        load({"public_url": url})
