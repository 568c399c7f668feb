"""The files of TLS: read and checked as a whole."""

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
"""What differs once a file is another or has other contents."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Where the certificate comes from.

    Attributes:
        certificate: the server's certificate and those that it is signed by, PEM.
        key: its private key, PEM, without a passphrase.
        client_ca: the authorities of clients' certificates, PEM; None where clients need none.
    """

    certificate: Path
    key: Path
    client_ca: Path | None = None

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Returns the files that the settings name.

        Raises:
            ConfigError: some are named and others missing.
        """
        certificate, key = settings.tls_cert_file, settings.tls_key_file
        if certificate is not None and key is not None:
            return cls(certificate, key, settings.tls_client_ca_file)
        raise ConfigError(
            "TLS needs a certificate and its key: set both PDP_TLS_CERT_FILE and PDP_TLS_KEY_FILE, "
            "or none of PDP_TLS_CERT_FILE, PDP_TLS_KEY_FILE and PDP_TLS_CLIENT_CA_FILE"
        )

    def stamp(self) -> Stamp:
        """Returns the stamp of the files as they are now."""
        return tuple(_stamp(path) for path in (self.certificate, self.key, self.client_ca) if path)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


@dataclass(frozen=True, slots=True)
class Identity:
    """What was read of the files, and found to belong together.

    Attributes:
        chain, key, client_ca: their contents, PEM.
        expires_at: when the certificate does, in seconds since the epoch.
    """

    chain: bytes
    key: bytes
    client_ca: str | None
    expires_at: float

    @classmethod
    def read(cls, files: TlsFiles) -> Self:
        """Reads the files.

        Raises:
            ConfigError: one is missing, unreadable or malformed, or the key is not the
                certificate's; it says what to do.
        """
        chain = _contents(files.certificate, "PDP_TLS_CERT_FILE")
        key = _contents(files.key, "PDP_TLS_KEY_FILE")
        leaf = _certificates(chain, files.certificate, "PDP_TLS_CERT_FILE")[0]
        if _certified(leaf) != _spki(_public_key(key, files.key)):
            raise ConfigError(
                f"PDP_TLS_KEY_FILE: {files.key} is not the key of the first certificate in "
                f"{files.certificate}; name a certificate and key that belong together"
            )
        client_ca = None
        if files.client_ca is not None:
            pem = _contents(files.client_ca, "PDP_TLS_CLIENT_CA_FILE")
            authorities = _certificates(pem, files.client_ca, "PDP_TLS_CLIENT_CA_FILE")
            client_ca = "".join(each.public_bytes(Encoding.PEM).decode() for each in authorities)
        identity = cls(chain, key, client_ca, leaf.not_valid_after_utc.timestamp())
        identity.context()  # what OpenSSL refuses, such as a key that is too short, is told now
        return identity

    def context(self) -> ssl.SSLContext:
        """Returns a context for servers, TLS 1.2 at least.

        Raises:
            ConfigError: OpenSSL refuses certificate or key.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            with _in_memory(self.chain) as chain, _in_memory(self.key) as key:
                context.load_cert_chain(chain, key)
        except ssl.SSLError as error:
            raise ConfigError(
                f"PDP_TLS_CERT_FILE, PDP_TLS_KEY_FILE: OpenSSL refuses them: {error.reason}; "
                f"{_USABLE}"
            ) from None
        if self.client_ca is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(cadata=self.client_ca)
            # A session taken up again would be one of an authority that may be trusted no more.
            context.options |= ssl.OP_NO_TICKET
            context.num_tickets = 0
        return context

    def for_grpc(self) -> grpc.ServerCertificateConfiguration:
        """Returns the same in gRPC's terms; its TLS is 1.2 at least, too."""
        client_ca = None if self.client_ca is None else self.client_ca.encode()
        return grpc.ssl_server_certificate_configuration([(self.key, self.chain)], client_ca)


def _contents(path: Path, setting: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"{setting}: {path} cannot be read: {error.strerror}; name a PEM file that this "
            "process may read"
        ) from None


def _certificates(pem: bytes, path: Path, setting: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise ConfigError(f"{setting}: {path} holds no certificate in PEM form") from None


def _public_key(pem: bytes, path: Path) -> PublicKeyTypes:
    try:
        return load_pem_private_key(pem, None).public_key()
    except TypeError:
        reason = "is encrypted; store it without a passphrase, readable by this process alone"
    except ValueError:
        reason = "holds no private key in PEM form"
    except UnsupportedAlgorithm as error:
        reason = f"holds a key of a kind that cannot be used: {error}; {_USABLE}"
    raise ConfigError(f"PDP_TLS_KEY_FILE: {path} {reason}")


def _certified(certificate: x509.Certificate) -> bytes:
    try:
        return _spki(certificate.public_key())
    except (UnsupportedAlgorithm, ValueError) as error:
        raise ConfigError(
            f"PDP_TLS_CERT_FILE: the certificate's key cannot be used: {error}; {_USABLE}"
        ) from None


def _spki(key: CertificatePublicKeyTypes | PublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@contextmanager
def _in_memory(contents: bytes) -> Iterator[str]:
    """Gives the path of a file in memory, for an API that takes paths: what is used was checked."""
    with os.fdopen(os.memfd_create("pdp-tls"), "wb") as file:
        file.write(contents)
        file.flush()
        yield f"/proc/self/fd/{file.fileno()}"
