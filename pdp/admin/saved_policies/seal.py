"""How a file of saved policies is protected: by a checksum, or encrypted if there is a key."""

from __future__ import annotations

import hashlib
import os
from base64 import b64decode
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pdp.errors import ConfigError, StoreUnavailable

if TYPE_CHECKING:
    from pathlib import Path

KEY_BYTES: Final = 32

_MAGIC: Final = b"PDPSAVED"
_VERSION: Final = b"\x01"
_PLAIN: Final = b"P"
_ENCRYPTED: Final = b"E"
_HEADER_BYTES: Final = len(_MAGIC + _VERSION + _PLAIN)
_NONCE_BYTES: Final = 12
_HASH_BYTES: Final = 32


class SavedPoliciesUnusable(StoreUnavailable):
    """There are no saved policies that may be used; the message says why, without values."""


def read_key(file: Path) -> bytes:
    """Returns the key in a file: 32 bytes in base64.

    Raises:
        ConfigError: the file cannot be read, or holds no key.
    """
    try:
        key = b64decode(file.read_bytes().strip(), validate=True)
    except OSError as error:
        raise ConfigError(
            f"PDP_SNAPSHOT_KEY_FILE: {file} cannot be read: {error.strerror}"
        ) from None
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise ConfigError(
            f"PDP_SNAPSHOT_KEY_FILE: {file} holds no key. Write {KEY_BYTES} bytes in base64 to it: "
            "openssl rand -base64 32"
        )
    return key


class FileSeal:
    """Protects the contents of files.

    A file is bound to its role: a file of another role is refused. With a key, it is encrypted by
    AES-256-GCM, and only who has the key can make a file that is accepted.

    Attributes:
        encrypts: whether there is a key.
    """

    def __init__(self, key: bytes = b"") -> None:
        """Takes the key; empty for checksums only."""
        self._cipher = AESGCM(key) if key else None
        self.encrypts = bool(key)

    def close(self, role: bytes, content: bytes) -> bytes:
        """Returns the file with a content."""
        header = self._header
        if self._cipher is None:
            return header + _checksum(header, role, content) + content
        nonce = os.urandom(_NONCE_BYTES)
        return header + nonce + self._cipher.encrypt(nonce, content, header + role)

    def open(self, role: bytes, data: bytes) -> bytes:
        """Returns the content of a file.

        Raises:
            SavedPoliciesUnusable: the file is damaged, has another key or another role, or is of
                another release.
        """
        header, body = data[:_HEADER_BYTES], data[_HEADER_BYTES:]
        if header != self._header:
            raise SavedPoliciesUnusable(self._problem(header))
        if self._cipher is None:
            checksum, content = body[:_HASH_BYTES], body[_HASH_BYTES:]
            if checksum != _checksum(header, role, content):
                raise SavedPoliciesUnusable("a file of saved policies is damaged")
            return content
        try:
            return self._cipher.decrypt(body[:_NONCE_BYTES], body[_NONCE_BYTES:], header + role)
        except (InvalidTag, ValueError):  # ValueError: the nonce is cut off
            raise SavedPoliciesUnusable(
                "a file of saved policies is damaged, or has another key"
            ) from None

    @property
    def _header(self) -> bytes:
        return _MAGIC + _VERSION + (_ENCRYPTED if self.encrypts else _PLAIN)

    def _problem(self, header: bytes) -> str:
        if header == _MAGIC + _VERSION + _ENCRYPTED:
            return "the saved policies are encrypted; set PDP_SNAPSHOT_KEY_FILE"
        if header == _MAGIC + _VERSION + _PLAIN:
            return "the saved policies are not encrypted, but PDP_SNAPSHOT_KEY_FILE is set"
        return "a file of saved policies is damaged, or of another release"


def _checksum(header: bytes, role: bytes, content: bytes) -> bytes:
    return hashlib.sha256(header + role + b"\0" + content).digest()
