"""The port of a log whose hash chain is read batch by batch, for exports that can be verified."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pdp.domain.decision_counts import RecordedCount
    from pdp.store.hash_chain import Batch


class ChainedRecord(NamedTuple):
    """A record of a batch.

    Attributes:
        sequence: its position in the log.
        body: JSON, byte for byte as it was appended.
        hash: its hash in the chain: SHA-256, or HMAC-SHA-256 if the log has a key.
    """

    sequence: int
    body: bytes
    hash: bytes


class ChainNode(NamedTuple):
    """The hash in place of removed records of a batch.

    Attributes:
        sequence: the position of the first of these records.
        level: the level of the node in the tree of the batch; 0 for a single record.
        hash: the hash.
    """

    sequence: int
    level: int
    hash: bytes


class ChainedBatch(NamedTuple):
    """A batch of the log, as it is now.

    Attributes:
        batch: its header.
        records: the records that it still has, in their order.
        removed: the hashes in place of the records that the retention has removed.
    """

    batch: Batch
    records: Sequence[ChainedRecord]
    removed: Sequence[ChainNode]


class CountTable(NamedTuple):
    """All counts of a log.

    Attributes:
        counted_from: decisions before this time were not counted; 0 if all were.
        counts: the counts, each with its tenant, in the order of tenants and times.
    """

    counted_from: int
    counts: Sequence[tuple[str, RecordedCount]]


class ChainReader(Protocol):
    """Reads a log beside the processes that append to it. It never writes.

    All methods raise `StoreUnavailable` if the log cannot be read.
    """

    def last(self) -> int:
        """Returns the number of the newest batch; 0 if there was never one."""

    def read(
        self, after: int, through: int, *, max_records: int, max_bytes: int
    ) -> Sequence[ChainedBatch]:
        """Returns whole batches in their order, from one view of the log.

        Args:
            after: the number of the batch before the first one.
            through: the number of the last batch at most.
            max_records: no further batch is added if the batches have so many records. There is at
                least one batch if the log has one.
            max_bytes: the same for the bytes of their bodies.
        """

    def count_table(self) -> CountTable:
        """Returns how many decisions were made, recorded or not."""

    def close(self) -> None:
        """Releases the log; may be called again."""
