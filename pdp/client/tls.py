"""The TLS settings of a client."""

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
    """How to connect to a server by TLS.

    Attributes:
        ca_file: the certificate authorities to trust, in PEM; empty for those that gRPC ships with.
        cert_file: the certificate of the client, in PEM, if the server requires one.
        key_file: the key of that certificate, in PEM.
        server_name: the name that the server's certificate must have; empty for the name in the
            address.
    """

    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    server_name: str = ""

    @classmethod
    def of(
        cls, *, enabled: bool, ca_file: str, cert_file: str, key_file: str, server_name: str
    ) -> ClientTls | None:
        """Returns the settings; None if TLS is not enabled and no other option is given.

        Raises:
            ConfigError: a certificate without its key, or a key without its certificate.
        """
        if bool(cert_file) != bool(key_file):
            raise ConfigError(f"{CERT_FILE} and {KEY_FILE} belong together: give both or none")
        if not (enabled or ca_file or cert_file or server_name):
            return None
        return cls(ca_file, cert_file, key_file, server_name)

    def credentials(self) -> grpc.ChannelCredentials:
        """Returns the credentials of the gRPC channel.

        Raises:
            ConfigError: a file cannot be read.
        """
        return grpc.ssl_channel_credentials(
            root_certificates=_contents(self.ca_file, CA_FILE),
            private_key=_contents(self.key_file, KEY_FILE),
            certificate_chain=_contents(self.cert_file, CERT_FILE),
        )

    def options(self) -> tuple[tuple[str, str], ...]:
        """Returns the options of the gRPC channel."""
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
