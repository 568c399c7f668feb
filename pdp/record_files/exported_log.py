"""Reads the records of a tenant from an export, as of its last run that finished."""

from __future__ import annotations

import io
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pdp.domain.decision_counts import RecordedCount
from pdp.errors import ConfigError, StoreUnavailable
from pdp.record_files.manifest import COUNTS_FILE, ExportManifest
from pdp.record_files.partitions import day_of
from pdp.record_files.schema import COUNTED_FROM_KEY, STEP_KEY

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pdp.record_files.locations import FileStore
    from pdp.record_files.manifest import RecordFile

READ_ROWS: Final = 2_000
"""The most records that a reader has in memory at a time."""

_READ_ERRORS: Final = (pa.ArrowException, OSError, ValueError)


class StoredBody(NamedTuple):
    """A record of an export: its position in the log, and its JSON."""

    sequence: int
    body: str


@dataclass(frozen=True, slots=True)
class TenantCounts:
    """How many decisions of a tenant the log has counted.

    Attributes:
        counted_from: decisions before this time were not counted; 0 if all were.
        counts: the counts.
        held_from: the time of the oldest record of the tenant in the export; None for none.
    """

    counted_from: int
    counts: Sequence[RecordedCount]
    held_from: float | None


class ExportedLog:
    """An export, as it was when its last run finished."""

    def __init__(self, files: FileStore) -> None:
        """Reads what the export has.

        Raises:
            ConfigError: there is no export, or none has finished.
            StoreUnavailable: it cannot be read.
        """
        self.files = files
        content = files.read(COUNTS_FILE)
        if content is None:
            raise ConfigError(
                f"{files.shown} has no export that has finished. Make one with pdp audit export"
                " --format parquet --output."
            )
        with readable(files, COUNTS_FILE):
            self._counts = pq.read_table(io.BytesIO(content))
            metadata = self._counts.schema.metadata or {}
            self._counted_from = int(metadata[COUNTED_FROM_KEY])
            last = int(metadata[STEP_KEY])
        self.steps = tuple(ExportManifest(files).steps(last))

    def files_of(
        self, tenant_id: str, since: float | None = None, until: float | None = None
    ) -> list[RecordFile]:
        """Returns the files that may have records of a tenant in a period, in the order of the log.

        Args:
            tenant_id: the tenant.
            since: the beginning of the period, in seconds since the epoch; None for no bound.
            until: the end of the period; None for no bound.
        """
        first, last = day_of(since), day_of(until)
        return [
            each
            for step in self.steps
            for each in step.files
            if each.tenant_id == tenant_id
            and not (each.day and ((first and each.day < first) or (last and each.day > last)))
        ]

    def counts_of(self, tenant_id: str) -> TenantCounts:
        """Returns how many decisions of a tenant were made."""
        table = self._counts.filter(pc.field("tenant_id") == tenant_id)
        names = ("at", "width", "level", "outcome", "recorded", "decisions")
        columns = (table.column(name).to_pylist() for name in names)
        counts = [RecordedCount(*row) for row in zip(*columns, strict=True)]
        files = self.files_of(tenant_id)
        oldest = min(files, key=lambda each: each.first, default=None)
        return TenantCounts(self._counted_from, counts, oldest.first_time if oldest else None)


def read_bodies(files: FileStore, record_file: RecordFile, row_group: int) -> Iterator[StoredBody]:
    """Yields the records of a row group.

    Raises:
        StoreUnavailable: the file cannot be read, or has not as many records as the manifest says.
    """
    path = record_file.path
    with files.open(path) as file:
        with readable(files, path):
            parquet = pq.ParquetFile(file)
            found = parquet.metadata.num_rows, parquet.metadata.num_row_groups
            if found != (record_file.rows, record_file.row_groups):
                raise ValueError(found)
            batches = parquet.iter_batches(
                READ_ROWS, row_groups=[row_group], columns=list(StoredBody._fields)
            )
        while True:
            with readable(files, path):
                batch = next(batches, None)
                if batch is None:
                    return
                columns = [batch.column(name).to_pylist() for name in StoredBody._fields]
            yield from map(StoredBody, *columns)


@contextmanager
def readable(files: FileStore, path: str) -> Iterator[None]:
    """Converts the errors of reading a Parquet file.

    Raises:
        StoreUnavailable: the block failed; the message names the file.
    """
    try:
        yield
    except (KeyError, *_READ_ERRORS) as error:
        raise StoreUnavailable(
            f"{files.shown}/{path} cannot be read ({type(error).__name__}). Run pdp audit verify"
            " --records."
        ) from None
