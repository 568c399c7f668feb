"""Signatures of what followers get, by Ed25519. A follower that keeps it on disk verifies it."""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

KEY_BYTES: Final = 32

_PURPOSE: Final = b"pdp policy update\0"
"""Part of what is signed, so that no signature for another purpose counts."""


class SignatureRefused(Exception):
    """A signature is not that of the key."""


class Signer:
    """Signs with a private key.

    Attributes:
        public_key: the public key, 32 bytes.
    """

    def __init__(self, private_key: bytes) -> None:
        """Takes the private key, 32 bytes.

        Raises:
            ValueError: the key has another length.
        """
        self._key = Ed25519PrivateKey.from_private_bytes(private_key)
        self.public_key = self._key.public_key().public_bytes_raw()

    def sign(self, content: bytes) -> bytes:
        """Returns the signature of some content."""
        return self._key.sign(_PURPOSE + content)


def verify(public_key: bytes, content: bytes, signature: bytes) -> None:
    """Verifies the signature of some content.

    Raises:
        SignatureRefused: it is not that of the key, or the key is not valid.
    """
    try:
        key = Ed25519PublicKey.from_public_bytes(public_key)
        key.verify(signature, _PURPOSE + content)
    except (InvalidSignature, ValueError):
        raise SignatureRefused("the signature is not valid") from None
