"""Writes the files of one step of an export."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from pdp.record_files.columns import NumberedRecord, place_of, record_batch
from pdp.record_files.manifest import RecordFile, chain_path, data_name, data_pattern
from pdp.record_files.partitions import day_of, directory_of
from pdp.record_files.schema import CHAIN, COUNTED_FROM_KEY, COUNTS, RECORDS, STEP_KEY

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pdp.record_files.locations import FileStore
    from pdp.store.chain_port import ChainedBatch, CountTable

ROW_GROUP: Final = 20_000
"""The records of a row group: what a replay hands to a process at a time."""

_CHUNK: Final = 4_000
"""The records that are Python objects at a time."""

_COMPRESSION: Final = "zstd"
_LEVEL: Final = 6
_WHOLE_COLUMNS: Final = ["body", "record_hash", "decision_id", "request_id", "input_hash"]
"""Columns whose values do not repeat: a dictionary of them would only be in the way."""


@dataclass(slots=True)
class _Partition:
    """The records of a tenant and a day."""

    first_time: float | None
    records: list[NumberedRecord] = field(default_factory=list)


class StepContent:
    """The records and batches of a step, in memory."""

    def __init__(self) -> None:
        self.batches: list[ChainedBatch] = []
        self.records = 0
        self.size = 0
        self._partitions: dict[tuple[str, str], _Partition] = {}

    def add(self, batch: ChainedBatch) -> None:
        """Adds a batch, whose number is higher than those before.

        Raises:
            StoreUnavailable: a record is not what a log writes.
        """
        number = batch.batch.sequence
        for record in batch.records:
            tenant_id, time = place_of(record)
            key = tenant_id, day_of(time)
            partition = self._partitions.setdefault(key, _Partition(time))
            partition.records.append(NumberedRecord(number, record))
            self.size += len(record.body)
        self.records += len(batch.records)
        # The bodies are in the partitions; the chain needs the hashes.
        hashes = [each._replace(body=b"") for each in batch.records]
        self.batches.append(batch._replace(records=hashes))

    def write(self, number: int, files: FileStore, *, again: bool) -> tuple[RecordFile, ...]:
        """Writes all files of the step.

        Args:
            number: the number of the step.
            files: the place.
            again: whether an interrupted export may have written files of the step.

        Returns:
            The files with records.
        """
        written = [
            _write_partition(files, key, partition, data_name(number, part))
            for part, (key, partition) in enumerate(sorted(self._partitions.items()))
        ]
        files.write(chain_path(number), _parquet(CHAIN, [_chain_batch(self.batches)]))
        if again:
            # The retention may have removed records since. Then a file has no records any more.
            paths = {each.path for each in written}
            for path in files.matching(data_pattern(number)):
                if path not in paths:
                    files.remove(path)
        return tuple(written)


def counts_file(table: CountTable, step: int) -> bytes:
    """Returns the file with the counts of a log.

    Args:
        table: the counts.
        step: the last step of the export that they belong to.
    """
    schema = COUNTS.with_metadata({STEP_KEY: str(step), COUNTED_FROM_KEY: str(table.counted_from)})
    return _parquet(
        schema, [_from_rows([(tenant_id, *each) for tenant_id, each in table.counts], schema)]
    )


def _write_partition(
    files: FileStore, key: tuple[str, str], partition: _Partition, name: str
) -> RecordFile:
    tenant_id, day = key
    records = partition.records
    chunks = (
        record_batch(records[start : start + _CHUNK]) for start in range(0, len(records), _CHUNK)
    )
    content = _parquet(RECORDS, chunks)
    path = f"{directory_of(tenant_id, day)}/{name}"
    files.write(path, content)
    return RecordFile(
        path,
        tenant_id,
        day,
        len(records),
        pq.ParquetFile(io.BytesIO(content)).metadata.num_row_groups,
        len(content),
        hashlib.sha256(content).hexdigest(),
        records[0].record.sequence,
        records[-1].record.sequence,
        partition.first_time if day else None,
    )


def _chain_batch(batches: Sequence[ChainedBatch]) -> pa.RecordBatch:
    rows = [
        (
            *each.batch,
            [
                *({"sequence": record.sequence, "level": 0, "removed": False, "hash": record.hash}
                  for record in each.records),
                *({"removed": True, **node._asdict()} for node in each.removed),
            ],
        )
        for each in batches
    ]  # fmt: skip
    return _from_rows(rows, CHAIN)


def _from_rows(rows: Sequence[Sequence[Any]], schema: pa.Schema) -> pa.RecordBatch:
    columns = zip(*rows, strict=True) if rows else [()] * len(schema)
    arrays = [pa.array(values, each.type) for values, each in zip(columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _parquet(schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> bytes:
    """Returns a Parquet file. The same batches give the same bytes."""
    sink = io.BytesIO()
    dictionary = [name for name in schema.names if name not in _WHOLE_COLUMNS]
    options = {
        "compression": _COMPRESSION,
        "compression_level": _LEVEL,
        "use_dictionary": dictionary,
        "version": "2.6",
    }
    with pq.ParquetWriter(sink, schema, **options) as writer:
        waiting: list[pa.RecordBatch] = []
        rows = 0
        for batch in batches:
            waiting.append(batch)
            rows += batch.num_rows
            if rows >= ROW_GROUP:
                writer.write_table(pa.Table.from_batches(waiting, schema))
                waiting, rows = [], 0
        if waiting:
            writer.write_table(pa.Table.from_batches(waiting, schema))
    return sink.getvalue()
