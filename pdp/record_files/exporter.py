"""Exports the log of decision records to Parquet files, from where the last export ended.

Every record is in the files exactly once, however often an export is interrupted (`manifest`). An
export takes whole batches of the hash chain and checks their hashes, so it never passes on what
someone has changed in the log.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pdp.errors import ConfigError, StoreUnavailable
from pdp.record_files.chain import batch_hash, head_text
from pdp.record_files.manifest import COUNTS_FILE, BatchRange, ExportManifest, Step, chain_path
from pdp.record_files.writing import StepContent, counts_file
from pdp.store.hash_chain import NO_BATCH, Batch

if TYPE_CHECKING:
    from collections.abc import Callable

    from pdp.record_files.locations import FileStore
    from pdp.store.chain_port import ChainedBatch, ChainReader

DEFAULT_FILE_ROWS: Final = 200_000

MAX_STEP_BYTES: Final = 128 << 20
"""The most bytes of records that a step has, and so a file, but for the last batch."""

_READ_RECORDS: Final = 2_000
_READ_BYTES: Final = 8 << 20
"""What is read from the log at a time, so that no view of it is open for long."""

_OTHER_LOG: Final = (
    "the export at {place} is of another log, or this log was cut. Run pdp audit verify with the"
    " anchor {head}, or export to another place."
)
_OTHER_PLAN: Final = (
    "the export at {place} was interrupted in a step that does not fit this log. Export to another"
    " place."
)


@dataclass(slots=True)
class ExportSummary:
    """What an export has done.

    Attributes:
        records, files, size: how many records, files and bytes it has written.
        steps: how many steps it has completed.
        resumed: whether it has completed a step that an earlier export had begun.
        head: the last batch that is exported now, as `pdp audit verify` prints it; empty for none.
    """

    records: int = 0
    files: int = 0
    size: int = 0
    steps: int = 0
    resumed: bool = False
    head: str = ""


class ParquetExporter:
    """One run of an export. Only one may run for a place at a time."""

    def __init__(
        self,
        log: ChainReader,
        files: FileStore,
        *,
        key: bytes,
        release: str,
        file_rows: int = DEFAULT_FILE_ROWS,
        show_progress: Callable[[float], None] = lambda _share: None,
    ) -> None:
        """Args:
        log: what to export.
        files: where to.
        key: the key of the hash chain; empty for none.
        release: the name of this release, for the manifest.
        file_rows: about the most records of a file.
        show_progress: called with the share that is done, from 0 to 1.
        """
        self._log = log
        self._files = files
        self._key = key
        self._release = release
        self._file_rows = file_rows
        self._show_progress = show_progress
        self._manifest = ExportManifest(files)
        self._last: Batch | None = None
        self._summary = ExportSummary()

    def run(self) -> ExportSummary:
        """Exports all batches that the log has now.

        Raises:
            ConfigError: the place has an export of another log, or one that is damaged.
            StoreUnavailable: the log or the files cannot be read or written, or the log was
                tampered with.
        """
        # The counts come first: no decision that they count as recorded may be missing.
        counts = self._log.count_table()
        end = self._log.last()
        number = self._manifest.last_number()
        mark = self._mark(number, end)
        plan = self._manifest.plan(number + 1)
        if plan is not None and (plan.after != mark or plan.through > end):
            raise ConfigError(_OTHER_PLAN.format(place=self._files.shown))
        while plan is not None or mark < end:
            content = self._content(plan or BatchRange(mark, end), bounded=plan is None)
            if not content.batches and plan is None:
                break  # the retention has removed the rest
            batches = plan or BatchRange(mark, content.batches[-1].batch.sequence)
            number += 1
            self._write(number, content, batches, again=plan is not None)
            mark, plan = batches.through, None
            self._show_progress(mark / end)
        self._files.write(COUNTS_FILE, counts_file(counts, number))
        return self._summary

    def _mark(self, number: int, end: int) -> int:
        """Returns the last batch that is exported, after a comparison with the log."""
        if not number:
            return 0
        step = self._manifest.step(number)
        self._summary.head = step.head
        mark = step.batches.through
        found = self._log.read(mark - 1, mark, max_records=1, max_bytes=1) if mark else ()
        is_other = any(head_text(each.batch) != step.head for each in found)
        if is_other or mark > end:
            raise ConfigError(_OTHER_LOG.format(place=self._files.shown, head=step.head))
        self._last = found[0].batch if found else None
        return mark

    def _content(self, batches: BatchRange, *, bounded: bool) -> StepContent:
        content = StepContent()
        mark = batches.after
        while mark < batches.through:
            read = self._log.read(
                mark, batches.through, max_records=_READ_RECORDS, max_bytes=_READ_BYTES
            )
            for each in read:
                self._check(each)
                content.add(each)
                is_full = content.records >= self._file_rows or content.size >= MAX_STEP_BYTES
                if bounded and is_full:
                    return content
            if not read:
                break
            mark = read[-1].batch.sequence
        return content

    def _check(self, chained: ChainedBatch) -> None:
        """Checks that a batch is what was written, and follows from the one before."""
        batch, last = chained.batch, self._last or NO_BATCH
        expected = batch_hash(chained, self._key)
        follows = batch.sequence != last.sequence + 1 or batch.previous == last.hash
        if not follows or expected not in {None, batch.hash}:
            raise StoreUnavailable(
                f"batch {batch.sequence} of the log is not what was written. Run pdp audit verify."
            )
        self._last = batch

    def _write(
        self, number: int, content: StepContent, batches: BatchRange, *, again: bool
    ) -> None:
        if not again:
            self._manifest.begin(number, batches)
        files = content.write(number, self._files, again=again)
        last = content.batches[-1].batch if content.batches else (self._last or NO_BATCH)
        head = head_text(last)
        step = Step(number, batches, head, self._release, chain_path(number), files)
        self._manifest.complete(step)
        summary = self._summary
        summary.records += content.records
        summary.files += len(files)
        summary.size += sum(each.size for each in files)
        summary.steps += 1
        summary.resumed |= again
        summary.head = head
