"""Maintenance of the log of records in PostgreSQL, beside the appends, on its own connection.

It creates the partitions of the next days, counts what the tenants hold, merges counts of
decisions, and drops the partitions that the retention has emptied.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

import psycopg

from pdp.errors import StoreUnavailable
from pdp.store.postgres.errors import convert_errors
from pdp.store.postgres.records.counting import count_step
from pdp.store.postgres.records.positions import BATCH_BITS, COUNTS_LOCK, DAY_S, day_of
from pdp.store.postgres.records.reading import TABLES, partition, read_days
from pdp.store.postgres.session import DIALECT, run
from pdp.store.sql import decision_counts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pdp.domain.decision_counts import CountKey
    from pdp.store.postgres.connections import AnswerGuard
    from pdp.store.sql.dialect import Rows

AHEAD: Final = 2
"""How many days ahead partitions are created."""

MAX_STEPS: Final = 20
"""The most steps of counting at a time."""

DROP_WAIT_MS: Final = 50
"""How long a partition is waited for that shall be dropped. Appends wait meanwhile."""

_ADD_DAYS: Final = f"""
    SELECT count(add_day(day)) FROM (
        SELECT greatest(last_value >> {BATCH_BITS},
            CAST(extract(epoch FROM now()) AS bigint) / {DAY_S}) AS today
        FROM positions
    ) AS newest, generate_series(today, today + {AHEAD}) AS day
"""  # noqa: S608 - constants
_NEWEST_DAY: Final = "SELECT last_value FROM positions"
_IS_EMPTY: Final = "SELECT NOT EXISTS (SELECT FROM {}) AND NOT EXISTS (SELECT FROM {})"


class RecordMaintenance:
    """Any thread may use it; its methods run one after the other."""

    def __init__(
        self, connect: Callable[[], psycopg.Connection], guard: AnswerGuard, timeout_s: float
    ) -> None:
        """Args:
        connect: opens a connection that commits each statement by itself.
        guard: breaks a connection that does not answer.
        timeout_s: how long a transaction may take.
        """
        self._connect = connect
        self._guard = guard
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._connection: psycopg.Connection | None = None
        self._tended_on = -1
        self._closing = threading.Event()

    def add_counts(self, counts: Mapping[CountKey, int], at: float) -> None:
        """See `AuditLog.add_counts`."""
        with self._transaction() as connection:
            run(connection, "SET LOCAL synchronous_commit = off")
            decision_counts.add(_statements(connection), counts, at)

    def run(self, now: float) -> None:
        """Does what is due.

        Args:
            now: in seconds since the epoch.
        """
        self._tend_days(int(now) // DAY_S)
        for _ in range(MAX_STEPS):
            with self._transaction() as connection:
                is_done = count_step(
                    lambda *statement: run(connection, statement[0], statement[1:])
                )
            if is_done or self._closing.is_set():
                break
        with self._transaction() as connection:
            execute = _statements(connection)
            [(is_alone,)] = run(connection, "SELECT pg_try_advisory_xact_lock(%s)", (COUNTS_LOCK,))
            if is_alone and decision_counts.needs_shortening(execute, now):
                decision_counts.shorten(execute, now)

    def close(self) -> None:
        """Ends the connection."""
        self._closing.set()
        with self._lock:
            self._disconnect()

    def _tend_days(self, today: int) -> None:
        """Creates the partitions of the next days, and drops empty ones, once a day."""
        if today == self._tended_on:
            return
        with self._transaction() as connection:
            prepare_days(connection)
            days = read_days(connection)
            [(newest,)] = run(connection, _NEWEST_DAY)
        # An append that has begun before midnight may still write to the day before.
        dropped = [self._drop(day) for day in days if day < day_of(newest) - 1]
        if all(dropped):
            self._tended_on = today

    def _drop(self, day: int) -> bool:
        """Drops the partitions of a day if they are empty. Returns False if a reader uses them."""
        try:
            with self._transaction() as connection:
                batches, records = partition("batches", day), partition("records", day)
                [(is_empty,)] = run(connection, _IS_EMPTY.format(batches, records))
                if is_empty:
                    run(connection, f"SET LOCAL lock_timeout = {DROP_WAIT_MS}")
                    names = ", ".join(partition(table, day) for table in TABLES)
                    run(connection, f"DROP TABLE IF EXISTS {names}")
        except StoreUnavailable as error:
            if isinstance(error.__cause__, psycopg.errors.LockNotAvailable):
                return False
            raise
        return True

    @contextmanager
    def _transaction(self) -> Iterator[psycopg.Connection]:
        with self._lock, convert_errors():
            if self._connection is None:
                self._connection = self._connect()
                self._connection.prepare_threshold = None  # it would keep plans for all days
            connection = self._connection
            try:
                with self._guard.limit(connection, self._timeout_s), connection.transaction():
                    yield connection
            except BaseException:
                self._disconnect()
                raise

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error):
                connection.close()


def prepare_days(connection: psycopg.Connection) -> None:
    """Creates the partitions of today and of the next days, if they are missing."""
    run(connection, _ADD_DAYS)


def _statements(connection: psycopg.Connection) -> Callable[..., Rows]:
    """Returns a function that runs a statement of `pdp.store.sql`."""
    return lambda sql, *parameters: run(connection, DIALECT.statement(sql), parameters)


def _runner(connection: psycopg.Connection) -> Callable[..., Rows]:
    """Returns a function that runs a statement, and returns its rows."""
    return lambda sql, *parameters: run(connection, sql, parameters)
