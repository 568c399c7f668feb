"""The file format of a backup: a magic line, a manifest (one line of JSON), and the database.

The manifest describes the contents before anything is unpacked: the revision, the size and the
SHA-256 of the database, and its encryption.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from pdp.backup.encryption import CHUNK_BYTES, COST, Sealer, new_salt_and_prefix, unusable
from pdp.errors import ConfigError
from pdp.store.files import sync

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAGIC: Final = b"PDP BACKUP 1\n"
POLICIES: Final = "policies"
RECORDS: Final = "records"
"""The kinds of contents."""

MAX_MANIFEST_BYTES: Final = 4096
OWNER_ONLY: Final = 0o600


@dataclass(frozen=True, slots=True)
class Manifest:
    """The description of a backup.

    Attributes:
        created_at: in RFC 3339.
        revision: of the last change; for records, the number of the last record.
        schema: the schema version of the database.
        size: of the database, in bytes.
        sha256: of the database, in hexadecimal.
        encryption: how the key is derived from the passphrase; None if it is not encrypted.
        holds: `POLICIES` or `RECORDS`.
        head: the head of the hash chain of records, for verification; empty for policies.
    """

    created_at: str
    revision: int
    schema: int
    size: int
    sha256: str
    encryption: dict[str, Any] | None = None
    holds: str = POLICIES
    head: str = ""


def digest(file: Path) -> str:
    """Returns the SHA-256 of a file, in hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def pack(database: Path, manifest: Manifest, target: Path, passphrase: bytes | None) -> Manifest:
    """Writes a backup. It replaces `target` when it is complete and on disk.

    Args:
        database: the file to pack; no process may write to it.
        manifest: without the encryption.
        target: the backup file; only its owner can read it.
        passphrase: encrypts the database; None for no encryption.

    Returns:
        The manifest with the encryption.

    Raises:
        ConfigError: `target` cannot be written.
    """
    sealer = None
    if passphrase is not None:
        salt, prefix = new_salt_and_prefix()
        sealer = Sealer(passphrase, salt, prefix, COST)
        encryption = {"kdf": "scrypt", "n": COST, "salt": salt.hex(), "prefix": prefix.hex()}
        manifest = Manifest(**{**asdict(manifest), "encryption": encryption})
    line = json.dumps(asdict(manifest), separators=(",", ":")).encode() + b"\n"
    with replacing(target) as backup, database.open("rb") as plain:
        backup.write(MAGIC + line)
        for chunk in _chunks(plain) if sealer is None else sealer.seal(plain, line):
            backup.write(chunk)
    return manifest


def read_manifest(source: Path) -> Manifest:
    """Returns the manifest of a backup. Only `unpack` checks that it is true.

    Raises:
        ConfigError: the file cannot be read.
        InvalidArgument: the file is not a backup.
    """
    with _open(source) as backup:
        return _manifest(backup)[0]


def unpack(source: Path, target: BinaryIO, passphrase: bytes | None) -> Manifest:
    """Writes the database in a backup to `target`, and returns the manifest.

    Raises:
        ConfigError: the backup cannot be read.
        InvalidArgument: the file is not a backup or is damaged, or the passphrase is missing or
            wrong.
    """
    with _open(source) as backup:
        manifest, line = _manifest(backup)
        chunks = _chunks(backup)
        if manifest.encryption is not None:
            if passphrase is None:
                raise unusable("it is encrypted; give --passphrase-file")
            chunks = _sealer(manifest.encryption, passphrase).open(backup, line)
        hasher, size = hashlib.sha256(), 0
        for chunk in chunks:
            hasher.update(chunk)
            size += len(chunk)
            target.write(chunk)
    if (size, hasher.hexdigest()) != (manifest.size, manifest.sha256):
        raise unusable("its checksum differs from the manifest: it was changed or cut off")
    return manifest


def _open(source: Path) -> BinaryIO:
    try:
        return source.open("rb")
    except OSError as error:
        raise ConfigError(f"the backup {source} cannot be read: {error.strerror}") from None


def _sealer(encryption: dict[str, Any], passphrase: bytes) -> Sealer:
    try:
        salt, prefix = bytes.fromhex(encryption["salt"]), bytes.fromhex(encryption["prefix"])
        return Sealer(passphrase, salt, prefix, int(encryption["n"]))
    except (KeyError, TypeError, ValueError):
        raise unusable("its manifest describes an unknown encryption") from None


def _manifest(backup: BinaryIO) -> tuple[Manifest, bytes]:
    if backup.read(len(MAGIC)) != MAGIC:
        raise unusable("it is not a backup of this product")
    line = backup.readline(MAX_MANIFEST_BYTES)
    try:
        manifest = Manifest(**json.loads(line))
    except (ValueError, TypeError):
        raise unusable("its manifest cannot be read") from None
    if manifest.holds not in {POLICIES, RECORDS}:
        raise unusable("this version does not support its contents")
    return manifest, line


def _chunks(plain: BinaryIO) -> Iterator[bytes]:
    while chunk := plain.read(CHUNK_BYTES):
        yield chunk


@contextmanager
def replacing(target: Path) -> Iterator[BinaryIO]:
    """Opens a new file that replaces `target` when the context ends without an exception.

    Only its owner can read the file. It is on disk before it replaces `target`.

    Raises:
        ConfigError: the file cannot be written, or `target` is not a regular file.
    """
    target = target.resolve()
    if target.exists() and not target.is_file():
        raise ConfigError(f"{target} cannot be written: it is not a regular file")
    part = target.with_name(f"{target.name}.part")
    try:
        with suppress(FileNotFoundError):
            part.unlink()
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY)
        with os.fdopen(descriptor, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(target)
        sync(target.parent)
    except OSError as error:
        raise ConfigError(f"{target} cannot be written: {error.strerror}") from None
    finally:
        with suppress(OSError):
            part.unlink()
