"""The addresses of a client: which of them use TLS, how they connect, and which gets a call."""

from __future__ import annotations

import ipaddress
import itertools
import json
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import grpc

from pdp_client.resilience import CircuitBreaker, Resilience

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from pdp_client.channel import Option

_SERVICE_CONFIG: Final = json.dumps(
    {
        # If a name has several addresses, the calls are spread over them. gRPC watches the health
        # of each server (grpc.health.v1), and fails calls at once if none of them serves.
        "loadBalancingConfig": [{"round_robin": {}}],
        "healthCheckConfig": {"serviceName": ""},
    }
)

OPTIONS: Final[tuple[Option, ...]] = (
    ("grpc.service_config", _SERVICE_CONFIG),
    ("grpc.max_receive_message_length", -1),
    ("grpc.enable_http_proxy", 0),
    ("grpc.keepalive_time_ms", 15_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 2_000),
)
"""The options of each channel. The server allows a ping every 10 s."""


@dataclass(frozen=True, slots=True)
class Tls:
    """How a client uses TLS.

    Attributes:
        use: whether to use it; None for all addresses but those of this machine.
        ca_file: PEM file with the CA certificates to trust; None for the public CAs.
        client_cert_file: PEM file with a client certificate, if the server requires one.
        client_key_file: PEM file with the key of the client certificate.
        server_name: the name in the server's certificate, if it differs from the address.
    """

    use: bool | None = None
    ca_file: str | Path | None = None
    client_cert_file: str | Path | None = None
    client_key_file: str | Path | None = None
    server_name: str | None = None

    def is_for(self, address: str) -> bool:
        """Returns whether an address is called by TLS."""
        if self.use is not None:
            return self.use
        return self._has_settings() or not is_local(address)

    def credentials(self) -> grpc.ChannelCredentials:
        """Reads the files.

        Raises:
            OSError: a file cannot be read, or has no certificate or key that can be used.
            ValueError: the settings contradict each other, or the key is encrypted.
        """
        self.check()
        names = (self.ca_file, self.client_key_file, self.client_cert_file)
        ca, key, cert = (_read(name) for name in names)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if self.ca_file is not None:
            context.load_verify_locations(cafile=self.ca_file)
        if self.client_cert_file is not None and self.client_key_file is not None:
            context.load_cert_chain(
                self.client_cert_file, self.client_key_file, password=self._password
            )
        return grpc.ssl_channel_credentials(ca, key, cert)

    def _password(self) -> str:
        # Without this function, OpenSSL would ask for the password at the terminal.
        raise ValueError(f"client_key_file: {self.client_key_file} is encrypted: use a plain key")

    def check(self) -> None:
        """Checks that the settings do not contradict each other.

        Raises:
            ValueError: they do.
        """
        if (self.client_cert_file is None) != (self.client_key_file is None):
            raise ValueError("client_cert_file and client_key_file: set both or neither")
        if self.use is False and self._has_settings():
            raise ValueError("tls is False, and there are settings for TLS: remove one of them")

    def options(self) -> tuple[Option, ...]:
        """Returns the options of a channel."""
        if self.server_name is None:
            return OPTIONS
        return (*OPTIONS, ("grpc.ssl_target_name_override", self.server_name))

    def _has_settings(self) -> bool:
        settings = (self.ca_file, self.client_cert_file, self.server_name)
        return any(each is not None for each in settings)


def _read(name: str | Path | None) -> bytes | None:
    if name is None:
        return None
    with open(name, "rb") as file:
        return file.read()


def is_local(address: str) -> bool:
    """Returns whether an address is a Unix socket, or of the loopback interface."""
    if address.startswith(("unix:", "unix-abstract:")):
        return True
    host = address.removeprefix("ipv4:").removeprefix("ipv6:").rpartition(":")[0].strip("[]")
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address of a client.

    Attributes:
        address: HOST:PORT, or unix:PATH.
        index: its position in the list of addresses.
        credentials: how to connect by TLS; None for plaintext.
        options: the options of its channel.
        breaker: stops calls to it if it fails.
    """

    address: str
    index: int
    credentials: grpc.ChannelCredentials | None
    options: tuple[Option, ...]
    breaker: CircuitBreaker


class Endpoints:
    """The addresses of a client, which take turns."""

    def __init__(self, addresses: str | Sequence[str], tls: Tls, resilience: Resilience) -> None:
        """Reads the files of TLS.

        Raises:
            OSError: a file cannot be read, or has no certificate or key that can be used.
            ValueError: there is no address, or the settings contradict each other.
        """
        names = (addresses,) if isinstance(addresses, str) else tuple(addresses)
        if not names or not all(names):
            raise ValueError("addresses: name at least one HOST:PORT or unix:PATH")
        tls.check()
        secure = [tls.is_for(name) for name in names]
        credentials = tls.credentials() if any(secure) else None
        self.all = tuple(
            Endpoint(
                name,
                index,
                credentials if by_tls else None,
                tls.options() if by_tls else OPTIONS,
                CircuitBreaker(resilience),
            )
            for index, (name, by_tls) in enumerate(zip(names, secure, strict=True))
        )
        self._turns = itertools.count()

    def pick(self, used: Collection[int] = ()) -> Endpoint | None:
        """Returns the address whose turn it is; None if all of them fail.

        Report the result of the call to its circuit breaker.

        Args:
            used: the positions of addresses to prefer all others to.
        """
        first = next(self._turns) % len(self.all)
        turns = self.all[first:] + self.all[:first]
        for each in sorted(turns, key=lambda endpoint: endpoint.index in used):
            if each.breaker.admit():
                return each
        return None
