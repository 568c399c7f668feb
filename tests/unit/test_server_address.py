"""Which server a command calls, and what it advises if none answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pdp.cli.failures import connection_hint
from pdp.cli.server_address import DEFAULT_SERVER, server_address

if TYPE_CHECKING:
    from pdp.client.base import ConnectionProblem


@pytest.mark.parametrize(
    ("listen", "address"),
    [
        ("127.0.0.1:1234", "127.0.0.1:1234"),
        ("10.1.2.3:1234", "10.1.2.3:1234"),
        ("pdp.example:1234", "pdp.example:1234"),
        ("0.0.0.0:1234", "127.0.0.1:1234"),
        ("[::]:1234", "[::1]:1234"),
        ("[::1]:1234", "[::1]:1234"),
        ("unix:/run/pdp.sock", "unix:/run/pdp.sock"),
        ("127.0.0.1:0", DEFAULT_SERVER),
        ("nonsense", DEFAULT_SERVER),
        ("127.0.0.1:x", DEFAULT_SERVER),
        ("", DEFAULT_SERVER),
    ],
)
def test_the_address_follows_that_of_the_server(
    monkeypatch: pytest.MonkeyPatch, listen: str, address: str
) -> None:
    monkeypatch.setenv("PDP_GRPC_LISTEN", listen)
    assert server_address() == address
    assert server_address("named:1") == "named:1"


def test_the_default_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PDP_GRPC_LISTEN", raising=False)
    assert server_address() == DEFAULT_SERVER


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("kind", ["absent", "tls", "other"])
def test_development_mode_is_advised_only_if_nothing_listens(
    kind: ConnectionProblem, tls: bool
) -> None:
    hint = connection_hint(kind, tls=tls)
    assert ("--auth dev" in hint) == (kind == "absent")
    assert ("--tls-ca-file" in hint) == (kind == "tls" or (tls and kind != "absent"))
