"""What a client needs to trust a server, and to be trusted by it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import grpc

from pdp.errors import ConfigError

CA_FILE, CERT_FILE, KEY_FILE = (
    "--tls-ca-file (PDP_TLS_CA_FILE)",
    "--tls-client-cert-file (PDP_TLS_CLIENT_CERT_FILE)",
    "--tls-client-key-file (PDP_TLS_CLIENT_KEY_FILE)",
)


@dataclass(frozen=True, slots=True)
class ClientTls:
    """How to reach a server by TLS.

    Attributes:
        ca_file: the authorities to trust, PEM; empty for those that gRPC ships with.
        cert_file, key_file: the client's own certificate and key, PEM, where the server asks.
        server_name: the name that the server's certificate must have; empty for the address's.
    """

    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    server_name: str = ""

    @classmethod
    def of(
        cls, *, wanted: bool, ca_file: str, cert_file: str, key_file: str, server_name: str
    ) -> ClientTls | None:
        """Returns what options ask for: TLS where any of them is given, else None.

        Raises:
            ConfigError: a certificate without its key, or a key without its certificate.
        """
        if bool(cert_file) != bool(key_file):
            raise ConfigError(f"{CERT_FILE} and {KEY_FILE} belong together: give both or none")
        if not (wanted or ca_file or cert_file or server_name):
            return None
        return cls(ca_file, cert_file, key_file, server_name)

    def credentials(self) -> grpc.ChannelCredentials:
        """Returns the same in gRPC's terms.

        Raises:
            ConfigError: a file cannot be read.
        """
        return grpc.ssl_channel_credentials(
            root_certificates=_contents(self.ca_file, CA_FILE),
            private_key=_contents(self.key_file, KEY_FILE),
            certificate_chain=_contents(self.cert_file, CERT_FILE),
        )

    def options(self) -> tuple[tuple[str, str], ...]:
        """Returns the channel's options."""
        if not self.server_name:
            return ()
        return (("grpc.ssl_target_name_override", self.server_name),)


def _contents(file: str, option: str) -> bytes | None:
    if not file:
        return None
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise ConfigError(f"{option}: {file} cannot be read: {error.strerror}") from None
