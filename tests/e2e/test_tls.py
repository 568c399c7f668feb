"""TLS on both transports: accepted clients, and certificates that change."""

from __future__ import annotations

import ssl
import warnings
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx2
import pytest

from pdp._gen.pdp.v1 import decide_pb2
from pdp.client.base import CallFailed
from pdp.client.remote import RemoteClient
from pdp.client.tls import ClientTls
from tests.support.servers import TIMEOUT_S
from tests.support.tls_servers import (
    TlsServer,
    address_of,
    presented_certificate,
    spoil,
    tls_server,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsServer]:
    """A server with a certificate; clients need none."""
    with tls_server(tmp_path_factory.mktemp("tls")) as started:
        yield started


@pytest.fixture(scope="module")
def mutual(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsServer]:
    """A server that requires client certificates."""
    with tls_server(tmp_path_factory.mktemp("tls"), mutual=True) as started:
        yield started


class TestServing:
    """Connections that the server accepts or refuses."""

    def test_both_transports_use_tls(self, secured: TlsServer) -> None:
        """A client that trusts the authority is served; the announcement says that TLS is on."""
        assert secured.http().status_code == 200
        assert secured.decide()
        assert secured.server.announcement["tls"] is True
        assert secured.server.http_url.startswith("https://")

    def test_a_client_that_trusts_another_authority_rejects_the_server(
        self, secured: TlsServer
    ) -> None:
        """The server uses the configured certificate, so a client with another authority fails."""
        with pytest.raises(httpx2.ConnectError):
            secured.http(ca="other-ca")
        with pytest.raises(CallFailed) as failed:
            secured.decide(ca="other-ca")
        assert failed.value.unavailable

    def test_plaintext_is_refused(self, secured: TlsServer) -> None:
        """With TLS on, the server answers no plaintext."""
        address = urlsplit(secured.server.http_url).netloc
        with pytest.raises(httpx2.HTTPError):
            httpx2.get(f"http://{address}/healthz", trust_env=False)
        with RemoteClient(secured.server.grpc_address) as remote, pytest.raises(CallFailed):
            remote.call("Decide", decide_pb2.DecideRequest())

    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
    @pytest.mark.parametrize("transport", ["http", "grpc"])
    def test_old_versions_of_tls_are_refused(
        self, secured: TlsServer, transport: str, version: ssl.TLSVersion
    ) -> None:
        """The server refuses versions before TLS 1.2."""
        address = address_of(secured.server, transport)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of Python, for old versions
            old = _context_of(version)
        with pytest.raises((ssl.SSLError, ConnectionError)):
            presented_certificate(address, old)
        assert presented_certificate(address, _context_of(ssl.TLSVersion.TLSv1_2))
        assert presented_certificate(address, _context_of(ssl.TLSVersion.TLSv1_3))


def _context_of(version: ssl.TLSVersion) -> ssl.SSLContext:
    """Returns a context for exactly one version, also an old one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2", "http/1.1"])
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    return context


class TestClientCertificates:
    """Mutual TLS: the server accepts only certificates of the configured authority."""

    def test_a_certificate_of_the_authority_is_accepted(self, mutual: TlsServer) -> None:
        """Clients with a certificate of the authority are served."""
        assert mutual.http(client="client").status_code == 200
        assert mutual.decide(client="client")

    @pytest.mark.parametrize("client", ["", "stranger"])
    def test_other_clients_are_refused(self, mutual: TlsServer, client: str) -> None:
        """A client without a certificate, or with one of another authority, gets no response."""
        with pytest.raises(httpx2.HTTPError):
            mutual.http(client=client)
        with pytest.raises(CallFailed):
            mutual.decide(client=client)


class TestReload:
    """Certificate files that change while the server runs."""

    def test_a_new_certificate_is_used_for_new_connections(self, tmp_path: Path) -> None:
        """New connections get the new certificate; open connections stay open."""
        with tls_server(tmp_path) as secured:
            context = ssl.create_default_context(cafile=tmp_path / "ca.crt")
            tls = ClientTls(f"{tmp_path}/ca.crt")
            with (
                httpx2.Client(
                    base_url=secured.server.http_url, verify=context, trust_env=False
                ) as http,
                RemoteClient(secured.server.grpc_address, timeout_s=TIMEOUT_S, tls=tls) as remote,
            ):
                assert http.get("/healthz").status_code == 200
                remote.call("Decide", decide_pb2.DecideRequest())
                before = secured.certificates()
                secured.ca.issue("another").write(tmp_path, "server")
                secured.server.wait_for_event("the TLS certificate was replaced")
                after = secured.certificates()
                assert before["http"] == before["grpc"] != after["http"] == after["grpc"]
                assert http.get("/healthz").status_code == 200
                remote.call("Decide", decide_pb2.DecideRequest())
            assert _metric(secured, "pdp_tls_reloads_total") == 1

    def test_a_new_client_authority_replaces_the_old_one(self, tmp_path: Path) -> None:
        """Clients of the new authority are accepted, and clients of the old one refused."""
        with tls_server(tmp_path, mutual=True) as secured:
            assert secured.decide(client="client")
            (tmp_path / "own-ca.crt").write_bytes(secured.ca.chain)
            (tmp_path / "ca.new").write_bytes((tmp_path / "other-ca.crt").read_bytes())
            (tmp_path / "ca.new").replace(tmp_path / "ca.crt")
            secured.server.wait_for_event("the TLS certificate was replaced")
            assert secured.http(client="stranger", ca="own-ca").status_code == 200
            assert secured.decide(client="stranger", ca="own-ca")
            with pytest.raises(CallFailed):
                secured.decide(client="client", ca="own-ca")
            with pytest.raises(httpx2.HTTPError):
                secured.http(client="client", ca="own-ca")

    @pytest.mark.parametrize("fault", ["missing", "malformed", "mismatched", "unusable"])
    def test_unusable_files_change_nothing(self, tmp_path: Path, fault: str) -> None:
        """If the new files are invalid, the old certificate stays; this is logged and counted."""
        with tls_server(tmp_path) as secured:
            before = secured.certificates()
            spoil(tmp_path, fault)
            reason = secured.server.wait_for_event("the TLS certificate was not replaced")["reason"]
            assert str(tmp_path / "server.") in reason
            assert secured.certificates() == before
            assert _metric(secured, "pdp_tls_reload_failures_total") == 1
            secured.ca.issue("repaired").write(tmp_path, "server")
            secured.server.wait_for_event("the TLS certificate was replaced")
            assert secured.certificates() != before


def _metric(secured: TlsServer, name: str) -> float:
    context = ssl.create_default_context(cafile=secured.folder / "ca.crt")
    text = httpx2.get(f"{secured.server.http_url}/metrics", verify=context, trust_env=False).text
    [line] = [line for line in text.splitlines() if line.startswith(f"{name} ")]
    return float(line.split()[1])
