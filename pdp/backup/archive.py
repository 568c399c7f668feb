"""The file of a backup: a magic line, a manifest of one line of JSON, and the database.

The manifest says what is inside before anything is unpacked: the revision, the size and the SHA-256
of the database, and how it is encrypted.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from pdp.backup.encryption import CHUNK_BYTES, COST, Sealer, damaged, fresh
from pdp.errors import ConfigError
from pdp.store.sqlite.backup import sync

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAGIC: Final = b"PDP BACKUP 1\n"
POLICIES: Final = "policies"
RECORDS: Final = "records"
"""What a backup may hold."""

MAX_MANIFEST_BYTES: Final = 4096
OWNER_ONLY: Final = 0o600


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup holds.

    Attributes:
        created_at: in RFC 3339.
        revision: of the last change in it; of records the number of the last.
        schema: the version of the database's schema.
        size: of the database, in bytes.
        sha256: of the database, in hexadecimal.
        encryption: how the key is made of the passphrase; None where it is not encrypted.
        holds: `POLICIES`, or the `RECORDS` of decisions.
        head: of the chain of records, to verify the log by; empty for policies.
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
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def pack(database: Path, manifest: Manifest, target: Path, passphrase: bytes | None) -> Manifest:
    """Writes the backup, in place of `target` once it is complete and on disk.

    Args:
        database: what to pack; nobody writes it.
        manifest: without its encryption.
        target: the file to make; only its owner can read it.
        passphrase: encrypts the database; None to leave it readable.

    Raises:
        ConfigError: `target` cannot be written.
    """
    sealer = None
    if passphrase is not None:
        salt, prefix = fresh()
        sealer = Sealer(passphrase, salt, prefix, COST)
        encryption = {"kdf": "scrypt", "n": COST, "salt": salt.hex(), "prefix": prefix.hex()}
        manifest = Manifest(**{**asdict(manifest), "encryption": encryption})
    line = json.dumps(asdict(manifest), separators=(",", ":")).encode() + b"\n"
    with replacing(target) as packed, database.open("rb") as plain:
        packed.write(MAGIC + line)
        for chunk in _chunks(plain) if sealer is None else sealer.seal(plain, line):
            packed.write(chunk)
    return manifest


def described(source: Path) -> Manifest:
    """Returns what a backup says of itself; `unpack` says whether that is so.

    Raises:
        ConfigError: the backup cannot be read.
        InvalidArgument: it is no backup.
    """
    with _opened(source) as packed:
        return _manifest(packed)[0]


def unpack(source: Path, target: BinaryIO, passphrase: bytes | None) -> Manifest:
    """Writes the database in a backup to `target`, and returns what the manifest says of it.

    Raises:
        ConfigError: the backup cannot be read.
        InvalidArgument: it is no backup, was changed or cut off, or needs a passphrase, or another.
    """
    with _opened(source) as packed:
        manifest, line = _manifest(packed)
        chunks = _chunks(packed)
        if manifest.encryption is not None:
            if passphrase is None:
                raise damaged("it is encrypted; give --passphrase-file")
            chunks = _sealer(manifest.encryption, passphrase).open(packed, line)
        found, size = hashlib.sha256(), 0
        for chunk in chunks:
            found.update(chunk)
            size += len(chunk)
            target.write(chunk)
    if (size, found.hexdigest()) != (manifest.size, manifest.sha256):
        raise damaged("its checksum is another than the manifest's: it was changed or cut off")
    return manifest


def _opened(source: Path) -> BinaryIO:
    try:
        return source.open("rb")
    except OSError as error:
        raise ConfigError(f"the backup {source} cannot be read: {error.strerror}") from None


def _sealer(encryption: dict[str, Any], passphrase: bytes) -> Sealer:
    try:
        salt, prefix = bytes.fromhex(encryption["salt"]), bytes.fromhex(encryption["prefix"])
        return Sealer(passphrase, salt, prefix, int(encryption["n"]))
    except (KeyError, TypeError, ValueError):
        raise damaged("its encryption is described as no backup of this product is") from None


def _manifest(packed: BinaryIO) -> tuple[Manifest, bytes]:
    if packed.read(len(MAGIC)) != MAGIC:
        raise damaged("it is no backup of this product")
    line = packed.readline(MAX_MANIFEST_BYTES)
    try:
        manifest = Manifest(**json.loads(line))
    except (ValueError, TypeError):
        raise damaged("its manifest cannot be read") from None
    if manifest.holds not in {POLICIES, RECORDS}:
        raise damaged("it holds what this version does not know")
    return manifest, line


def _chunks(plain: BinaryIO) -> Iterator[bytes]:
    while chunk := plain.read(CHUNK_BYTES):
        yield chunk


@contextmanager
def replacing(target: Path) -> Iterator[BinaryIO]:
    """Opens a new file that takes the place of `target` once the context ends well.

    It is its owner's alone, and on disk before it is there.

    Raises:
        ConfigError: it cannot be written, or is something else than a file: a device, for instance.
    """
    target = target.resolve()
    if target.exists() and not target.is_file():
        raise ConfigError(f"{target} cannot be written: it is no file")
    part = target.with_name(f"{target.name}.part")
    try:
        with suppress(FileNotFoundError):
            part.unlink()
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY)
        with os.fdopen(descriptor, "wb") as opened:
            yield opened
            opened.flush()
            os.fsync(opened.fileno())
        part.replace(target)
        sync(target.parent)
    except OSError as error:
        raise ConfigError(f"{target} cannot be written: {error.strerror}") from None
    finally:
        with suppress(OSError):
            part.unlink()
