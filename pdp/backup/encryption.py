"""Encryption of a backup: AES-256-GCM with a key that scrypt derives from a passphrase.

The contents are encrypted in chunks. The nonce of a chunk holds its number and whether it is the
last one, so chunks cannot be removed, reordered or cut off (the STREAM construction). Every chunk
also authenticates the manifest.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from pdp.errors import ConfigError, InvalidArgument, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

CHUNK_BYTES: Final = 1 << 20
TAG_BYTES: Final = 16
SALT_BYTES: Final = 16
PREFIX_BYTES: Final = 7
MIN_PASSPHRASE: Final = 12
"""In characters. An attacker who has a backup can guess offline, without a limit."""

COST: Final = 1 << 15
"""scrypt's n: one guess needs 32 MiB and about 0.1 s."""


def read_passphrase(file: Path) -> bytes:
    """Returns the passphrase in a file, without the line break at the end.

    Raises:
        ConfigError: the file cannot be read, or the passphrase is too short.
    """
    try:
        passphrase = file.read_bytes().rstrip(b"\r\n")
    except OSError as error:
        raise ConfigError(f"the passphrase file {file} cannot be read: {error.strerror}") from None
    if len(passphrase) < MIN_PASSPHRASE:
        raise ConfigError(
            f"the passphrase in {file} is shorter than {MIN_PASSPHRASE} characters; make one with "
            "openssl rand -base64 32"
        )
    return passphrase


class Sealer:
    """Encrypts and decrypts the chunks of one backup."""

    def __init__(self, passphrase: bytes, salt: bytes, prefix: bytes, cost: int) -> None:
        """Derives the key.

        Args:
            passphrase: the secret.
            salt: random bytes; the manifest holds them.
            prefix: the prefix of all nonces; the manifest holds it.
            cost: scrypt's n.

        Raises:
            InvalidArgument: a value differs from those that this product writes.
        """
        if not COST <= cost <= COST << 5 or len(salt) != SALT_BYTES or len(prefix) != PREFIX_BYTES:
            raise unusable("its manifest describes an unknown encryption")
        key = Scrypt(salt=salt, length=32, n=cost, r=8, p=1).derive(passphrase)
        self._cipher = AESGCM(key)
        self._prefix = prefix

    def seal(self, plain: BinaryIO, manifest: bytes) -> Iterator[bytes]:
        """Yields the encrypted chunks of a file."""
        number, chunk = 0, plain.read(CHUNK_BYTES)
        while True:
            following = plain.read(CHUNK_BYTES)
            yield self._cipher.encrypt(self._nonce(number, not following), chunk, manifest)
            if not following:
                return
            number, chunk = number + 1, following

    def open(self, sealed: BinaryIO, manifest: bytes) -> Iterator[bytes]:
        """Yields the decrypted chunks of a file.

        Raises:
            InvalidArgument: the passphrase is wrong, or the file was changed.
        """
        size = CHUNK_BYTES + TAG_BYTES
        number, chunk = 0, sealed.read(size)
        while True:
            following = sealed.read(size)
            try:
                yield self._cipher.decrypt(self._nonce(number, not following), chunk, manifest)
            except InvalidTag:
                raise unusable("the passphrase is wrong, or the file was changed") from None
            if not following:
                return
            number, chunk = number + 1, following

    def _nonce(self, number: int, last: bool) -> bytes:
        return self._prefix + number.to_bytes(4, "big") + bytes([last])


def new_salt_and_prefix() -> tuple[bytes, bytes]:
    """Returns a random salt and a random nonce prefix."""
    return os.urandom(SALT_BYTES), os.urandom(PREFIX_BYTES)


def unusable(reason: str) -> InvalidArgument:
    """Returns the error for a backup that cannot be used."""
    return InvalidArgument(f"the backup cannot be used: {reason}", Violation("FILE", reason))
