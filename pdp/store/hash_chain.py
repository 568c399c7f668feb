"""The hash chain over the batches of decision records, the same for every backend.

The hash of a batch covers its records and the hash of the previous batch. With a key, the hashes
are MACs: someone who has the file but not the key cannot forge them.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

GENESIS: Final = bytes(32)
"""The previous hash of the first batch."""

_MAGIC: Final = b"pdp-audit-1"


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
    """

    sequence: int
    first_record: int
    records: int
    at: int
    note: str
    previous: bytes
    hash: bytes

    @property
    def next_record(self) -> int:
        """The sequence number that follows the last record of the batch."""
        return self.first_record + self.records


NO_BATCH: Final = Batch(0, 1, 0, 0, "", GENESIS, GENESIS)
"""Stands for the batch before the first one."""


def key_id(key: bytes) -> str:
    """Returns an identifier of `key` that reveals nothing about it; empty if there is no key."""
    return hmac.new(key, b"pdp-audit-key-id", "sha256").hexdigest()[:16] if key else ""


def next_batch(
    head: Batch, bodies: Sequence[str], at: int, *, note: str = "", key: bytes = b""
) -> Batch:
    """Returns the header of the batch of `bodies` that follows `head`."""
    batch = Batch(head.sequence + 1, head.next_record, len(bodies), at, note, head.hash, b"")
    return batch._replace(hash=digest(batch, (body.encode() for body in bodies), key))


def digest(batch: Batch, bodies: Iterable[bytes], key: bytes) -> bytes:
    """Returns the hash of a batch with these bodies.

    Each part is preceded by its length, so two different batches never hash the same bytes.
    """
    head = (
        f"{batch.sequence},{batch.first_record},{batch.records},{batch.at},{len(batch.note)},"
        f"{batch.note}"
    )
    hasher = hmac.new(key, digestmod="sha256") if key else hashlib.sha256()
    hasher.update(_MAGIC + batch.previous + head.encode())
    for body in bodies:
        hasher.update(len(body).to_bytes(8, "big") + body)
    return hasher.digest()
