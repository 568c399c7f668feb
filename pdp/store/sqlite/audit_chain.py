"""Reads the batches of an audit log in a SQLite file, beside the processes that append to it."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from pdp.domain.decision_counts import RecordedCount
from pdp.errors import ConfigError, StoreUnavailable
from pdp.store.chain_port import ChainedBatch, ChainedRecord, ChainNode, CountTable
from pdp.store.hash_chain import Batch, record_hash
from pdp.store.setting_names import AUDIT_SETTING
from pdp.store.sqlite import schema
from pdp.store.sqlite.audit_log import SCHEMA, check_key
from pdp.store.sqlite.audit_queries import BATCH_COLUMNS, read_highest
from pdp.store.sqlite.connections import connect_existing, path_of
from pdp.store.sqlite.errors import convert_errors, convert_opening_errors

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence

MAX_RECORDS: Final = 1 << 20
"""The most records of a batch. A batch that claims more was tampered with."""

# Texts are read as bytes: a text that is not UTF-8 is a tampered one, and must not raise an error.
_BATCHES: Final = f"""
    SELECT {BATCH_COLUMNS.replace("note", "CAST(note AS BLOB)")} FROM batches
    WHERE sequence > ? AND sequence <= ? ORDER BY sequence
"""  # noqa: S608 - no input
_RECORDS: Final = """
    SELECT sequence, CAST(body AS BLOB) FROM records WHERE sequence >= ? AND sequence < ?
    ORDER BY sequence
"""
_NODES: Final = """
    SELECT sequence, level, hash FROM tombstones WHERE sequence >= ? AND sequence < ?
    ORDER BY sequence
"""
_COUNTS: Final = """
    SELECT tenant_id, at, width, level, outcome, recorded, decisions FROM decision_counts
    ORDER BY tenant_id, at, width, level, outcome, recorded
"""
_COUNTED_FROM: Final = "SELECT value FROM progress WHERE name = 'counted_from'"


class SqliteChainReader:
    """A `ChainReader` of a SQLite file."""

    def __init__(self, connection: sqlite3.Connection, key: bytes) -> None:
        self._connection = connection
        self._key = key
        self._lock = threading.Lock()

    @classmethod
    def open(cls, url: str, *, key: bytes, busy_timeout_s: float) -> SqliteChainReader:
        """Opens the log; see `pdp.store.open_chain_reader`."""
        path = path_of(url, AUDIT_SETTING)
        if not path.is_file():
            raise ConfigError(
                f"there is no log of decision records at {path}; name it with {AUDIT_SETTING}"
            )
        with convert_opening_errors():
            connection = connect_existing(path, busy_timeout_s)
            try:
                if schema.version_of(connection, SCHEMA) != SCHEMA.version:
                    raise ConfigError(
                        f"the log of decision records at {path} is of an older release. Start the"
                        " server of this release once, which updates it."
                    )
                check_key(connection, key)
            except BaseException:
                connection.close()
                raise
        return cls(connection, key)

    def last(self) -> int:
        """See `ChainReader.last`."""
        with self._view() as connection:
            return read_highest(connection)

    def read(
        self, after: int, through: int, *, max_records: int, max_bytes: int
    ) -> Sequence[ChainedBatch]:
        """See `ChainReader.read`."""
        batches: list[ChainedBatch] = []
        records = size = 0
        with self._view() as connection:
            for row in connection.execute(_BATCHES, (after, through)):
                batch = self._with_content(connection, _header(row))
                batches.append(batch)
                records += len(batch.records)
                size += sum(len(each.body) for each in batch.records)
                if records >= max_records or size >= max_bytes:
                    break
        return batches

    def count_table(self) -> CountTable:
        """See `ChainReader.count_table`."""
        with self._view() as connection:
            [(counted_from,)] = connection.execute(_COUNTED_FROM)
            rows = connection.execute(_COUNTS)
            counts = [
                (tenant_id, RecordedCount(at, width, level, outcome, bool(recorded), decisions))
                for tenant_id, at, width, level, outcome, recorded, decisions in rows
            ]
        return CountTable(int(counted_from), counts)

    def close(self) -> None:
        """See `ChainReader.close`."""
        with self._lock, convert_errors():
            self._connection.close()

    def _with_content(self, connection: sqlite3.Connection, batch: Batch) -> ChainedBatch:
        if not 0 <= batch.records <= MAX_RECORDS:
            raise StoreUnavailable(
                f"batch {batch.sequence} of the log was tampered with. Run pdp audit verify."
            )
        place = batch.first_record, batch.next_record
        key = self._key
        records = [
            ChainedRecord(sequence, body, record_hash(body, key))
            for sequence, body in connection.execute(_RECORDS, place)
        ]
        removed: list[ChainNode] = []
        if len(records) < batch.records:
            removed = [ChainNode(*row) for row in connection.execute(_NODES, place)]
        return ChainedBatch(batch, records, removed)

    @contextmanager
    def _view(self) -> Iterator[sqlite3.Connection]:
        """Yields the connection with one view of the file, which no append waits for."""
        with self._lock, convert_errors():
            self._connection.execute("BEGIN")
            try:
                yield self._connection
            finally:
                self._connection.execute("ROLLBACK")


def _header(row: tuple[int, int, int, int, bytes, bytes, bytes, int, int]) -> Batch:
    sequence, first, records, at, note, *hashes = row
    text = note.decode("utf-8", "replace")
    return Batch(sequence, first, records, at, text, *hashes)  # type: ignore[arg-type] # the row's
