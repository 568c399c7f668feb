"""Servers with TLS, for TLS tests."""

from __future__ import annotations

import socket
import ssl
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx2

from pdp._gen.pdp.v1 import decide_pb2
from pdp.client.remote import RemoteClient
from pdp.client.tls import ClientTls
from tests.support.certificates import KeyPair, new_authority
from tests.support.servers import TIMEOUT_S, Server, start

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


UNUSABLE_KEY = """-----BEGIN EC PRIVATE KEY-----
MD4CAQEEDql9RiMOnZR0uu1nyLxPoAcGBSuBBAAGoSADHgAEsgKj/aJL0A34w/bu
/52NrMfFJ81xwM4rEQoExQ==
-----END EC PRIVATE KEY-----
"""
"""A well-formed key of a curve (secp112r1) that the TLS libraries do not support."""


@dataclass
class TlsServer:
    """A server with TLS, and its certificate files.

    Attributes:
        server: the process.
        folder: the folder of all files.
        ca: the authority of the server's certificate, and of the client certificates if the server
            requires them.
    """

    server: Server
    folder: Path
    ca: KeyPair

    def http(self, *, client: str = "", ca: str = "ca") -> httpx2.Response:
        """Gets a page over HTTP on a new connection, with the named client certificate."""
        context = ssl.create_default_context(cafile=self.folder / f"{ca}.crt")
        if client:
            context.load_cert_chain(self.folder / f"{client}.crt", self.folder / f"{client}.key")
        return httpx2.get(f"{self.server.http_url}/healthz", verify=context, trust_env=False)

    def decide(self, *, client: str = "", ca: str = "ca") -> bool:
        """Requests a decision over gRPC on a new connection, with the named client certificate."""
        cert, key = (f"{self.folder}/{client}.{kind}" if client else "" for kind in ("crt", "key"))
        tls = ClientTls(f"{self.folder}/{ca}.crt", cert, key)
        with RemoteClient(self.server.grpc_address, timeout_s=TIMEOUT_S, tls=tls) as remote:
            answer = remote.call("Decide", decide_pb2.DecideRequest()).message
        assert isinstance(answer, decide_pb2.DecideResponse)
        return answer.allowed

    def certificates(self) -> dict[str, str]:
        """Returns the certificate that each transport presents."""
        addresses = {
            "http": urlsplit(self.server.http_url).netloc,
            "grpc": self.server.grpc_address,
        }
        return {name: presented_certificate(address) for name, address in addresses.items()}


def presented_certificate(address: str, context: ssl.SSLContext | None = None) -> str:
    """Returns the certificate that `address` presents, in PEM form."""
    if context is None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols(["h2", "http/1.1"])
    host, _, port = address.rpartition(":")
    with (
        socket.create_connection((host, int(port)), TIMEOUT_S) as plain,
        context.wrap_socket(plain, server_hostname=host) as secured,
    ):
        shown = secured.getpeercert(binary_form=True)
    assert shown is not None
    return ssl.DER_cert_to_PEM_cert(shown)


def settings_of(folder: Path, *, mutual: bool = False) -> dict[str, str]:
    """Returns the settings that name the files in `folder`."""
    settings = {
        "PDP_TLS_CERT_FILE": str(folder / "server.crt"),
        "PDP_TLS_KEY_FILE": str(folder / "server.key"),
    }
    return settings | ({"PDP_TLS_CLIENT_CA_FILE": str(folder / "ca.crt")} if mutual else {})


def address_of(server: Server, transport: str) -> str:
    """Returns the address of the transport, `grpc` or `http`."""
    return server.grpc_address if transport == "grpc" else urlsplit(server.http_url).netloc


@contextmanager
def tls_server(folder: Path, *, mutual: bool = False) -> Iterator[TlsServer]:
    """Starts a server with a new certificate; if `mutual`, it requires client certificates."""
    ca, other = new_authority(), new_authority("another authority")
    ca.write(folder, "ca")
    other.write(folder, "other-ca")
    ca.issue("server").write(folder, "server")
    ca.issue("client").write(folder, "client")
    other.issue("stranger").write(folder, "stranger")
    settings = settings_of(folder, mutual=mutual)
    with start(folder / "data", patch="short-polling", **settings) as server:
        yield TlsServer(server, folder, ca)


def spoil(folder: Path, fault: str) -> None:
    """Damages the server's files."""
    if fault == "missing":
        (folder / "server.crt").unlink()
    elif fault == "unusable":
        (folder / "server.key").write_text(UNUSABLE_KEY)
    elif fault == "malformed":
        (folder / "server.crt").write_text("-----BEGIN CERTIFICATE-----\nno\n")
    else:
        new_authority().write(folder, "other")
        (folder / "other.key").replace(folder / "server.key")
