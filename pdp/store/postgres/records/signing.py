"""Signatures of the heads of hash chains, by Ed25519.

With a key of the log, the signing key is derived from it, so all replicas have the same one and the
verification knows it. Without, each process makes one at its start and never writes it anywhere:
when the process has ended, no one can sign in its name.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

if TYPE_CHECKING:
    from pdp.store.postgres.records.chains import ChainHead

_PURPOSE: Final = b"pdp audit head\0"
"""Part of what is signed, so that no signature for another purpose counts."""

_DERIVATION: Final = b"pdp-audit-signing-key"


class HeadSigner:
    """Signs the heads of a process.

    Attributes:
        public_key: the public key, 32 bytes.
    """

    def __init__(self, key: bytes) -> None:
        """Takes the key of the log; empty for none."""
        self._key = _private_key(key) if key else Ed25519PrivateKey.generate()
        self.public_key = self._key.public_key().public_bytes_raw()

    def sign(self, head: ChainHead) -> bytes:
        """Returns the signature of a head."""
        return self._key.sign(_content(head))


def expected_key(key: bytes) -> bytes | None:
    """Returns the public key that all heads are signed with; None if the log has no key."""
    return _private_key(key).public_key().public_bytes_raw() if key else None


def is_signed(head: ChainHead, public_key: bytes, signature: bytes) -> bool:
    """Returns whether a signature of a head is that of a key."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, _content(head))
    except (InvalidSignature, ValueError):
        return False
    return True


def _private_key(key: bytes) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(hmac.digest(key, _DERIVATION, "sha256"))


def _content(head: ChainHead) -> bytes:
    text = f"{head.chain},{head.batches},{head.records},"
    return _PURPOSE + text.encode() + head.hash
