"""How batches of records are chained, the same for every backend.

Each batch has the hash of what it holds and of the hash before it. With a key the hashes are MACs,
which nobody can make who has the file and not the key.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

GENESIS: Final = bytes(32)
"""What the first batch has for the hash before it."""

_MAGIC: Final = b"pdp-audit-1"


class Batch(NamedTuple):
    """The head of a batch.

    Attributes:
        sequence: 1 for the first, one more for each.
        first_record: the sequence number of its first record, which go on from batch to batch.
        records: how many it holds.
        at: when it was written, in microseconds since the epoch.
        note: what was done to the log itself, as JSON; empty for most.
        previous: the hash of the batch before it.
        hash: its own.
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
        """The sequence number of the record that comes after its last."""
        return self.first_record + self.records


NO_BATCH: Final = Batch(0, 1, 0, 0, "", GENESIS, GENESIS)
"""What comes before the first."""


def key_id(key: bytes) -> str:
    """Returns what tells one key from another and says nothing of it; empty for none."""
    return hmac.new(key, b"pdp-audit-key-id", "sha256").hexdigest()[:16] if key else ""


def chained(
    head: Batch, bodies: Sequence[str], at: int, *, note: str = "", key: bytes = b""
) -> Batch:
    """Returns the batch of `bodies` that comes after `head`."""
    batch = Batch(head.sequence + 1, head.next_record, len(bodies), at, note, head.hash, b"")
    return batch._replace(hash=digest(batch, (body.encode() for body in bodies), key))


def digest(batch: Batch, bodies: Iterable[bytes], key: bytes) -> bytes:
    """Returns the hash that a batch of `bodies` has.

    Lengths go before what they are of, so that no two batches are hashed as the same bytes.
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
