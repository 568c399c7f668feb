"""Verifies an audit log: every batch and every record is unchanged, none is missing or added."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pdp.domain.audit_log import Verification
from pdp.store.hash_chain import NO_BATCH, Batch, digest
from pdp.store.sqlite.audit_queries import read_highest
from pdp.store.sqlite.audit_retention import parse_removal

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

MAX_PROBLEMS: Final = 50
"""The most problems to report. If there are more, the last entry says so."""

# Texts are read as bytes: a text that is not UTF-8 is a tampered one, and must not raise an error.
_BATCHES: Final = """
    SELECT sequence, first_record, records, at, CAST(note AS BLOB), previous, hash FROM batches
    ORDER BY sequence
"""
_RECORDS: Final = "SELECT sequence, CAST(body AS BLOB) FROM records ORDER BY sequence"


class _Problems(list[str]):
    """A list of problems with a bounded length."""

    def add(self, problem: str) -> None:
        if len(self) < MAX_PROBLEMS:
            self.append(problem)
        elif len(self) == MAX_PROBLEMS:
            self.append("and more")


class _Records:
    """Reads the records in step with the batches."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._rows = connection.execute(_RECORDS)
        self._next: tuple[int, bytes] | None = self._rows.fetchone()
        self.count = 0

    def until(self, end: int) -> Iterator[bytes]:
        """Yields the bodies of the unread records with a number below `end`."""
        while self._next is not None and self._next[0] < end:
            self.count += 1
            yield self._next[1]
            self._next = self._rows.fetchone()

    def remaining(self) -> int:
        """Reads the rest, and returns how many records it had."""
        return 0 if self._next is None else 1 + sum(1 for _ in self._rows)


def verify(connection: sqlite3.Connection, key: bytes, anchor: str) -> Verification:
    """Verifies the whole log; see `AuditLog.verify`.

    Args:
        connection: has a consistent view open.
        key: the key of the chain.
        anchor: `sequence:hash`, the `head` of an earlier verification; empty for none.
    """
    problems = _Problems()
    records = _Records(connection)
    first: Batch | None = None
    last = NO_BATCH
    batches = record_count = 0
    removed: tuple[int, str] = (0, "")
    anchored = not anchor
    for batch in map(_batch, connection.execute(_BATCHES)):
        if first is None:
            first, last = batch, _assumed_predecessor(batch)
        record_count += _check(last, batch, records, key, problems)
        removed = _latest_removal(batch, removed, problems)
        anchored = anchored or anchor == head_of(batch)
        last = batch
        batches += 1
    _check_beginning(first, removed, problems)
    _check_end(connection, last, records, problems)
    if not anchored:
        problems.add(_missing_anchor(anchor, first))
    return Verification(
        batches=batches,
        records=record_count,
        first_batch=first.sequence if first else 0,
        last_batch=last.sequence,
        head=head_of(last),
        removed_batches=removed[0],
        problems=tuple(problems),
    )


def _assumed_predecessor(first: Batch) -> Batch:
    """Returns the batch that `first` claims to follow.

    `_check_beginning` checks the claim when all notes have been read.
    """
    return first._replace(sequence=first.sequence - 1, records=0, hash=first.previous)


def _batch(row: tuple[Any, ...]) -> Batch:
    batch = Batch(*row)
    return batch._replace(note=row[4].decode("utf-8", "replace"))


def head_of(batch: Batch) -> str:
    """Returns `sequence:hash`, which identifies a batch and all batches before it."""
    return f"{batch.sequence}:{batch.hash.hex()}"


def _check(last: Batch, batch: Batch, records: _Records, key: bytes, problems: _Problems) -> int:
    """Checks a batch against the previous one and its records; returns how many records it has."""
    stray = sum(1 for _ in records.until(batch.first_record))
    if stray:
        problems.add(f"{stray} records before batch {batch.sequence} belong to no batch")
    before = records.count
    # The records are hashed as they are read: a tampered batch may claim all records of the log.
    hash_ = digest(batch, records.until(batch.next_record), key)
    count = records.count - before
    if batch.sequence != last.sequence + 1:
        problems.add(f"batches {last.sequence + 1} to {batch.sequence - 1} are missing")
    elif batch.previous != last.hash or batch.first_record != last.next_record:
        problems.add(f"batch {batch.sequence} does not follow from batch {last.sequence}")
    if count != batch.records:  # record numbers are unique, so an equal count means none is missing
        missing = batch.records - count
        problems.add(f"batch {batch.sequence} lacks {missing} of its {batch.records} records")
    elif hash_ != batch.hash:
        problems.add(
            f"batch {batch.sequence} (records {batch.first_record} to {batch.next_record - 1}) "
            "is not what was written"
        )
    return count


def _latest_removal(batch: Batch, removed: tuple[int, str], problems: _Problems) -> tuple[int, str]:
    """Returns the latest removal by the notes up to `batch`."""
    try:
        return max(removed, parse_removal(batch.note))
    except ValueError:
        problems.add(f"the note of batch {batch.sequence} cannot be read")
        return removed


def _check_beginning(first: Batch | None, removed: tuple[int, str], problems: _Problems) -> None:
    if first is None:
        return
    removed_through, removed_hash = removed
    missing = first.sequence - 1
    if missing == 0:
        genesis = first.previous == NO_BATCH.hash and first.first_record == NO_BATCH.next_record
        if not genesis or removed_through:
            problems.add("the beginning is not what was written")
    elif removed_through != missing or removed_hash != first.previous.hex():
        problems.add(
            f"batches 1 to {missing} are missing, and no note says that the retention removed them"
        )


def _check_end(
    connection: sqlite3.Connection, last: Batch, records: _Records, problems: _Problems
) -> None:
    stray = records.remaining()
    if stray:
        problems.add(f"{stray} records at the end belong to no batch")
    highest = read_highest(connection)
    if highest > last.sequence:
        problems.add(f"the end is missing: batches {last.sequence + 1} to {highest}")


def _missing_anchor(anchor: str, first: Batch | None) -> str:
    sequence = anchor.partition(":")[0]
    if first and sequence.isdecimal() and int(sequence) < first.sequence:
        return f"the anchor {anchor} is older than the oldest batch, so it cannot be checked"
    return f"the anchor {anchor} is not in the chain: the log was cut or rewritten"
