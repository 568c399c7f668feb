"""Removes records from the audit log so that the rest can still be verified.

There are two ways:

- `remove_front` removes the oldest batches.
- `remove_records` removes single records. Their hashes stay, as nodes of the trees of their
  batches. Runs of batches without a remaining record are removed as a whole.

Both collect what the note of the step must say. `append_note` appends it in the same transaction.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Final, NamedTuple

from pdp.domain.audit_log import RemovedRecords
from pdp.store.hash_chain import Batch, digest, digest_of_root, next_batch, record_hash
from pdp.store.hash_tree import Tree, TreeNode
from pdp.store.removal_notes import (
    Checkpoint,
    Gap,
    Range,
    RemovalNote,
    parse_note,
    sum_up,
    to_json,
)
from pdp.store.sqlite import audit_holdings
from pdp.store.sqlite.audit_queries import batch_of, read_head, read_state

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Sequence

MAX_BATCHES: Final = 1000
"""The most batches to remove single records from in one step. Appends wait during a step."""

MAX_RECORDS: Final = 1000
"""The most single records to remove in one step."""

MAX_BYTES: Final = 16 << 20
"""The most bytes of bodies to read in one step, unless one batch alone has more."""

MIN_GAP: Final = 8
"""The least batches and hashes that a gap replaces. A gap needs about as much space as these."""

_NODES: Final = """
    SELECT sequence, level, hash FROM tombstones
    WHERE sequence >= ? AND sequence < ? AND level BETWEEN 0 AND 62
"""
_BODIES: Final = """
    SELECT sequence, CAST(body AS BLOB) FROM records WHERE sequence >= ? AND sequence < ?
    ORDER BY sequence
"""
_FRONT: Final = f"""
    SELECT coalesce(tenant_id, ''), count(*),
           sum(CASE WHEN sequence <= ? THEN {audit_holdings.SIZE} ELSE 0 END)
    FROM records WHERE sequence < ? GROUP BY tenant_id
"""  # noqa: S608 - no input
_FIRST_RECORD: Final = "SELECT first_record FROM batches ORDER BY sequence LIMIT 1"
_FRONT_NOTES: Final = "SELECT note FROM batches WHERE sequence <= ? AND note != ''"
_APPEND: Final = """
    INSERT INTO batches (sequence, first_record, records, at, note, previous, hash, version)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""


class RecordToRemove(NamedTuple):
    """A record to remove.

    Attributes:
        sequence: its number.
        body: its body.
    """

    sequence: int
    body: bytes


class _Batch(NamedTuple):
    """A batch after records were removed, with the root of its tree if no record remains."""

    header: Batch
    root: bytes | None


class RemovalStep:
    """One step of the retention."""

    def __init__(self, connection: sqlite3.Connection, key: bytes) -> None:
        """Args:
        connection: is in a transaction that may write.
        key: the key of the chain.
        """
        self._connection = connection
        self._key = key
        self._head = read_head(connection)
        self._removed: list[RemovedRecords] = []
        self._ranges: list[Range] = []
        self._gaps: list[Gap] = []
        self._converted: dict[int, bytes] = {}
        self._checkpoint: Checkpoint | None = None
        self._earlier: tuple[RemovedRecords, ...] = ()
        self._reduced: list[_Batch] = []
        self._bytes_read = 0

    @property
    def has_removed(self) -> bool:
        """Whether the step has removed anything, be it batches without records."""
        return bool(self._removed or self._checkpoint)

    @property
    def room(self) -> int:
        """How many single records the step may still remove."""
        if len(self._reduced) >= MAX_BATCHES or self._bytes_read >= MAX_BYTES:
            return 0
        return max(0, MAX_RECORDS - self.records)

    @property
    def records(self) -> int:
        """How many records the step has removed."""
        return sum(each.records for each in self._removed)

    def remove_front(self, last: Batch, reason: str) -> None:
        """Removes the batches up to `last`, and their records."""
        connection = self._connection
        through = read_state(connection, "counted_through")
        rows = connection.execute(_FRONT, (through, last.next_record)).fetchall()
        self._removed += [RemovedRecords(tenant, reason, count) for tenant, count, _ in rows]
        audit_holdings.subtract(connection, {tenant: size for tenant, _, size in rows})
        self._earlier = sum_up((*self._earlier, *self._totals_below(last)))
        for table in ("records", "tombstones"):
            connection.execute(
                f"DELETE FROM {table} WHERE sequence < ?",  # noqa: S608 - no input
                (last.next_record,),
            )
        connection.execute("DELETE FROM batches WHERE sequence <= ?", (last.sequence,))
        self._checkpoint = Checkpoint(last.sequence, last.hash, last.next_record)

    def _totals_below(self, last: Batch) -> Iterator[RemovedRecords]:
        """Yields what the removed notes say, so that no removal is forgotten."""
        connection = self._connection
        first = connection.execute(_FIRST_RECORD).fetchone()
        if first and first[0] > 1 and not read_state(connection, "checkpoint"):
            yield RemovedRecords("", "", first[0] - 1)  # older releases noted no totals
        for (note,) in connection.execute(_FRONT_NOTES, (last.sequence,)):
            try:
                yield from parse_note(note).totals
            except ValueError:
                continue  # the verification then finds that the totals do not add up

    def remove_records(
        self, tenant_id: str, reason: str, records: Sequence[RecordToRemove]
    ) -> None:
        """Removes records of a tenant, up to the bounds of a step, and keeps their hashes.

        Args:
            tenant_id: the tenant.
            reason: why they are removed.
            records: the records, in order.
        """
        batch: Batch | None = None
        records = records[: self.room]
        remaining = list(records)
        while remaining and self.room:
            batch = batch_of(self._connection, remaining[0].sequence, batch)
            if batch is None:
                break  # the batch was removed by another program
            end = batch.next_record
            own = [each for each in remaining[: batch.records] if each.sequence < end]
            if not own or own[0].sequence < batch.first_record:
                break  # as above
            remaining = remaining[len(own) :]
            self._reduced.append(self._remove_from(batch, own))
        done = records[: len(records) - len(remaining)]
        if not done:
            return
        self._removed.append(RemovedRecords(tenant_id, reason, len(done)))
        self._ranges += _ranges(each.sequence for each in done)
        size = sum(len(each.body) + audit_holdings.RECORD_OVERHEAD for each in done)
        audit_holdings.subtract(self._connection, {tenant_id: size})

    def _remove_from(self, batch: Batch, records: Sequence[RecordToRemove]) -> _Batch:
        """Replaces records of a batch by nodes of its tree."""
        connection = self._connection
        bounds = batch.first_record, batch.next_record
        batch = self._convert(batch)
        self._bytes_read += sum(len(each.body) for each in records)
        connection.executemany(
            "DELETE FROM records WHERE sequence = ?", [(each.sequence,) for each in records]
        )
        if batch.version == 1 and not batch.converted:
            return _Batch(batch, None)  # it was tampered with, and stays a problem
        nodes = [
            TreeNode(level, (sequence - batch.first_record) >> level, hash_)
            for sequence, level, hash_ in connection.execute(_NODES, bounds)
        ]
        nodes += [
            TreeNode(0, each.sequence - batch.first_record, record_hash(each.body, self._key))
            for each in records
        ]
        tree = Tree(batch.records)
        for node in sorted(nodes, key=lambda each: each.position << each.level):
            tree.add(*node)
        connection.execute("DELETE FROM tombstones WHERE sequence >= ? AND sequence < ?", bounds)
        connection.executemany(
            "INSERT OR REPLACE INTO tombstones VALUES (?, ?, ?)",
            [
                (batch.first_record + (node.position << node.level), node.level, node.hash)
                for node in tree.nodes
            ],
        )
        return _Batch(batch, tree.root)

    def _convert(self, batch: Batch) -> Batch:
        """Notes the hash in version 2 of a batch of version 1, if the batch is unchanged."""
        if batch.version != 1 or batch.converted:
            return batch
        rows = self._connection.execute(_BODIES, (batch.first_record, batch.next_record))
        bodies = [body for _, body in rows.fetchall()]
        self._bytes_read += sum(map(len, bodies))
        if len(bodies) != batch.records or digest(batch, bodies, self._key) != batch.hash:
            return batch
        converted = batch._replace(converted=self._head.sequence + 1)
        as_new = batch._replace(version=2)
        self._converted[batch.sequence] = digest(as_new, bodies, self._key)
        self._connection.execute(
            "UPDATE batches SET converted = ? WHERE sequence = ?",
            (converted.converted, batch.sequence),
        )
        return converted

    def remove_empty_batches(self) -> None:
        """Removes runs of batches that have lost their last record in this step."""
        latest = {each.header.sequence: each for each in self._reduced}
        end = self._checkpoint.removed_through if self._checkpoint else 0
        run: list[Batch] = []
        for _, each in sorted(item for item in latest.items() if item[0] > end):
            if run and (each.root is None or not _follows(run[-1], each.header)):
                self._remove_run(run)
                run = []
            if each.root is not None and self._is_removable(each.header, each.root):
                run.append(each.header)
        self._remove_run(run)

    def _is_removable(self, batch: Batch, root: bytes) -> bool:
        """Returns whether a batch has no note, is not the newest, and was not tampered with."""
        if batch.note or batch.sequence == self._head.sequence:
            return False
        hash_ = digest_of_root(batch, root, self._key)
        return hash_ == (self._converted_hash(batch) if batch.version == 1 else batch.hash)

    def _converted_hash(self, batch: Batch) -> bytes | None:
        if batch.sequence in self._converted:
            return self._converted[batch.sequence]
        return converted_hash(self._connection, batch)

    def _remove_run(self, run: Sequence[Batch]) -> None:
        if sum(1 + each.records for each in run) < MIN_GAP:
            return
        first, last = run[0], run[-1]
        self._connection.execute(
            "DELETE FROM batches WHERE sequence BETWEEN ? AND ?", (first.sequence, last.sequence)
        )
        self._connection.execute(
            "DELETE FROM tombstones WHERE sequence >= ? AND sequence < ?",
            (first.first_record, last.next_record),
        )
        self._gaps.append(Gap(first.sequence, last.sequence, first.previous, last.hash))

    def append_note(self, at: int) -> None:
        """Appends a batch whose note says what the step has removed."""
        note = RemovalNote(
            removed=sum_up(self._removed),
            ranges=tuple(self._ranges),
            gaps=tuple(self._gaps),
            converted=self._converted,
            checkpoint=self._checkpoint,
            earlier=self._earlier,
        )
        batch = next_batch(self._head, (), at, note=to_json(note), key=self._key)
        self._connection.execute(_APPEND, batch[:8])
        if self._checkpoint:
            self._connection.execute("UPDATE retention SET checkpoint = ?", (batch.sequence,))


def converted_hash(connection: sqlite3.Connection, batch: Batch) -> bytes | None:
    """Returns the hash in version 2 of a converted batch, as a note says; None if none does."""
    row = connection.execute(
        "SELECT CAST(note AS BLOB) FROM batches WHERE sequence = ?", (batch.converted,)
    ).fetchone()
    try:
        return parse_note(row[0].decode()).converted.get(batch.sequence) if row else None
    except ValueError:
        return None


def _follows(last: Batch, batch: Batch) -> bool:
    return (batch.sequence, batch.first_record, batch.previous) == (
        last.sequence + 1,
        last.next_record,
        last.hash,
    )


def _ranges(sequences: Iterable[int]) -> Iterator[Range]:
    """Yields the runs of consecutive numbers."""
    for _, run in groupby(enumerate(sequences), key=lambda item: item[1] - item[0]):
        numbers = [number for _, number in run]
        yield Range(numbers[0], numbers[-1])
