"""The audit log in a SQLite file."""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import ExitStack, contextmanager
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

from pdp.domain.audit_log import StoredRecord
from pdp.errors import ConfigError, StoreUnavailable
from pdp.store.files import is_busy, retry_while_busy
from pdp.store.hash_chain import key_id, next_batch, record_hash
from pdp.store.setting_names import AUDIT_SETTING
from pdp.store.sql import decision_counts
from pdp.store.sqlite import audit_queries, schema
from pdp.store.sqlite.audit_lookups import index_step
from pdp.store.sqlite.audit_retention import MAX_PAGES, retain
from pdp.store.sqlite.audit_search import MAX_SEQUENCE, search
from pdp.store.sqlite.audit_verification import verify
from pdp.store.sqlite.connections import connect, path_of, prepare_directory
from pdp.store.sqlite.errors import convert_errors, convert_opening_errors
from pdp.store.sqlite.file_identity import FileIdentity

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from sqlite_utils.migrations import Migrations

    from pdp.domain.audit_log import RecordFilter, RecordPage, Removal, Retention, Verification
    from pdp.domain.decision_counts import CountedBuckets, CountedPeriod, CountKey
    from pdp.store.hash_chain import Batch
    from pdp.store.sql.dialect import Rows

APPLICATION_ID: Final = 0x50445041
"""Marks a SQLite file as an audit log: "PDPA"."""

SCHEMA_VERSION: Final = 4
"""The number of migrations."""

MAX_INDEX_STEPS: Final = 100
"""The most steps of maintenance between two checkpoints."""

_PAUSE_S: Final = 0.0005
_AUTOCHECKPOINT_PAGES: Final = 25_000
"""If the write-ahead log reaches this size, an append copies it into the file. This is a fallback:
`checkpoint` normally runs before that."""

_APPEND: Final = """
    INSERT INTO appended_batches
        (sequence, first_record, records, at, note, previous, hash, version, bodies, places)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_COLUMNS: Final = 8
"""The fields of a batch that an append writes."""

_CHAIN_BROKEN: Final = (
    "The audit log was changed by another program, so nothing can be appended. Run pdp audit"
    " verify."
)
_KEY_SETTING: Final = "PDP_AUDIT_KEY_FILE"

_GET: Final = "SELECT sequence, body FROM records WHERE decision_id = ? AND tenant_id = ?"
_OLDEST_TIME: Final = "SELECT time FROM records WHERE tenant_id = ? ORDER BY sequence LIMIT 1"
_READ_ON: Final = "SELECT sequence, body FROM records WHERE sequence > ? ORDER BY sequence LIMIT ?"


def _migrations() -> Migrations:
    from pdp.store.sqlite.audit_migrations import MIGRATIONS  # noqa: PLC0415 - see `schema`

    return MIGRATIONS


SCHEMA: Final = schema.Schema(APPLICATION_ID, SCHEMA_VERSION, _migrations)


class SqliteAuditLog:
    """An `AuditLog` in a SQLite file that all processes of one host may open.

    An append is on disk when it returns (WAL, `synchronous=FULL`). All processes append to one
    chain. Each process caches the head of the chain. If another process has appended since, the
    sequence number of the new batch is taken; the batch is then hashed again on the new head.
    """

    def __init__(
        self,
        writer: sqlite3.Connection,
        reader: sqlite3.Connection,
        checkpointer: sqlite3.Connection,
        *,
        file_identity: FileIdentity,
        key: bytes,
        busy_timeout_s: float,
    ) -> None:
        self._writer = writer
        self._reader = reader
        self._checkpointer = checkpointer
        self._write_lock = threading.Lock()
        self._read_lock = threading.Lock()
        self._checkpoint_lock = threading.Lock()
        self._file_identity = file_identity
        self._key = key
        self._busy_timeout_s = busy_timeout_s
        self._closing = threading.Event()
        self._head: Batch | None = None

    @classmethod
    def open(cls, url: str, *, key: bytes = b"", busy_timeout_s: float = 5.0) -> SqliteAuditLog:
        """Opens the log; see `pdp.store.open_audit_log`."""
        path = path_of(url, AUDIT_SETTING)
        prepare_directory(path)
        with convert_opening_errors(), ExitStack() as undo:
            writer = connect(path, busy_timeout_s)
            undo.callback(writer.close)
            writer.execute("PRAGMA auto_vacuum = INCREMENTAL")  # takes effect on an empty file only
            schema.prepare(writer, busy_timeout_s=busy_timeout_s, schema=SCHEMA)
            _start_chain(writer, key)
            writer.execute("PRAGMA busy_timeout = 0")
            # By default, one append in a hundred would also copy the write-ahead log.
            writer.execute(f"PRAGMA wal_autocheckpoint = {_AUTOCHECKPOINT_PAGES}")
            reader = connect(path, busy_timeout_s)
            undo.callback(reader.close)
            checkpointer = connect(path, busy_timeout_s)
            undo.callback(checkpointer.close)
            # What the connection writes can be computed again, so no append waits for its commits.
            checkpointer.execute("PRAGMA synchronous = NORMAL")
            file_identity = FileIdentity(path)
            undo.pop_all()
        return cls(
            writer,
            reader,
            checkpointer,
            file_identity=file_identity,
            key=key,
            busy_timeout_s=busy_timeout_s,
        )

    def append(self, bodies: Sequence[str]) -> None:
        """See `AuditLog.append`."""
        encoded = [body.encode() for body in bodies]
        hashes = [record_hash(each, self._key) for each in encoded]
        packed = b"".join(encoded), _places(encoded)
        with self._write_lock, convert_errors():
            self._retry_while_busy(lambda: self._append(hashes, packed))
            self._file_identity.check()  # never acknowledge a record in a deleted file

    def _append(self, hashes: Sequence[bytes], packed: tuple[bytes, str]) -> None:
        while True:
            head = self._head or audit_queries.read_head(self._writer)
            batch = next_batch(head, hashes, time.time_ns() // 1000, key=self._key)
            try:
                self._writer.execute(_APPEND, (*batch[:_COLUMNS], *packed))
            except sqlite3.IntegrityError as error:
                # Another process has appended. If the head is unchanged, the log was tampered with.
                self._head = audit_queries.read_head(self._writer)
                if self._head == head:
                    raise StoreUnavailable(_CHAIN_BROKEN) from error
            else:
                self._head = batch
                return

    def _retry_while_busy(self, work: Callable[[], object]) -> None:
        # SQLite's own wait between attempts starts at 1 ms and grows to 100 ms.
        retry_while_busy(work, self._busy_timeout_s, _PAUSE_S)

    def select(self, record_filter: RecordFilter, *, before: int | None, limit: int) -> RecordPage:
        """See `AuditLog.select`."""
        end = MAX_SEQUENCE if before is None else before
        return search(self._read, record_filter, start=0, end=end, limit=limit, newest_first=True)

    def follow(self, record_filter: RecordFilter, *, after: int, limit: int) -> RecordPage:
        """See `AuditLog.follow`."""
        return search(
            self._read,
            record_filter,
            start=after + 1,
            end=MAX_SEQUENCE,
            limit=limit,
            newest_first=False,
        )

    def read_on(self, after: int, limit: int) -> Sequence[StoredRecord]:
        """See `AuditLog.read_on`."""
        return self._records(_READ_ON, (after, limit))

    def get(self, tenant_id: str, decision_id: str) -> StoredRecord | None:
        """See `AuditLog.get`."""
        records = self._records(_GET, (decision_id, tenant_id))
        return records[0] if records else None

    def known(self, tenant_id: str, decision_ids: Collection[str]) -> frozenset[str]:
        """See `AuditLog.known`."""
        with self._read() as connection:
            return frozenset(
                each
                for each in decision_ids
                if connection.execute(_GET, (each, tenant_id)).fetchone()
            )

    def add_counts(self, counts: Mapping[CountKey, int], at: float) -> None:
        """See `AuditLog.add_counts`."""
        # The connection waits while others write, and its commits wait for no disk.
        with (
            self._checkpoint_lock,
            convert_errors(),
            _writing(self._checkpointer) as execute,
        ):
            decision_counts.add(execute, counts, at)

    def counts(
        self,
        tenant_id: str,
        *,
        since: float | None = None,
        until: float | None = None,
        outcomes: Sequence[str] = (),
    ) -> CountedPeriod:
        """See `AuditLog.counts`."""
        with self._read() as connection:
            return decision_counts.read(
                _runner(connection), tenant_id, since, until, outcomes, oldest_time=_OLDEST_TIME
            )

    def bucket_counts(
        self, tenant_id: str, *, start: int, width: int, number: int
    ) -> CountedBuckets:
        """See `AuditLog.bucket_counts`."""
        with self._read() as connection:
            return decision_counts.read_buckets(
                _runner(connection), tenant_id, start=start, width=width, number=number
            )

    def last(self) -> int:
        """See `AuditLog.last`."""
        with self._read() as connection:
            row = connection.execute(audit_queries.LAST_RECORD).fetchone()
        return int(row[0]) if row else 0

    def size(self) -> int:
        """See `AuditLog.size`."""
        with self._read() as connection:
            return used_bytes(connection)

    def verify(self, anchor: str = "") -> Verification:
        """See `AuditLog.verify`."""
        with self._read() as connection:
            connection.execute("BEGIN")
            try:
                return verify(connection, self._key, anchor)
            finally:
                connection.execute("ROLLBACK")

    def retain(self, retention: Retention, now: float) -> Removal:
        """See `AuditLog.retain`."""
        with self._write_lock, convert_errors():
            self._retry_while_busy(lambda: self._writer.execute("BEGIN IMMEDIATE"))
            self._head = None
            try:
                used = used_bytes(self._writer)
                removed = retain(self._writer, retention, now, used, self._key)
                self._writer.execute("COMMIT")
            finally:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
            if removed.records:
                # `execute` would stop after the first step, which frees one page.
                self._writer.executescript(f"PRAGMA incremental_vacuum({MAX_PAGES})")
            return removed

    def checkpoint(self) -> None:
        """See `AuditLog.checkpoint`."""
        with self._checkpoint_lock, convert_errors():
            for _ in range(MAX_INDEX_STEPS):
                # Appends of other threads and processes come in between two steps.
                if not self._maintenance_step() or self._closing.wait(_PAUSE_S):
                    break
            self._checkpointer.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def _maintenance_step(self) -> bool:
        try:
            return index_step(self._checkpointer) or self._shorten_counts(time.time())
        except sqlite3.OperationalError as error:
            if is_busy(error):
                return False  # the next call goes on
            raise

    def _shorten_counts(self, now: float) -> bool:
        if not decision_counts.needs_shortening(_runner(self._checkpointer), now):
            return False
        with _writing(self._checkpointer) as execute:
            decision_counts.shorten(execute, now)
        return True

    def close(self) -> None:
        """See `AuditLog.close`."""
        self._closing.set()
        with self._checkpoint_lock, self._read_lock, self._write_lock, convert_errors():
            self._checkpointer.close()
            self._reader.close()
            self._writer.close()

    @contextmanager
    def _read(self) -> Iterator[sqlite3.Connection]:
        with self._read_lock, convert_errors():
            yield self._reader

    def _records(self, sql: str, parameters: tuple[Any, ...]) -> list[StoredRecord]:
        with self._read() as connection:
            return [StoredRecord(*row) for row in connection.execute(sql, parameters)]


def _runner(connection: sqlite3.Connection) -> Callable[..., Rows]:
    """Returns a function that runs a statement with its parameters."""
    return lambda sql, *parameters: connection.execute(sql, parameters).fetchall()


@contextmanager
def _writing(connection: sqlite3.Connection) -> Iterator[Callable[..., Rows]]:
    """Opens a transaction that may write, and yields a function that runs a statement in it."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield _runner(connection)
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _places(bodies: Sequence[bytes]) -> str:
    """Returns the position and the length of each body, as the view of appends expects them."""
    ends = accumulate(map(len, bodies), initial=1)
    return str([start << 32 | len(body) for start, body in zip(ends, bodies, strict=False)])


def _start_chain(connection: sqlite3.Connection, key: bytes) -> None:
    if connection.execute("SELECT 1 FROM chain").fetchone() is None:
        connection.execute("INSERT OR IGNORE INTO chain VALUES (1, ?)", (key_id(key),))
    check_key(connection, key)


def check_key(connection: sqlite3.Connection, key: bytes) -> None:
    """Checks that `key` is the key that the log was started with.

    A log that is continued with another key could not be verified as a whole.

    Raises:
        ConfigError: the log has another key, or only one of the two has a key.
    """
    row = connection.execute("SELECT key_id FROM chain").fetchone()
    if row is None or row[0] == key_id(key):
        return
    if row[0]:
        raise ConfigError(
            f"{_KEY_SETTING}: the audit log was started with another key. Set the key that the log "
            "was started with, or move the log's file away to start a new log."
        )
    raise ConfigError(
        f"{_KEY_SETTING} is set, but the audit log was started without a key. Unset it, or move "
        "the log's file away to start a new log."
    )


def used_bytes(connection: sqlite3.Connection) -> int:
    """Returns how many bytes of the file are in use."""
    [(pages, free, size)] = connection.execute(
        "SELECT page_count, freelist_count, page_size"
        " FROM pragma_page_count, pragma_freelist_count, pragma_page_size"
    ).fetchall()
    return int((pages - free) * size)
