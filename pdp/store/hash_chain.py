"""The hash chain over the batches of decision records, the same for every backend.

The hash of a batch covers its records and the hash of the previous batch. There are two versions:

- Version 1 covers the bodies of the records. Batches of older releases have it.
- Version 2 covers the root of a tree of hashes (`hash_tree`) whose leaves are the hashes of the
  records. If a record is removed, its hash is enough to compute the hash of the batch.

With a key, the hashes are MACs: someone who has the file but not the key cannot forge them.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Final, NamedTuple

from pdp.store.hash_tree import root_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

GENESIS: Final = bytes(32)
"""The previous hash of the first batch."""

VERSION: Final = 2
"""The version of new batches."""

_MAGICS: Final = {1: b"pdp-audit-1", 2: b"pdp-audit-2"}

VERSIONS: Final = frozenset(_MAGICS)
"""All versions."""


class Batch(NamedTuple):
    """The header of a batch.

    Attributes:
        sequence: the number of the batch; the first is 1.
        first_record: the sequence number of its first record. Record numbers continue from batch
            to batch.
        records: the number of its records.
        at: when it was written, in microseconds since the epoch.
        note: JSON about a change to the log itself, such as a removal; usually empty.
        previous: the hash of the previous batch.
        hash: the hash of this batch.
        version: the version of `hash`.
        converted: if records of a batch of version 1 were removed: the number of the batch whose
            note has the hash that this batch has in version 2; else 0.
    """

    sequence: int
    first_record: int
    records: int
    at: int
    note: str
    previous: bytes
    hash: bytes
    version: int = VERSION
    converted: int = 0

    @property
    def next_record(self) -> int:
        """The sequence number that follows the last record of the batch."""
        return self.first_record + self.records


NO_BATCH: Final = Batch(0, 1, 0, 0, "", GENESIS, GENESIS)
"""Stands for the batch before the first one."""


def key_id(key: bytes) -> str:
    """Returns an identifier of `key` that reveals nothing about it; empty if there is no key."""
    return hmac.new(key, b"pdp-audit-key-id", "sha256").hexdigest()[:16] if key else ""


def record_hash(body: bytes, key: bytes) -> bytes:
    """Returns the hash of a record: the SHA-256 of its body, or its HMAC if there is a key."""
    return hmac.digest(key, body, "sha256") if key else hashlib.sha256(body).digest()


def next_batch(
    head: Batch, hashes: Sequence[bytes], at: int, *, note: str = "", key: bytes = b""
) -> Batch:
    """Returns the header of the batch that follows `head` and has records with these hashes."""
    batch = Batch(head.sequence + 1, head.next_record, len(hashes), at, note, head.hash, b"")
    return batch._replace(hash=digest_of_root(batch, root_of(hashes), key))


def digest(batch: Batch, bodies: Iterable[bytes], key: bytes) -> bytes:
    """Returns the hash of a batch with these bodies, in the version of the batch."""
    if batch.version != 1:
        return digest_of_root(batch, root_of([record_hash(body, key) for body in bodies]), key)
    # Each part is preceded by its length, so two different batches never hash the same bytes.
    hasher = _hasher(batch, 1, key)
    for body in bodies:
        hasher.update(len(body).to_bytes(8, "big") + body)
    return hasher.digest()


def digest_of_root(batch: Batch, root: bytes, key: bytes) -> bytes:
    """Returns the hash in version 2 of a batch whose tree of hashes has this root."""
    hasher = _hasher(batch, 2, key)
    hasher.update(root)
    return hasher.digest()


def _hasher(batch: Batch, version: int, key: bytes) -> hmac.HMAC | hashlib._Hash:
    """Returns the hasher after the header of the batch."""
    head = (
        f"{batch.sequence},{batch.first_record},{batch.records},{batch.at},{len(batch.note)},"
        f"{batch.note}"
    )
    hasher = hmac.new(key, digestmod="sha256") if key else hashlib.sha256()
    hasher.update(_MAGICS[version] + batch.previous + head.encode())
    return hasher
