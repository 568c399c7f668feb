"""Signatures of policy files: Ed25519, in a file of their own beside the file that they are of."""

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
"""Signed before the file, so that a signature of something else is none of a policy file."""


def signature_of(file: Path) -> Path:
    """Returns where the signature of a file lies."""
    return file.with_name(f"{file.name}.sig")


def sign(raw: bytes, key_file: Path) -> bytes:
    """Returns the signature of a file's contents, as one line of base64.

    Raises:
        ConfigError: the key cannot be read, or is no private Ed25519 key in PEM form.
    """
    try:
        key = load_pem_private_key(_contents(key_file), None)
    except (TypeError, ValueError):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(
            f"{key_file} holds no private Ed25519 key in PEM form without a passphrase; make one "
            "with openssl genpkey -algorithm ed25519"
        )
    return base64.b64encode(key.sign(_CONTEXT + raw)) + b"\n"


def verify(raw: bytes, file: Path, key_file: Path) -> None:
    """Raises where the signature beside `file` is not that of its contents by the key.

    Raises:
        ConfigError: the key or the signature cannot be read, or it is no public Ed25519 key.
        InvalidArgument: the signature is missing, or is another's, or the file was changed.
    """
    try:
        key = load_pem_public_key(_contents(key_file))
    except ValueError:
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise ConfigError(f"{key_file} holds no public Ed25519 key in PEM form")
    try:
        key.verify(
            base64.b64decode(_contents(signature_of(file)).strip(), validate=True), _CONTEXT + raw
        )
    except (InvalidSignature, binascii.Error):
        reason = f"{signature_of(file)} is no signature of it by the key in {key_file}"
        raise InvalidArgument(f"{file}: {reason}", Violation("FILE", reason)) from None


def _contents(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from None
