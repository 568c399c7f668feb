"""Compares what is missing from the audit log with what the notes of removals say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pdp.domain.audit_log import RemovedRecords
from pdp.store.removal_notes import sum_up
from pdp.store.run_differences import RunDifferences

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pdp.store.hash_chain import Batch
    from pdp.store.removal_notes import Checkpoint, RemovalNote


class RemovalLedger:
    """Collects what is missing and what the notes say, and compares them."""

    def __init__(self, start: Batch, highest_batch: int, highest_record: int) -> None:
        """Args:
        start: the batch before the first one of the log.
        highest_batch: the number of the newest batch.
        highest_record: the number of the newest record.
        """
        self._start = start
        self._records = RunDifferences(highest_record)
        self._batches = RunDifferences(highest_batch)
        self._totals: dict[tuple[str, str], int] = {}
        self._below = 0
        self.checkpoint: Checkpoint | None = None
        """The latest checkpoint by the notes."""

    @property
    def totals(self) -> tuple[RemovedRecords, ...]:
        """What the retention has removed, by the notes."""
        return sum_up(RemovedRecords(*key, count) for key, count in self._totals.items())

    def add_missing_records(self, first: int, end: int) -> None:
        """Adds a run of missing records, from `first` to before `end`."""
        self._records.add(first, 1)
        self._records.add(end, -1)

    def add_missing_batches(self, last: Batch, batch: Batch) -> None:
        """Adds the run of missing batches, and their records, between two batches."""
        self._batches.add(last.sequence, 1, last.hash)
        self._batches.add(batch.sequence - 1, -1, batch.previous)
        self.add_missing_records(last.next_record, batch.first_record)

    def add_note(self, note: RemovalNote) -> None:
        """Adds what a note says about the part of the log after its start."""
        begin = self._start.next_record
        for tenant_id, reason, records in note.totals:
            key = tenant_id, reason
            self._totals[key] = self._totals.get(key, 0) + records
        self._below += sum(each.records for each in note.earlier)
        if not note.ranges:  # then they were below the checkpoint of the note
            self._below += sum(each.records for each in note.removed)
        for first, last in note.ranges:
            self._below += max(0, min(last + 1, begin) - first)
            if last >= begin:
                self._records.add(max(first, begin), -1)
                self._records.add(last + 1, 1)
        for gap in note.gaps:
            if gap.last > self._start.sequence:
                self._batches.add(gap.first - 1, -1, gap.before)
                self._batches.add(gap.last, 1, gap.hash)
        if note.checkpoint:
            previous = self.checkpoint or note.checkpoint
            self.checkpoint = max(previous, note.checkpoint)

    def problems(self) -> Iterator[str]:
        """Yields the differences, in words."""
        for low, high in self._batches.places():
            yield f"batches {low + 1} to {high} are missing"
        for low, high in self._records.places():
            end = max(low, high - 1)
            yield f"records {low} to {end}: the notes do not say that exactly these were removed"
        removed = self._start.next_record - 1
        if self.checkpoint and self.checkpoint.next_record and self._below != removed:
            yield (
                f"{removed} records before record {removed + 1} are removed, but the notes say"
                f" {self._below}"
            )
