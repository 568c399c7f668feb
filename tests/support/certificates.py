"""Certificates for tests: an authority and the certificates that it signs."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class KeyPair:
    """A certificate and its key.

    Attributes:
        certificate: the certificate.
        key: its private key.
    """

    certificate: x509.Certificate
    key: Any

    @property
    def chain(self) -> bytes:
        """The certificate in PEM form."""
        return self.certificate.public_bytes(Encoding.PEM)

    def key_pem(self, passphrase: bytes = b"") -> bytes:
        """Returns the key in PEM form, encrypted if there is a passphrase."""
        encryption = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
        pem: bytes = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
        return pem

    def write(self, folder: Path, name: str) -> tuple[Path, Path]:
        """Writes both files into `folder`, replacing existing ones; returns their paths."""
        paths = folder / f"{name}.crt", folder / f"{name}.key"
        for path, contents in zip(paths, (self.chain, self.key_pem()), strict=True):
            fresh = path.with_suffix(".new")
            fresh.write_bytes(contents)
            fresh.replace(path)
        return paths

    def issue(self, name: str, *, days: int = 2, bits: int = 0, uri: str = "") -> KeyPair:
        """Returns a certificate that this authority signed, for localhost or for a URI.

        Args:
            name: its common name.
            days: its validity; negative if it has expired.
            bits: the size of an RSA key; 0 for an elliptic curve key.
            uri: the URI that replaces the names of localhost.
        """
        return _pair(name, self, days=days, bits=bits, uri=uri)


def new_authority(name: str = "test authority") -> KeyPair:
    """Returns a new self-signed authority."""
    return _pair(name, None)


def _pair(
    name: str, issuer: KeyPair | None, *, days: int = 2, bits: int = 0, uri: str = ""
) -> KeyPair:
    key = rsa.generate_private_key(65537, bits) if bits else ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    hosts: list[x509.GeneralName] = [
        x509.DNSName("localhost"),
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
    ]
    if uri:
        hosts = [x509.UniformResourceIdentifier(uri)]
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=10))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    certificate = builder.sign(issuer.key if issuer else key, hashes.SHA256())
    return KeyPair(certificate, key)
