"""Reads the files of TLS and checks them together."""

from __future__ import annotations

import os
import ssl
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import grpc
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from pdp.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Self

    from cryptography.hazmat.primitives.asymmetric.types import (
        CertificatePublicKeyTypes,
        PublicKeyTypes,
    )

    from pdp.config import Settings

_USABLE: Final = (
    "use a certificate with an RSA key of 2048 bits or more, or one of a common elliptic curve"
)

Stamp = tuple[tuple[int, int, int] | None, ...]
"""Inode, modification time and size of each file: they change if a file is replaced or edited."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """The paths of the files.

    Attributes:
        certificate: the server's certificate and its intermediate certificates, PEM.
        key: the private key of the certificate, PEM, without a passphrase.
        client_ca: the authorities of clients' certificates, PEM; None if clients need no
            certificate.
    """

    certificate: Path
    key: Path
    client_ca: Path | None = None

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Returns the files that the settings name.

        Raises:
            ConfigError: the certificate or its key is not set.
        """
        certificate, key = settings.tls_cert_file, settings.tls_key_file
        if certificate is not None and key is not None:
            return cls(certificate, key, settings.tls_client_ca_file)
        raise ConfigError(
            "TLS needs a certificate and its key. Set both PDP_TLS_CERT_FILE and PDP_TLS_KEY_FILE, "
            "or none of PDP_TLS_CERT_FILE, PDP_TLS_KEY_FILE and PDP_TLS_CLIENT_CA_FILE"
        )

    def stamp(self) -> Stamp:
        """Returns the current stamp of the files."""
        return tuple(_stamp(path) for path in (self.certificate, self.key, self.client_ca) if path)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate and key that belong together, and the authorities of clients' certificates.

    Attributes:
        chain, key, client_ca: the contents of the files, PEM.
        expires_at: when the certificate expires, in seconds since the epoch.
    """

    chain: bytes
    key: bytes
    client_ca: str | None
    expires_at: float

    @classmethod
    def read(cls, files: TlsFiles) -> Self:
        """Reads the files.

        Raises:
            ConfigError: a file is missing, unreadable or malformed, or the key does not belong to
                the certificate; the message says what to do.
        """
        chain = _contents(files.certificate, "PDP_TLS_CERT_FILE")
        key = _contents(files.key, "PDP_TLS_KEY_FILE")
        leaf = _certificates(chain, files.certificate, "PDP_TLS_CERT_FILE")[0]
        if _certificate_spki(leaf) != _spki(_public_key(key, files.key)):
            raise ConfigError(
                f"PDP_TLS_KEY_FILE: {files.key} is not the key of the first certificate in "
                f"{files.certificate}. Set a certificate and key that belong together"
            )
        client_ca = None
        if files.client_ca is not None:
            pem = _contents(files.client_ca, "PDP_TLS_CLIENT_CA_FILE")
            authorities = _certificates(pem, files.client_ca, "PDP_TLS_CLIENT_CA_FILE")
            client_ca = "".join(each.public_bytes(Encoding.PEM).decode() for each in authorities)
        identity = cls(chain, key, client_ca, leaf.not_valid_after_utc.timestamp())
        identity.context()  # report now what OpenSSL refuses, such as a key that is too short
        return identity

    def context(self) -> ssl.SSLContext:
        """Returns a context for servers, with TLS 1.2 as the lowest version.

        Raises:
            ConfigError: OpenSSL refuses the certificate or key.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            with _in_memory(self.chain) as chain, _in_memory(self.key) as key:
                context.load_cert_chain(chain, key)
        except ssl.SSLError as error:
            raise ConfigError(
                f"PDP_TLS_CERT_FILE, PDP_TLS_KEY_FILE: OpenSSL refuses them ({error.reason}); "
                f"{_USABLE}"
            ) from None
        if self.client_ca is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(cadata=self.client_ca)
            # A resumed session could come from an authority that is no longer trusted.
            context.options |= ssl.OP_NO_TICKET
            context.num_tickets = 0
        return context

    def for_grpc(self) -> grpc.ServerCertificateConfiguration:
        """Returns the identity for gRPC, whose lowest version is TLS 1.2, too."""
        client_ca = None if self.client_ca is None else self.client_ca.encode()
        return grpc.ssl_server_certificate_configuration([(self.key, self.chain)], client_ca)


def _contents(path: Path, setting: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"{setting}: {path} cannot be read: {error.strerror}. Set a PEM file that this process "
            "may read"
        ) from None


def _certificates(pem: bytes, path: Path, setting: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise ConfigError(f"{setting}: {path} has no certificate in PEM form") from None


def _public_key(pem: bytes, path: Path) -> PublicKeyTypes:
    try:
        return load_pem_private_key(pem, None).public_key()
    except TypeError:
        reason = "is encrypted. Store it without a passphrase, readable by this process only"
    except ValueError:
        reason = "has no private key in PEM form"
    except UnsupportedAlgorithm:
        reason = f"has a key of a kind that cannot be used; {_USABLE}"
    raise ConfigError(f"PDP_TLS_KEY_FILE: {path} {reason}")


def _certificate_spki(certificate: x509.Certificate) -> bytes:
    try:
        return _spki(certificate.public_key())
    except (UnsupportedAlgorithm, ValueError):
        raise ConfigError(
            f"PDP_TLS_CERT_FILE: the certificate has a key of a kind that cannot be used; {_USABLE}"
        ) from None


def _spki(key: CertificatePublicKeyTypes | PublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@contextmanager
def _in_memory(contents: bytes) -> Iterator[str]:
    """Yields the path of a file in memory, for an API that takes paths.

    So exactly the contents that were checked are used.
    """
    with os.fdopen(os.memfd_create("pdp-tls"), "wb") as file:
        file.write(contents)
        file.flush()
        yield f"/proc/self/fd/{file.fileno()}"
