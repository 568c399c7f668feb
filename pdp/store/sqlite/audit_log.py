"""The store of decision records in one SQLite file."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final

from pdp.domain.audit_log import StoredRecord
from pdp.errors import ConfigError, StoreUnavailable
from pdp.store.hash_chain import chained, key_id
from pdp.store.sqlite import audit_queries, schema
from pdp.store.sqlite.audit_retention import MAX_PAGES, retain
from pdp.store.sqlite.audit_verification import verify
from pdp.store.sqlite.busy_retry import retry_while_busy
from pdp.store.sqlite.errors import converted, converted_at_opening
from pdp.store.sqlite.file_identity import FileIdentity
from pdp.store.sqlite.store import connect, place_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sqlite_utils.migrations import Migrations

    from pdp.domain.audit_log import RecordFilter, Retention, Verification
    from pdp.store.hash_chain import Batch

APPLICATION_ID: Final = 0x50445041
"""Marks a SQLite file as a store of decision records: "PDPA"."""

SCHEMA_VERSION: Final = 1
"""How many migrations there are."""

_PAUSE_S: Final = 0.0005
_LAST_RESORT_PAGES: Final = 25_000
"""Pages of the write-ahead log from which a commit brings them into the file itself."""

_APPEND: Final = """
    INSERT INTO appended (sequence, first_record, records, at, note, previous, hash, bodies)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
_NOT_OURS: Final = (
    "The log of records is not as it was left, so nothing can be appended; see pdp audit verify."
)
_GET: Final = "SELECT sequence, body FROM records WHERE decision_id = ? AND tenant_id = ?"
_READ_ON: Final = "SELECT sequence, body FROM records WHERE sequence > ? ORDER BY sequence LIMIT ?"
_LAST: Final = "SELECT first_record + records - 1 FROM batches ORDER BY sequence DESC LIMIT 1"


def _migrations() -> Migrations:
    from pdp.store.sqlite.audit_migrations import MIGRATIONS  # noqa: PLC0415 - see `schema`

    return MIGRATIONS


FORM: Final = schema.Form(APPLICATION_ID, SCHEMA_VERSION, _migrations)


class SqliteAuditLog:
    """An `AuditLog` in one SQLite file, shared by all processes of one host that open it.

    What was appended is on disk (WAL, `synchronous=FULL`). All processes append to one chain: each
    keeps the head that it has seen last, and where another has been faster, its own batch is
    refused for its sequence number and is chained anew.
    """

    def __init__(
        self,
        writer: sqlite3.Connection,
        reader: sqlite3.Connection,
        copier: sqlite3.Connection,
        *,
        place: FileIdentity,
        key: bytes,
        busy_timeout_s: float,
    ) -> None:
        self._writer = writer
        self._place = place
        self._reader = reader
        self._copier = copier
        self._copying = threading.Lock()
        self._writing = threading.Lock()
        self._reading = threading.Lock()
        self._key = key
        self._busy_timeout_s = busy_timeout_s
        self._head: Batch | None = None

    @classmethod
    def open(cls, url: str, *, key: bytes = b"", busy_timeout_s: float = 5.0) -> SqliteAuditLog:
        """Opens the log, and makes or upgrades it where need be.

        Args:
            url: as for `SqliteStore.open`.
            key: makes the chain one of MACs; empty for plain hashes.
            busy_timeout_s: how long to wait for another writer.

        Raises:
            ConfigError: the URL or its file cannot be used; the message says what to do.
            StoreUnavailable: another process held the file for longer than `busy_timeout_s`.

        """
        path = place_for(url)
        with converted_at_opening(), ExitStack() as undo:
            writer = connect(path, busy_timeout_s)
            undo.callback(writer.close)
            writer.execute("PRAGMA auto_vacuum = INCREMENTAL")  # heeded while the file is empty
            schema.prepare(writer, busy_timeout_s=busy_timeout_s, form=FORM)
            _begin_chain(writer, key)
            writer.execute("PRAGMA busy_timeout = 0")
            # Left to itself, one commit in a hundred would copy the log into the file on its way.
            writer.execute(f"PRAGMA wal_autocheckpoint = {_LAST_RESORT_PAGES}")
            reader = connect(path, busy_timeout_s)
            undo.callback(reader.close)
            copier = connect(path, busy_timeout_s)
            undo.callback(copier.close)
            place = FileIdentity(path)
            undo.pop_all()
        return cls(writer, reader, copier, place=place, key=key, busy_timeout_s=busy_timeout_s)

    def append(self, bodies: Sequence[str]) -> None:
        """See `AuditLog.append`."""
        # An array of texts: what is kept of each is what was hashed, byte for byte.
        packed = json.dumps(bodies, ensure_ascii=False)
        with self._writing, converted():
            self._patiently(lambda: self._append(bodies, packed))
            self._place.check()  # a record in a file that is gone is none

    def _append(self, bodies: Sequence[str], packed: str) -> None:
        while True:
            head = self._head or audit_queries.read_head(self._writer)
            batch = chained(head, bodies, time.time_ns() // 1000, key=self._key)
            try:
                self._writer.execute(_APPEND, (*batch, packed))
            except sqlite3.IntegrityError as error:
                # Another process has appended, or else the log is not as we have left it.
                self._head = audit_queries.read_head(self._writer)
                if self._head == head:
                    raise StoreUnavailable(_NOT_OURS) from error
            else:
                self._head = batch
                return

    def _patiently(self, work: Callable[[], object]) -> None:
        # SQLite's own waiting begins at a millisecond and grows to a hundred.
        retry_while_busy(work, self._busy_timeout_s, _PAUSE_S)

    def select(
        self, wanted: RecordFilter, *, before: int | None, limit: int
    ) -> Sequence[StoredRecord]:
        """See `AuditLog.select`."""
        return self._kept(*audit_queries.select(wanted, before, limit))

    def follow(self, wanted: RecordFilter, *, after: int, limit: int) -> Sequence[StoredRecord]:
        """See `AuditLog.follow`."""
        return self._kept(*audit_queries.follow(wanted, after, limit))

    def read_on(self, after: int, limit: int) -> Sequence[StoredRecord]:
        """See `AuditLog.read_on`."""
        return self._kept(_READ_ON, (after, limit))

    def get(self, tenant_id: str, decision_id: str) -> StoredRecord | None:
        """See `AuditLog.get`."""
        found = self._kept(_GET, (decision_id, tenant_id))
        return found[0] if found else None

    def last(self) -> int:
        """See `AuditLog.last`."""
        with self._read() as connection:
            row = connection.execute(_LAST).fetchone()
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

    def retain(self, retention: Retention, now: float) -> int:
        """See `AuditLog.retain`."""
        with self._writing, converted():
            self._patiently(lambda: self._writer.execute("BEGIN IMMEDIATE"))
            self._head = None
            try:
                used = used_bytes(self._writer)
                removed = retain(self._writer, retention, now, used, self._key)
                self._writer.execute("COMMIT")
            finally:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
            if removed:
                # Not by execute(): that would end after its first step, which frees one page.
                self._writer.executescript(f"PRAGMA incremental_vacuum({MAX_PAGES})")
            return removed

    def checkpoint(self) -> None:
        """See `AuditLog.checkpoint`."""
        with self._copying, converted():
            self._copier.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def close(self) -> None:
        """See `AuditLog.close`."""
        with self._copying, self._reading, self._writing, converted():
            self._copier.close()
            self._reader.close()
            self._writer.close()

    @contextmanager
    def _read(self) -> Iterator[sqlite3.Connection]:
        with self._reading, converted():
            yield self._reader

    def _kept(self, sql: str, parameters: tuple[Any, ...]) -> list[StoredRecord]:
        with self._read() as connection:
            return [StoredRecord(*row) for row in connection.execute(sql, parameters)]


def _begin_chain(connection: sqlite3.Connection, key: bytes) -> None:
    if connection.execute("SELECT 1 FROM chain").fetchone() is None:
        connection.execute("INSERT OR IGNORE INTO chain VALUES (1, ?)", (key_id(key),))
    check_key(connection, key)


def check_key(connection: sqlite3.Connection, key: bytes) -> None:
    """Refuses another key than the log was begun with: nobody could verify the whole any more.

    Raises:
        ConfigError: it is another, or there is to be none.
    """
    row = connection.execute("SELECT key_id FROM chain").fetchone()
    if row is None or row[0] == key_id(key):
        return
    if row[0]:
        raise ConfigError(
            "The decision records are chained with another key; set PDP_AUDIT_KEY_FILE to the one "
            "that they were begun with, or move their file away to begin anew."
        )
    raise ConfigError(
        "The decision records were begun without a key; unset PDP_AUDIT_KEY_FILE, or move their "
        "file away to begin anew."
    )


def used_bytes(connection: sqlite3.Connection) -> int:
    """Returns how many bytes of the file are in use."""
    [(pages, free, size)] = connection.execute(
        "SELECT page_count, freelist_count, page_size"
        " FROM pragma_page_count, pragma_freelist_count, pragma_page_size"
    ).fetchall()
    return int((pages - free) * size)
