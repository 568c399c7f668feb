"""The store in a PostgreSQL database."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Final

import psycopg
from psycopg_pool import ConnectionPool

from pdp.errors import StoreUnavailable
from pdp.store.postgres import schema
from pdp.store.postgres.connections import configure
from pdp.store.postgres.errors import convert_errors, convert_opening_errors, unavailable
from pdp.store.postgres.listener import CHANNEL, Listener
from pdp.store.postgres.migrations import MIGRATIONS, SCHEMA
from pdp.store.postgres.session import PostgresSession, run
from pdp.store.sql.processes import remove_process, write_process
from pdp.store.sql.transactions import SqlReader, SqlTransaction

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pdp.domain.server_process import ServerProcess
    from pdp.store.port import Reader, Transaction

MAX_CONNECTIONS: Final = 16
"""Connections of a process; more threads than that never read at the same time."""

IDLE_S: Final = 60
"""After this time without a statement, the database ends a transaction, so that a hanging process
does not block the other writers."""

RECONNECT_S: Final = 2.0
"""How long the pool retries a failed connection. After that, it waits for the next caller."""

STATEMENT_S: Final = 60
"""How long one statement may take."""

# The row is the lock of all writers. Its holder commits before the next one gets it, so the order
# of revisions is the order of commits. The notification goes out with the commit.
_LOCK: Final = f"""
    WITH locked AS (
        UPDATE {SCHEMA}.change_log SET commits = commits + 1 RETURNING commits, oldest_schema
    )
    SELECT commits, oldest_schema, extract(epoch FROM clock_timestamp())::float8,
        pg_notify('{CHANNEL}', commits::text)
    FROM locked
"""  # noqa: S608 - constants


class PostgresStore:
    """A `Store` in a PostgreSQL database, which any number of processes on any host may open.

    A commit is on disk when it returns. All times are those of the database, so the clocks of
    replicas do not matter. A forked process opens its own store.
    """

    def __init__(
        self, pool: ConnectionPool[psycopg.Connection], listener: Listener, busy_timeout_s: float
    ) -> None:
        self._pool = pool
        self._listener = listener
        self._busy_timeout_s = busy_timeout_s
        self._in_use: psycopg.Connection | None = None

    @classmethod
    def open(cls, connection_string: str, place: str, *, busy_timeout_s: float) -> PostgresStore:
        """Opens the store; see `pdp.store.open_store`.

        Args:
            connection_string: what libpq connects by.
            place: the URL without credentials, for errors.
            busy_timeout_s: how long to wait for another writer.
        """

        def connect() -> psycopg.Connection:
            connection = psycopg.connect(connection_string, autocommit=True)
            _configure(connection)
            return connection

        with convert_opening_errors(place), ExitStack() as undo:
            with connect() as connection:
                schema.prepare(connection)
            listener = Listener(connect)
            undo.callback(listener.close)
            pool = ConnectionPool(
                connection_string,
                min_size=1,
                max_size=MAX_CONNECTIONS,
                kwargs={"autocommit": True},
                configure=_configure,
                check=ConnectionPool.check_connection,
                timeout=busy_timeout_s,
                # The listener notices when the database is available again. A longer backoff of the
                # pool would delay the first caller then.
                reconnect_timeout=RECONNECT_S,
                name="pdp",
                open=True,
            )
            undo.pop_all()
        return cls(pool, listener, busy_timeout_s)

    @contextmanager
    def view(self) -> Iterator[Reader]:
        """See `Store.view`."""
        with self._connection() as connection, _viewing(connection) as reader:
            yield reader

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """See `Store.write`."""
        with self._exclusive() as connection:
            commits, now = self._begin(connection)
            transaction = SqlTransaction(PostgresSession(connection), now)
            try:
                yield transaction
                transaction.check()
                _commit(connection)
            except BaseException:
                transaction.discard()
                _roll_back(connection)
                raise
            finally:
                transaction.end()
            self._listener.committed(commits)

    def data_version(self) -> int:
        """See `Store.data_version`."""
        return self._listener.version()

    def write_process(self, process: ServerProcess) -> None:
        """See `Store.write_process`. Takes no lock of writers, and notifies no replica."""
        with self._connection() as connection:
            write_process(PostgresSession(connection), process)

    def remove_process(self, process_id: str) -> None:
        """See `Store.remove_process`."""
        with self._connection() as connection:
            remove_process(PostgresSession(connection), process_id)

    def watch(self, notice: Callable[[], None]) -> None:
        """See `Store.watch`."""
        self._listener.watch(notice)

    def close(self) -> None:
        """See `Store.close`."""
        self._listener.close()
        with suppress(psycopg.Error):
            if self._in_use is not None:
                self._in_use.close()
            self._pool.close()

    def _begin(self, connection: psycopg.Connection) -> tuple[int, float]:
        """Begins a transaction that holds the lock of writers; returns its number and time."""
        wait_ms = max(1, int(self._busy_timeout_s * 1000))
        try:
            with convert_errors():
                run(
                    connection,
                    "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;"
                    f" SET LOCAL lock_timeout = {wait_ms}",
                )
                [(commits, oldest_schema, now, _)] = run(connection, _LOCK)
            if oldest_schema > len(MIGRATIONS):
                raise StoreUnavailable(
                    "The database was changed by a newer version of this product, which this one"
                    " cannot write. Update this server."
                )
        except BaseException:
            _roll_back(connection)
            raise
        return commits, now

    @contextmanager
    def _exclusive(self) -> Iterator[psycopg.Connection]:
        """Yields the connection of the only open transaction."""
        if self._in_use is not None:
            raise RuntimeError("the store has an open transaction: end it first")
        with self._connection() as connection:
            self._in_use = connection
            try:
                yield connection
            finally:
                self._in_use = None

    @contextmanager
    def _connection(self) -> Iterator[psycopg.Connection]:
        # Without this check, each caller would wait for the timeout of the pool.
        self._listener.check()
        with convert_errors():
            connection = self._pool.getconn()
        try:
            yield connection
        finally:
            self._pool.putconn(connection)


def _configure(connection: psycopg.Connection) -> None:
    """Sets up a connection of the pool."""
    configure(connection, SCHEMA, statement_s=STATEMENT_S, idle_s=IDLE_S)


@contextmanager
def _viewing(connection: psycopg.Connection) -> Iterator[Reader]:
    """Returns a view on a connection, and ends it."""
    view = SqlReader(PostgresSession(connection))
    try:
        with convert_errors():
            run(connection, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        view.revision()  # PostgreSQL fixes the view at the first statement, not at BEGIN
        yield view
    finally:
        view.end()
        _roll_back(connection)


def _commit(connection: psycopg.Connection) -> None:
    try:
        status = connection.execute("COMMIT").statusmessage
    except psycopg.OperationalError as error:
        raise StoreUnavailable(
            "The connection to the database was lost while it committed: the change is written"
            " whole or not at all. Read it before you repeat it."
        ) from error
    except psycopg.Error as error:
        raise unavailable(error) from error
    if status != "COMMIT":
        raise StoreUnavailable("The database has rolled back; nothing was written.")


def _roll_back(connection: psycopg.Connection) -> None:
    # There is nothing to roll back if the connection is lost or the store closed. An error here
    # must not replace the error that led here.
    with suppress(psycopg.Error):
        if connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
            connection.execute("ROLLBACK")
