"""Whether a log of records is whole: every batch, every record in it, and nothing besides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pdp.domain.audit_log import Verification
from pdp.store.hash_chain import NO_BATCH, Batch, digest
from pdp.store.sqlite.audit_queries import read_highest
from pdp.store.sqlite.audit_retention import removal

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

MAX_PROBLEMS: Final = 50
"""That are told; where there are more, the last one says so."""

# Texts as bytes: one that is not UTF-8 is something that was altered, and no error.
_BATCHES: Final = """
    SELECT sequence, first_record, records, at, CAST(note AS BLOB), previous, hash FROM batches
    ORDER BY sequence
"""
_RECORDS: Final = "SELECT sequence, CAST(body AS BLOB) FROM records ORDER BY sequence"


class _Problems(list[str]):
    """At most so many that a reader still wants to see them."""

    def add(self, problem: str) -> None:
        if len(self) < MAX_PROBLEMS:
            self.append(problem)
        elif len(self) == MAX_PROBLEMS:
            self.append("and more")


class _Records:
    """The records, in step with the batches."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._rows = connection.execute(_RECORDS)
        self._next: tuple[int, bytes] | None = self._rows.fetchone()
        self.taken = 0

    def upto(self, end: int) -> Iterator[bytes]:
        """Yields the bodies of the records that come before `end`, and have not been taken."""
        while self._next is not None and self._next[0] < end:
            self.taken += 1
            yield self._next[1]
            self._next = self._rows.fetchone()

    def rest(self) -> int:
        """Returns how many are left."""
        return 0 if self._next is None else 1 + sum(1 for _ in self._rows)


def verify(connection: sqlite3.Connection, key: bytes, anchor: str) -> Verification:
    """Looks at the whole log; see `AuditLog.verify`.

    Args:
        connection: with a consistent view open.
        key: of the chain.
        anchor: `sequence:hash`, as a verification gives in `head`; empty for none.
    """
    problems = _Problems()
    records = _Records(connection)
    first: Batch | None = None
    last = NO_BATCH
    count = held = 0
    removed: tuple[int, str] = (0, "")
    anchored = not anchor
    for batch in map(_batch, connection.execute(_BATCHES)):
        if first is None:
            first, last = batch, _before(batch)
        held += _check(last, batch, records, key, problems)
        removed = _noted(batch, removed, problems)
        anchored = anchored or anchor == head_of(batch)
        last = batch
        count += 1
    _check_beginning(first, removed, problems)
    _check_end(connection, last, records, problems)
    if not anchored:
        problems.add(_missing_anchor(anchor, first))
    return Verification(
        batches=count,
        records=held,
        first_batch=first.sequence if first else 0,
        last_batch=last.sequence,
        head=head_of(last),
        removed_batches=removed[0],
        problems=tuple(problems),
    )


def _before(first: Batch) -> Batch:
    """Returns what `first` follows from as it says itself.

    What comes before it is judged when all notes have been read.
    """
    return first._replace(sequence=first.sequence - 1, records=0, hash=first.previous)


def _batch(row: tuple[Any, ...]) -> Batch:
    batch = Batch(*row)
    return batch._replace(note=row[4].decode("utf-8", "replace"))


def head_of(batch: Batch) -> str:
    """Returns what names a batch and all before it: its sequence and its hash."""
    return f"{batch.sequence}:{batch.hash.hex()}"


def _check(last: Batch, batch: Batch, records: _Records, key: bytes, problems: _Problems) -> int:
    """Checks a batch against the one before it and its records; returns how many these are."""
    stray = sum(1 for _ in records.upto(batch.first_record))
    if stray:
        problems.add(f"{stray} records before batch {batch.sequence} belong to no batch")
    before = records.taken
    # As they are read: a batch may say that it holds all the records that there are.
    hash_ = digest(batch, records.upto(batch.next_record), key)
    held = records.taken - before
    if batch.sequence != last.sequence + 1:
        problems.add(f"batches {last.sequence + 1} to {batch.sequence - 1} are missing")
    elif batch.previous != last.hash or batch.first_record != last.next_record:
        problems.add(f"batch {batch.sequence} does not follow from batch {last.sequence}")
    if held != batch.records:  # their numbers differ, so as many as there should be are they all
        missing = batch.records - held
        problems.add(f"batch {batch.sequence} lacks {missing} of its {batch.records} records")
    elif hash_ != batch.hash:
        problems.add(
            f"batch {batch.sequence} (records {batch.first_record} to {batch.next_record - 1}) "
            "is not what was written"
        )
    return held


def _noted(batch: Batch, removed: tuple[int, str], problems: _Problems) -> tuple[int, str]:
    """Returns how far the retention has come by the notes up to `batch`."""
    try:
        return max(removed, removal(batch.note))
    except ValueError:
        problems.add(f"the note of batch {batch.sequence} cannot be read")
        return removed


def _check_beginning(first: Batch | None, removed: tuple[int, str], problems: _Problems) -> None:
    if first is None:
        return
    through, name = removed
    before = first.sequence - 1
    if before == 0:
        begun_well = first.previous == NO_BATCH.hash and first.first_record == NO_BATCH.next_record
        if not begun_well or through:
            problems.add("the beginning is not what was written")
    elif through != before or name != first.previous.hex():
        problems.add(
            f"batches 1 to {before} are missing, and no note says that the retention removed them"
        )


def _check_end(
    connection: sqlite3.Connection, last: Batch, records: _Records, problems: _Problems
) -> None:
    stray = records.rest()
    if stray:
        problems.add(f"{stray} records at the end belong to no batch")
    highest = read_highest(connection)
    if highest > last.sequence:
        problems.add(f"the end is missing: batches {last.sequence + 1} to {highest}")


def _missing_anchor(anchor: str, first: Batch | None) -> str:
    sequence = anchor.partition(":")[0]
    if first and sequence.isdecimal() and int(sequence) < first.sequence:
        return f"the anchor {anchor} is older than what is kept, so nothing can be said of it"
    return f"the anchor {anchor} is not in the chain: the log was cut or rewritten"
