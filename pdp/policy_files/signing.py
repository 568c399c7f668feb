"""Ed25519 signatures of policy files; the signature is a separate file beside the policy file."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from pdp.errors import ConfigError, InvalidArgument, Violation

if TYPE_CHECKING:
    from pathlib import Path

_CONTEXT: Final = b"pdp-policies/1 signature\n"
"""A prefix of the signed bytes, so that only signatures of policy files are valid."""


def signature_of(file: Path) -> Path:
    """Returns the path of a file's signature."""
    return file.with_name(f"{file.name}.sig")


def sign(raw: bytes, key_file: Path) -> bytes:
    """Returns the signature of a file's contents, as one line of base64.

    Raises:
        ConfigError: the key cannot be read, or is not a private Ed25519 key in PEM form.
    """
    try:
        key = load_pem_private_key(_contents(key_file), None)
    except (TypeError, ValueError):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(
            f"{key_file} is not a private Ed25519 key in PEM form without a passphrase. Create one "
            "with openssl genpkey -algorithm ed25519."
        )
    return base64.b64encode(key.sign(_CONTEXT + raw)) + b"\n"


def verify(raw: bytes, file: Path, key_file: Path) -> None:
    """Verifies the signature beside `file`.

    Args:
        raw: the content of the file.
        file: the path of the file.
        key_file: the public key.

    Raises:
        ConfigError: the key or the signature cannot be read, or the key is not public Ed25519.
        InvalidArgument: the signature is of another key or of other content.
    """
    try:
        key = load_pem_public_key(_contents(key_file))
    except ValueError:
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise ConfigError(
            f"{key_file} is not a public Ed25519 key in PEM form. Create one with openssl pkey "
            "-pubout."
        )
    try:
        key.verify(
            base64.b64decode(_contents(signature_of(file)).strip(), validate=True), _CONTEXT + raw
        )
    except (InvalidSignature, binascii.Error):
        reason = f"{signature_of(file)} is not its signature with the key in {key_file}"
        raise InvalidArgument(f"{file}: {reason}", Violation("FILE", reason)) from None


def _contents(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}. Name another file.") from None
