"""Compares what is missing from the audit log with what the notes of removals say.

What is missing is a set of runs, and so is what the notes say. A log may have millions of runs, in
two different orders, so they are not stored. Each run adds a fingerprint of its beginning and
subtracts one of its end. If a run begins at the end of another, the two cancel out, so the sum
depends on the set only and not on how it is divided into runs. The key of the fingerprints is
random, so an attacker cannot choose other runs with the same sum.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING, Final

from pdp.domain.audit_log import RemovedRecords
from pdp.store.removal_notes import sum_up

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pdp.store.hash_chain import Batch
    from pdp.store.removal_notes import Checkpoint, RemovalNote

_PLACES: Final = 1000
"""Into how many places the log is divided, to say where a difference is."""

_MODULUS: Final = 1 << 128


class _Differences:
    """The sums of fingerprints, by place."""

    def __init__(self, highest: int) -> None:
        self._width = max(highest, 0) // _PLACES + 1
        self._highest = max(highest, 0) + 1
        self._key = secrets.token_bytes(16)
        self._sums: dict[int, int] = {}

    def add(self, point: int, sign: int, content: bytes = b"") -> None:
        text = b"%d " % point + content
        digest = hashlib.blake2b(text, digest_size=16, key=self._key).digest()
        place = min(point, self._highest) // self._width
        total = (self._sums.get(place, 0) + sign * int.from_bytes(digest, "big")) % _MODULUS
        if total:
            self._sums[place] = total
        else:
            self._sums.pop(place, None)

    def places(self) -> Iterator[tuple[int, int]]:
        """Yields between which points the two sets differ, as two inclusive bounds."""
        places = sorted(self._sums)
        for position in range(0, len(places), 2):
            first, last = places[position], places[min(position + 1, len(places) - 1)]
            yield first * self._width, last * self._width + self._width - 1


class RemovalLedger:
    """Collects what is missing and what the notes say, and compares them."""

    def __init__(self, start: Batch, highest_batch: int, highest_record: int) -> None:
        """Args:
        start: the batch before the first one of the log.
        highest_batch: the number of the newest batch.
        highest_record: the number of the newest record.
        """
        self._start = start
        self._records = _Differences(highest_record)
        self._batches = _Differences(highest_batch)
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
