"""Verifies an audit log: every batch and every record is unchanged, none is missing or added."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pdp.domain.audit_log import Verification
from pdp.store.batch_content import BatchContent, ProblemList, RowsInStep
from pdp.store.hash_chain import GENESIS, NO_BATCH, VERSIONS, Batch
from pdp.store.removal_notes import parse_note
from pdp.store.sqlite.audit_ledger import RemovalLedger
from pdp.store.sqlite.audit_queries import LAST_RECORD, read_highest, read_state

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Mapping

    from pdp.store.removal_notes import Checkpoint

# Texts are read as bytes: a text that is not UTF-8 is a tampered one, and must not raise an error.
_BATCHES: Final = """
    SELECT sequence, first_record, records, at, CAST(note AS BLOB), previous, hash,
           version, converted
    FROM batches ORDER BY sequence
"""
_RECORDS: Final = """
    SELECT sequence, CAST(body AS BLOB), -1, NULL FROM records
    UNION ALL SELECT sequence, NULL, level, hash FROM tombstones
    ORDER BY 1
"""
_NOTE: Final = "SELECT CAST(note AS BLOB) FROM batches WHERE sequence = ?"

# A copy from before the second migration, for instance an old backup.
_OLD_BATCHES: Final = _BATCHES.replace("version, converted", "1, 0")
_OLD_RECORDS: Final = "SELECT sequence, CAST(body AS BLOB), -1, NULL FROM records ORDER BY 1"


class _Anchor:
    """The `head` of an earlier verification, which must be in the chain."""

    def __init__(self, text: str) -> None:
        self._text = text
        sequence = text.partition(":")[0]
        self._sequence = int(sequence) if sequence.isdecimal() else 0
        self._is_present = not text
        self._is_removed = False

    def pass_batch(self, last: Batch, batch: Batch) -> None:
        """Compares the anchor with a batch, and with the batch that precedes it in the chain."""
        previous = batch._replace(sequence=batch.sequence - 1, hash=batch.previous)
        self._is_present |= self._text in {head_of(batch), head_of(previous)}
        self._is_removed |= last.sequence < self._sequence < batch.sequence

    def problem(self, first: Batch | None) -> str:
        """Returns what is wrong; empty if the anchor is in the chain."""
        if self._is_present:
            return ""
        if first and 0 < self._sequence < first.sequence:
            reason = "is older than the oldest batch, so it cannot be checked"
        elif self._is_removed:
            reason = "is a removed batch, so it cannot be checked"
        else:
            reason = "is not in the chain: the log was cut or rewritten"
        return f"the anchor {self._text} {reason}"


def verify(connection: sqlite3.Connection, key: bytes, anchor: str) -> Verification:
    """Verifies the whole log; see `AuditLog.verify`.

    Args:
        connection: has a consistent view open.
        key: the key of the chain.
        anchor: `sequence:hash`, the `head` of an earlier verification; empty for none.
    """
    return _Verifier(connection, key).run(anchor)


def head_of(batch: Batch) -> str:
    """Returns `sequence:hash`, which identifies a batch and all batches before it."""
    return f"{batch.sequence}:{batch.hash.hex()}"


class _Verifier:
    """One verification."""

    def __init__(self, connection: sqlite3.Connection, key: bytes) -> None:
        self._connection = connection
        self._key = key
        self._problems = ProblemList()
        self._is_old = not connection.execute(
            "SELECT 1 FROM sqlite_schema WHERE name = 'tombstones'"
        ).fetchone()
        records = connection.execute(_OLD_RECORDS if self._is_old else _RECORDS)
        self._rows = RowsInStep(records)
        self._conversions: tuple[int, Mapping[int, bytes]] = (0, {})

    def run(self, head: str) -> Verification:
        """Verifies the log."""
        batches = self._batches()
        first = next(batches, None)
        start = self._start(first)
        ledger = RemovalLedger(start, self._highest_batch, self._highest_record())
        last, batch = start, first
        count = records = 0
        anchor = _Anchor(head)
        while batch is not None:
            records += self._check(last, batch, ledger)
            anchor.pass_batch(last, batch)
            count += 1
            last, batch = batch, next(batches, None)
        self._check_beginning(first, start, ledger.checkpoint)
        for problem in ledger.problems():
            self._problems.add(problem)
        self._check_end(last)
        if problem := anchor.problem(first):
            self._problems.add(problem)
        return Verification(
            batches=count,
            records=records,
            first_batch=first.sequence if first else 0,
            last_batch=last.sequence,
            head=head_of(last),
            removed_batches=ledger.checkpoint.removed_through if ledger.checkpoint else 0,
            problems=tuple(self._problems),
            removed=ledger.totals,
        )

    def _batches(self) -> Iterator[Batch]:
        sql = _OLD_BATCHES if self._is_old else _BATCHES
        for row in self._connection.execute(sql):
            yield Batch(*row)._replace(note=row[4].decode("utf-8", "replace"))

    @property
    def _highest_batch(self) -> int:
        return read_highest(self._connection)

    def _highest_record(self) -> int:
        row = self._connection.execute(LAST_RECORD).fetchone()
        return int(row[0]) if row else 0

    def _start(self, first: Batch | None) -> Batch:
        """Returns the batch that the log claims to begin after.

        `_check_beginning` checks the claim when all notes have been read.
        """
        checkpoint = None if self._is_old else self._latest_checkpoint()
        if checkpoint:
            through, hash_, next_record = checkpoint
            return Batch(through, next_record, 0, 0, "", GENESIS, hash_)
        if first is None or first.sequence == 1:
            return NO_BATCH
        return first._replace(sequence=first.sequence - 1, records=0, hash=first.previous)

    def _latest_checkpoint(self) -> Checkpoint | None:
        row = self._connection.execute(
            _NOTE, (read_state(self._connection, "checkpoint"),)
        ).fetchone()
        try:
            return parse_note(row[0].decode()).checkpoint if row else None
        except ValueError:
            return None

    def _check(self, last: Batch, batch: Batch, ledger: RemovalLedger) -> int:
        """Checks a batch against the previous one and its records; returns how many it has."""
        stray = sum(1 for _ in self._rows.until(batch.first_record))
        if stray:
            self._problems.add(f"{stray} records before batch {batch.sequence} belong to no batch")
        content = BatchContent(batch, self._key, ledger)
        hash_ = content.digest(self._rows.until(batch.next_record))
        if batch.sequence != last.sequence + 1:
            ledger.add_missing_batches(last, batch)
        elif batch.previous != last.hash or batch.first_record != last.next_record:
            self._problems.add(f"batch {batch.sequence} does not follow from batch {last.sequence}")
        missing = batch.records - content.records - content.removed
        if missing > 0:
            self._problems.add(
                f"batch {batch.sequence} lacks {missing} of its {batch.records} records"
            )
        elif hash_ != self._expected_hash(batch):
            self._problems.add(
                f"batch {batch.sequence} (records {batch.first_record} to {batch.next_record - 1}) "
                "is not what was written"
            )
        try:
            ledger.add_note(parse_note(batch.note))
        except ValueError:
            self._problems.add(f"the note of batch {batch.sequence} cannot be read")
        return content.records

    def _expected_hash(self, batch: Batch) -> bytes | None:
        """Returns the hash that the content of a batch must have."""
        if not batch.converted:
            return batch.hash if batch.version in VERSIONS else b""
        if batch.version != 1:
            return b""
        if self._conversions[0] != batch.converted:
            row = self._connection.execute(_NOTE, (batch.converted,)).fetchone()
            try:
                converted = parse_note(row[0].decode()).converted if row else {}
            except ValueError:
                converted = {}
            self._conversions = batch.converted, converted
        return self._conversions[1].get(batch.sequence, b"")

    def _check_beginning(
        self, first: Batch | None, start: Batch, checkpoint: Checkpoint | None
    ) -> None:
        """Checks that the latest checkpoint by the notes is where the log begins."""
        through, hash_, next_record = checkpoint or (0, NO_BATCH.hash, 1)
        begins_there = (through, hash_) == (start.sequence, start.hash)
        if begins_there and next_record in {0, start.next_record}:
            return
        if start.sequence and first:
            self._problems.add(
                f"batches 1 to {start.sequence} are missing, and no note says that the retention"
                " removed them"
            )
        else:
            self._problems.add("the beginning is not what was written")

    def _check_end(self, last: Batch) -> None:
        stray = self._rows.remaining()
        if stray:
            self._problems.add(f"{stray} records at the end belong to no batch")
        highest = self._highest_batch
        if highest > last.sequence:
            self._problems.add(f"the end is missing: batches {last.sequence + 1} to {highest}")
