"""Verifies an export: its files are what was written, its records and batches those of the log.

The hash chain of the log goes along with the records, so the check needs no log. It finds a record
that was altered, removed, added or moved since it was decided, and columns that differ from the
record that they are of.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import pyarrow.parquet as pq

from pdp.errors import ConfigError, StoreUnavailable
from pdp.record_files.chain import head_text, tree_hash
from pdp.record_files.columns import NumberedRecord, record_batch
from pdp.record_files.exported_log import READ_ROWS, readable
from pdp.record_files.manifest import COUNTS_FILE, DATA_PATTERN, ExportManifest, data_pattern
from pdp.record_files.noted_removals import NotedRemovals
from pdp.record_files.schema import CHAIN, RECORDS, SCHEMA, SCHEMA_KEY, STEP_KEY
from pdp.store.chain_port import ChainedRecord
from pdp.store.hash_chain import NO_BATCH, Batch, record_hash

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pdp.record_files.locations import FileStore
    from pdp.record_files.manifest import RecordFile, Step

MAX_PROBLEMS: Final = 50
"""The most problems to report. If there are more, the last entry says so."""

_MAX_LEVEL: Final = 62


@dataclass(slots=True)
class ExportVerification:
    """What a verification has found.

    Attributes:
        records, batches, files: how many were verified.
        unchained: batches of version 1, which older releases wrote. Their hash cannot be computed
            from an export, so their records are compared with the hashes in the export only.
        removed: records that the retention had removed before they could be exported.
        head: the last batch, as `pdp audit verify` prints it.
        problems: what is wrong, in words; empty if the export is intact.
    """

    records: int = 0
    batches: int = 0
    files: int = 0
    unchained: int = 0
    removed: int = 0
    head: str = ""
    problems: list[str] = field(default_factory=list)

    @property
    def intact(self) -> bool:
        """Whether the verification found no problem."""
        return not self.problems

    def add_problem(self, text: str) -> None:
        """Adds a problem, up to the bound."""
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(text)
        elif len(self.problems) == MAX_PROBLEMS:
            self.problems.append("and more")


def verify_export(files: FileStore, key: bytes, anchor: str = "") -> ExportVerification:
    """Verifies a whole export, step by step.

    Args:
        files: the export.
        key: the key of the hash chain; empty for none.
        anchor: the `head` of an earlier verification, of the log or of an export; empty for none.

    Raises:
        ConfigError: there is no export, or its manifest is damaged.
        StoreUnavailable: the export cannot be read.
    """
    return _ExportVerifier(files, key, anchor).run()


class _ExportVerifier:
    """One verification."""

    def __init__(self, files: FileStore, key: bytes, anchor: str) -> None:
        self._files = files
        self._key = key
        self._anchor = anchor
        self._has_anchor = not anchor
        self._last = NO_BATCH
        self._mark = 0
        self._removals = NotedRemovals()
        self._known: set[str] = set()
        self._result = ExportVerification()

    def run(self) -> ExportVerification:
        manifest = ExportManifest(self._files)
        result, last = self._result, manifest.last_number()
        finished = self._finished_steps()
        if not last and not finished:
            raise ConfigError(f"there is no export at {self._files.shown}")
        if finished > last:
            result.add_problem(f"the end is missing: steps {last + 1} to {finished}")
        for step in manifest.steps(last):
            self._check_step(step)
        unfinished = set(self._files.matching(data_pattern(last + 1)))
        for path in self._files.matching(DATA_PATTERN):
            if path not in self._known and path not in unfinished:
                result.add_problem(f"{path} is not a file of the export")
        for problem in self._removals.problems():
            result.add_problem(problem)
        result.removed = self._removals.records
        result.head = head_text(self._last)
        if not self._has_anchor:
            result.add_problem(
                f"the anchor {self._anchor} is not in the export: it is newer, or its batch was"
                " removed, or the export is of another log"
            )
        return result

    def _finished_steps(self) -> int:
        """Returns the last step of the last run that finished; 0 if none has."""
        content = self._files.read(COUNTS_FILE)
        if content is None:
            return 0
        with readable(self._files, COUNTS_FILE):
            metadata = pq.read_schema(io.BytesIO(content)).metadata or {}
            return int(metadata[STEP_KEY])

    def _check_step(self, step: Step) -> None:
        if step.batches.after != self._mark:
            self._result.add_problem(f"step {step.number} does not follow from the step before")
        self._mark = step.batches.through
        hashes = self._check_chain(step)
        for file in step.files:
            self._known.add(file.path)
            self._check_file(file, hashes)
        if hashes:
            self._result.add_problem(
                f"step {step.number} lacks {len(hashes)} of its records, first {min(hashes)}"
            )
        if step.head != head_text(self._last):
            self._result.add_problem(f"step {step.number} does not end with batch {step.head}")

    def _check_chain(self, step: Step) -> dict[int, tuple[int, bytes]]:
        """Checks the batches of a step; returns the batch and the hash of each record."""
        content = self._content(step.chain)
        if content is None:
            return {}
        hashes: dict[int, tuple[int, bytes]] = {}
        try:
            with readable(self._files, step.chain):
                rows = pq.read_table(io.BytesIO(content), columns=CHAIN.names).to_pylist()
        except StoreUnavailable:
            self._result.add_problem(f"{step.chain} cannot be read")
            return {}
        for row in rows:
            nodes = row.pop("nodes")
            batch = Batch(*(row[name] for name in CHAIN.names[:-1]))
            self._check_batch(batch, nodes)
            hashes.update(
                (node["sequence"], (batch.sequence, node["hash"]))
                for node in nodes
                if not node["removed"]
            )
            self._result.batches += 1
        return hashes

    def _check_batch(self, batch: Batch, nodes: list[dict[str, Any]]) -> None:
        last, self._last = self._last, batch
        previous = batch._replace(sequence=batch.sequence - 1, hash=batch.previous)
        self._has_anchor |= self._anchor in {head_text(batch), head_text(previous)}
        if batch.sequence <= last.sequence:
            self._result.add_problem(f"batch {batch.sequence} comes after batch {last.sequence}")
        elif batch.sequence > last.sequence + 1:
            self._removals.miss_batches(last, batch)
        elif batch.previous != last.hash or batch.first_record != last.next_record:
            self._result.add_problem(
                f"batch {batch.sequence} does not follow from batch {last.sequence}"
            )
        self._removals.add_note(batch)
        for node in nodes:
            if node["removed"]:
                self._removals.miss_node(batch, node["sequence"], node["level"])
        if batch.version == 1:
            self._result.unchained += 1
            return
        hashes = [(each["sequence"], _level(each["level"]), each["hash"]) for each in nodes]
        if tree_hash(batch, hashes, self._key) != batch.hash:
            self._result.add_problem(f"batch {batch.sequence} is not what was written")

    def _check_file(self, file: RecordFile, hashes: dict[int, tuple[int, bytes]]) -> None:
        content = self._content(file.path)
        if content is None:
            return
        self._result.files += 1
        if hashlib.sha256(content).hexdigest() != file.sha256:
            self._result.add_problem(f"{file.path} is not what was written")
        try:
            self._check_records(file.path, content, hashes)
        except StoreUnavailable:
            self._result.add_problem(f"{file.path} cannot be read")

    def _check_records(
        self, path: str, content: bytes, hashes: dict[int, tuple[int, bytes]]
    ) -> None:
        for records, columns in self._batches(path, content):
            for each in records:
                sequence, body, hash_ = each.record
                expected = hashes.pop(sequence, None)
                if expected != (each.batch, hash_) or record_hash(body, self._key) != hash_:
                    self._result.add_problem(f"{path}: record {sequence} is not in the chain")
            self._result.records += len(records)
            if columns is not None and not self._is_of(records, columns):
                self._result.add_problem(
                    f"{path}: columns of records {records[0].record.sequence} to"
                    f" {records[-1].record.sequence} are not those of the records"
                )

    def _is_of(self, records: list[NumberedRecord], columns: Any) -> bool:
        try:
            return bool(record_batch(records).equals(columns))
        except StoreUnavailable:
            return False

    def _batches(self, path: str, content: bytes) -> Iterator[tuple[list[NumberedRecord], Any]]:
        """Yields the records of a file, with their columns if this release writes the same ones."""
        with readable(self._files, path):
            file = pq.ParquetFile(io.BytesIO(content))
            schema = file.schema_arrow
            is_own = (schema.metadata or {}).get(SCHEMA_KEY) == str(SCHEMA).encode()
            batches = file.iter_batches(READ_ROWS, columns=RECORDS.names if is_own else None)
        while True:
            with readable(self._files, path):
                batch = next(batches, None)
                if batch is None:
                    return
                names = ("batch", "sequence", "body", "record_hash")
                columns = [batch.column(name).to_pylist() for name in names]
            records = [
                NumberedRecord(number, ChainedRecord(sequence, body.encode(), hash_))
                for number, sequence, body, hash_ in zip(*columns, strict=True)
            ]
            yield records, batch.select(RECORDS.names) if is_own else None

    def _content(self, path: str) -> bytes | None:
        content = self._files.read(path)
        if content is None:
            self._result.add_problem(f"{path} is missing")
        return content


def _level(level: int) -> int:
    return min(max(level, 0), _MAX_LEVEL)
