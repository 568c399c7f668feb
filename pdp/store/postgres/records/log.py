"""The log of decision records in a PostgreSQL database."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

import psycopg
from psycopg_pool import ConnectionPool

from pdp.domain.audit_log import Removal, StoredRecord
from pdp.errors import ConfigError, StoreUnavailable
from pdp.store.codec import can_store
from pdp.store.hash_chain import key_id
from pdp.store.postgres import schema
from pdp.store.postgres.connections import AnswerGuard, configure
from pdp.store.postgres.errors import convert_errors, convert_opening_errors
from pdp.store.postgres.records.counting import used_bytes
from pdp.store.postgres.records.maintenance import RecordMaintenance, prepare_days
from pdp.store.postgres.records.migrations import MIGRATIONS, PLACE
from pdp.store.postgres.records.positions import (
    MAX_BATCH,
    MAX_SEQUENCE,
    day_of,
    last_record,
    position_of,
)
from pdp.store.postgres.records.reading import read_days, read_horizon, read_of_replica
from pdp.store.postgres.records.retention import RetentionStep
from pdp.store.postgres.records.search import search
from pdp.store.postgres.records.signing import HeadSigner
from pdp.store.postgres.records.verification import verify
from pdp.store.postgres.records.writer import ChainWriter, NewRecord
from pdp.store.postgres.session import DIALECT, run
from pdp.store.sql import decision_counts

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from pdp.domain.audit_log import RecordFilter, RecordPage, Retention, Verification
    from pdp.domain.decision_counts import CountedBuckets, CountedPeriod, CountKey
    from pdp.store.sql.dialect import Rows

MAX_READERS: Final = 4
"""The most connections of a process that read the log."""

READ_S: Final = 60.0
"""How long one statement of a reader may take."""

VERIFICATION_S: Final = 86_400.0
"""How long a verification may take. It has many statements."""

MARGIN_S: Final = 2.0
"""How much longer than a statement may take the process waits for its answer."""

_KEY_SETTING: Final = "PDP_AUDIT_KEY_FILE"
_FIND: Final = "SELECT record, decision FROM find_decisions(%s, %s)"
_GET: Final = "SELECT sequence, body FROM records WHERE sequence = %s"
_OLDEST_TIME: Final = "SELECT oldest_time(?)"
_START_CHAIN: Final = "UPDATE log SET key_id = %s WHERE key_id IS NULL"


class PostgresAuditLog:
    """An `AuditLog` in a PostgreSQL database, which any number of processes on any host may open.

    An append is on disk when it returns. Each process appends to a hash chain of its own, so
    appends do not wait for each other. All times and days are those of the database.
    """

    def __init__(
        self,
        writer: ChainWriter,
        pool: ConnectionPool[psycopg.Connection],
        maintenance: RecordMaintenance,
        guard: AnswerGuard,
        *,
        key: bytes,
    ) -> None:
        self._writer = writer
        self._pool = pool
        self._maintenance = maintenance
        self._guard = guard
        self._key = key
        self._write_lock = threading.Lock()
        self._is_closed = False

    @classmethod
    def open(
        cls,
        connection_string: str,
        place: str,
        *,
        key: bytes,
        replica: str,
        busy_timeout_s: float,
    ) -> PostgresAuditLog:
        """Opens the log; see `pdp.store.open_audit_log`.

        Args:
            connection_string: what libpq connects by.
            place: how errors name the database.
            key: the key of the hash chains; empty for none.
            replica: the name of this replica.
            busy_timeout_s: how long an append may take.
        """
        guard = AnswerGuard()
        longest = busy_timeout_s + MARGIN_S

        def connect(timeout_s: float = busy_timeout_s) -> psycopg.Connection:
            connection = psycopg.connect(connection_string, autocommit=True)
            with guard.limit(connection, longest):
                configure(connection, PLACE.schema, statement_s=timeout_s, idle_s=timeout_s)
            return connection

        # Another replica may create the schema at the same time, which takes longer.
        with convert_opening_errors(place), connect(READ_S) as connection:
            schema.prepare(connection, MIGRATIONS, PLACE)
            run(connection, _START_CHAIN, (key_id(key),))
            check_key(connection, key)
            prepare_days(connection)
        pool = reading_pool(connection_string, busy_timeout_s)
        writer = ChainWriter(
            connect, guard, HeadSigner(key), key=key, replica=replica, timeout_s=longest
        )
        maintenance = RecordMaintenance(connect, guard, longest)
        return cls(writer, pool, maintenance, guard, key=key)

    def append(self, bodies: Sequence[str]) -> None:
        """See `AuditLog.append`."""
        records = [NewRecord.of(body, self._key) for body in bodies]
        with self._write_lock:
            self._check_open()
            with self._writer.transaction() as transaction:
                for start in range(0, len(records), MAX_BATCH):
                    transaction.append(records[start : start + MAX_BATCH])

    def select(self, record_filter: RecordFilter, *, before: int | None, limit: int) -> RecordPage:
        """See `AuditLog.select`."""
        end = MAX_SEQUENCE if before is None else before
        return self._search(record_filter, 0, end, limit, newest_first=True)

    def follow(self, record_filter: RecordFilter, *, after: int, limit: int) -> RecordPage:
        """See `AuditLog.follow`."""
        return self._search(record_filter, after + 1, MAX_SEQUENCE, limit, newest_first=False)

    def _search(
        self, record_filter: RecordFilter, start: int, end: int, limit: int, *, newest_first: bool
    ) -> RecordPage:
        with self._read() as connection:
            newest = read_horizon(connection)
            first_day = day_of(position_of(start))
            if first_day < day_of(newest):
                first_day = max(first_day, min(read_days(connection), default=first_day))
        places = start, min(end, last_record(newest) + 1)
        days = first_day, day_of(newest)
        return search(self._read, record_filter, places, days, limit, newest_first=newest_first)

    def read_on(self, after: int, limit: int) -> Sequence[StoredRecord]:
        """See `AuditLog.read_on`."""
        with self._read() as connection:
            return read_of_replica(connection, self._writer.replica, after, limit)

    def get(self, tenant_id: str, decision_id: str) -> StoredRecord | None:
        """See `AuditLog.get`."""
        if not can_store((tenant_id, decision_id)):
            return None
        with self._read() as connection:
            for place, _ in connection.execute(_FIND, (tenant_id, [decision_id])).fetchall():
                for row in connection.execute(_GET, (place,)).fetchall():
                    return StoredRecord(*row)
        return None

    def known(self, tenant_id: str, decision_ids: Collection[str]) -> frozenset[str]:
        """See `AuditLog.known`."""
        storable = [each for each in decision_ids if can_store((each,))]
        with self._read() as connection:
            rows = connection.execute(_FIND, (tenant_id, storable)).fetchall()
        return frozenset(decision_id for _, decision_id in rows)

    def add_counts(self, counts: Mapping[CountKey, int], at: float) -> None:
        """See `AuditLog.add_counts`."""
        self._check_open()
        self._maintenance.add_counts(counts, at)

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
            position = read_horizon(connection)
        return last_record(position) if position else 0

    def size(self) -> int:
        """See `AuditLog.size`."""
        with self._read() as connection:
            return used_bytes(lambda sql, *parameters: run(connection, sql, parameters))

    def verify(self, anchor: str = "") -> Verification:
        """See `AuditLog.verify`."""
        with self._read(VERIFICATION_S) as connection:
            return verify(connection, self._key, anchor)

    def retain(self, retention: Retention, now: float) -> Removal:
        """See `AuditLog.retain`."""
        with self._write_lock:
            self._check_open()
            try:
                with self._writer.transaction() as transaction:
                    removal = RetentionStep(transaction, self._key).run(retention, now)
                    if not removal.records:
                        self._writer.witness(transaction)
            except StoreUnavailable as error:
                if isinstance(error.__cause__, psycopg.errors.LockNotAvailable):
                    return Removal()  # a reader uses the day; the next call tries again
                raise
            return removal

    def checkpoint(self) -> None:
        """See `AuditLog.checkpoint`."""
        self._check_open()
        self._maintenance.run(time.time())

    def close(self) -> None:
        """See `AuditLog.close`."""
        with self._write_lock:
            self._is_closed = True
            self._writer.discard()
        self._maintenance.close()
        self._guard.close()
        with suppress(psycopg.Error):
            self._pool.close()

    def _check_open(self) -> None:
        if self._is_closed:
            raise StoreUnavailable("The audit log is closed.")

    @contextmanager
    def _read(self, seconds: float = READ_S + MARGIN_S) -> Iterator[psycopg.Connection]:
        self._check_open()
        with (
            convert_errors(),
            self._pool.connection() as connection,
            self._guard.limit(connection, seconds),
        ):
            yield connection


def reading_pool(
    connection_string: str, busy_timeout_s: float
) -> ConnectionPool[psycopg.Connection]:
    """Returns connections that read the log."""

    def set_up(connection: psycopg.Connection) -> None:
        # A plan that is kept would read the partitions of all days.
        connection.prepare_threshold = None
        configure(connection, PLACE.schema, statement_s=READ_S, idle_s=READ_S)

    return ConnectionPool(
        connection_string,
        min_size=0,
        max_size=MAX_READERS,
        kwargs={"autocommit": True},
        configure=set_up,
        check=ConnectionPool.check_connection,
        timeout=busy_timeout_s,
        reconnect_timeout=busy_timeout_s,
        name="pdp-records",
        open=True,
    )


def check_key(connection: psycopg.Connection, key: bytes) -> None:
    """Checks that `key` is the key that the log was started with.

    Raises:
        ConfigError: the log has another key, or only one of the two has a key.
    """
    [(known,)] = run(connection, f"SELECT key_id FROM {PLACE.schema}.log")  # noqa: S608 - a constant
    if known == key_id(key):
        return
    if known:
        raise ConfigError(
            f"{_KEY_SETTING}: the audit log was started with another key. Set the key that the log "
            "was started with, or name another database to start a new log."
        )
    raise ConfigError(
        f"{_KEY_SETTING} is set, but the audit log was started without a key. Unset it, or name "
        "another database to start a new log."
    )


def _runner(connection: psycopg.Connection) -> Callable[..., Rows]:
    """Returns a function that runs a statement of `pdp.store.sql`."""
    return lambda sql, *parameters: run(connection, DIALECT.statement(sql), parameters)
