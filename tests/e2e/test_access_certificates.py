"""Clients that authenticate with certificates (`PDP_CLIENTS_FILE`)."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Final

import httpx2
import pytest

from pdp._gen.pdp.v1 import decide_pb2
from pdp.client import CallFailed
from pdp.client.remote import RemoteClient
from pdp.client.tls import ClientTls
from tests.support.authenticated_servers import AuthenticatedServer, authenticated_server
from tests.support.certificates import new_authority
from tests.support.servers import TIMEOUT_S
from tests.support.tls_servers import settings_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GATEWAY: Final = "spiffe://example.org/gateway"
TABLE: Final = f"""
[[client]]
identity = "{GATEWAY}"
tenants = ["acme"]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the certificates of the server, a known client and an unknown client."""
    path = tmp_path_factory.mktemp("clients")
    ca = new_authority()
    ca.write(path, "ca")
    ca.issue("server").write(path, "server")
    ca.issue("gateway", uri=GATEWAY).write(path, "known")
    ca.issue(GATEWAY, uri="spiffe://example.org/other").write(path, "unknown")
    (path / "clients.toml").write_text(TABLE)
    (path / "data").mkdir()
    return path


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[AuthenticatedServer]:
    """A server that requires client certificates."""
    settings = {
        **settings_of(folder, mutual=True),
        "PDP_CLIENTS_FILE": str(folder / "clients.toml"),
    }
    with authenticated_server(folder / "data", **settings) as opened:
        yield opened


def by_http(
    server: AuthenticatedServer, folder: Path, client: str, tenant: str, key: str = ""
) -> tuple[int, str]:
    """Decides over HTTP with the named certificate; returns the status and reason code."""
    context = ssl.create_default_context(cafile=folder / "ca.crt")
    context.load_cert_chain(folder / f"{client}.crt", folder / f"{client}.key")
    url = f"{server.server.http_url}/v1/decide"
    headers = {"X-API-Key": key} if key else {}
    with httpx2.Client(verify=context, trust_env=False, timeout=TIMEOUT_S) as opened:
        answer = opened.post(url, json={"tenant_id": tenant}, headers=headers)
    return answer.status_code, answer.json().get("error", {}).get("code", "OK")


def by_grpc(server: AuthenticatedServer, folder: Path, client: str, tenant: str) -> str:
    """Decides over gRPC with the named certificate; returns the reason code."""
    names = (str(folder / f"{client}.{kind}") for kind in ("crt", "key"))
    tls = ClientTls(str(folder / "ca.crt"), *names)
    with RemoteClient(server.server.grpc_address, timeout_s=TIMEOUT_S, tls=tls) as remote:
        try:
            remote.call("Decide", decide_pb2.DecideRequest(tenant_id=tenant))
        except CallFailed as refusal:
            return refusal.code
    return "OK"


def test_a_known_certificate_decides_for_its_tenants(
    server: AuthenticatedServer, folder: Path
) -> None:
    """It needs no key, and has the role `pep`."""
    assert by_http(server, folder, "known", "acme") == (200, "OK")
    assert by_http(server, folder, "known", "other") == (403, "TENANT_MISMATCH")
    assert by_grpc(server, folder, "known", "acme") == "OK"
    assert by_grpc(server, folder, "known", "other") == "TENANT_MISMATCH"


def test_an_unknown_certificate_is_refused(server: AuthenticatedServer, folder: Path) -> None:
    """A valid signature is not enough; a common name does not count beside other names."""
    assert by_http(server, folder, "unknown", "acme") == (401, "UNAUTHENTICATED")
    assert by_grpc(server, folder, "unknown", "acme") == "UNAUTHENTICATED"


def test_a_key_takes_precedence_over_the_certificate(
    server: AuthenticatedServer, folder: Path
) -> None:
    """An invalid key is refused, even if the certificate is known."""
    assert by_http(server, folder, "unknown", "other", server.admin) == (200, "OK")
    assert by_http(server, folder, "known", "acme", "aa_live_none") == (401, "UNAUTHENTICATED")
