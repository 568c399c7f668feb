"""Compares what an export lacks of the log with what the notes of the retention say.

A record that the retention removed before it was exported is missing, with a note in the chain. The
notes also tell of records that were removed later: the export still has them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pdp.store.removal_notes import parse_note

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pdp.store.hash_chain import Batch

_Run = tuple[int, int]
"""The first and the last number of a run, both inclusive."""


class NotedRemovals:
    """Collects what is missing, and what notes say."""

    def __init__(self) -> None:
        self.records = 0
        """How many records are missing."""
        self._missing_batches: list[tuple[_Run, _Run, bytes]] = []
        self._missing_records: list[_Run] = []
        self._noted_batches: list[_Run] = []
        self._noted_records: list[_Run] = []
        self._noted_hashes: dict[int, set[bytes]] = {}
        self._of_old_releases: set[int] = set()
        self._unreadable: list[int] = []

    def miss_batches(self, last: Batch, batch: Batch) -> None:
        """Adds the run of batches that is missing between two, and its records."""
        run = (last.sequence + 1, batch.sequence - 1)
        records = (last.next_record, batch.first_record - 1)
        self._missing_batches.append((run, records, batch.previous))
        self._miss_records(*records)

    def miss_node(self, batch: Batch, sequence: int, level: int) -> None:
        """Adds the records below a node of a batch."""
        end = min(batch.next_record, sequence + (1 << min(max(level, 0), 62)))
        self._miss_records(sequence, end - 1)

    def _miss_records(self, first: int, last: int) -> None:
        if first <= last:
            self._missing_records.append((first, last))
            self.records += last - first + 1

    def add_note(self, batch: Batch) -> None:
        """Adds what the note of a batch says."""
        try:
            note = parse_note(batch.note)
        except ValueError:
            self._unreadable.append(batch.sequence)
            return
        self._noted_records += note.ranges
        for gap in note.gaps:
            self._noted_batches.append((gap.first, gap.last))
            self._noted_hashes.setdefault(gap.last, set()).add(gap.hash)
        if note.checkpoint:
            through, hash_, next_record = note.checkpoint
            self._noted_batches.append((1, through))
            self._noted_hashes.setdefault(through, set()).add(hash_)
            if next_record:
                self._noted_records.append((1, next_record - 1))
            else:  # an older release did not note it
                self._of_old_releases.add(through)

    def problems(self) -> Iterator[str]:
        """Yields what is missing without a note, in words."""
        for number in self._unreadable:
            yield f"the note of batch {number} cannot be read"
        noted = _merged(self._noted_batches)
        for (first, last), records, hash_ in self._missing_batches:
            if not _is_in((first, last), noted) or hash_ not in self._noted_hashes.get(last, ()):
                yield (
                    f"batches {first} to {last} are missing, and no note says that they were"
                    " removed"
                )
            elif last in self._of_old_releases:
                self._noted_records.append(records)
        noted = _merged(self._noted_records)
        for run in _merged(self._missing_records):
            if not _is_in(run, noted):
                yield (
                    f"records {run[0]} to {run[1]} are missing, and no note says that all of them"
                    " were removed"
                )


def _merged(runs: Iterable[_Run]) -> list[_Run]:
    """Returns the runs in order, with neighbours as one."""
    merged: list[_Run] = []
    for first, last in sorted(runs):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = merged[-1][0], max(merged[-1][1], last)
        else:
            merged.append((first, last))
    return merged


def _is_in(run: _Run, runs: list[_Run]) -> bool:
    return any(first <= run[0] and run[1] <= last for first, last in runs)
