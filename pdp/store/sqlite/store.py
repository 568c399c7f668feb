"""The store in a SQLite file."""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

from pdp.store.sql.transactions import SqlReader, SqlTransaction
from pdp.store.sqlite import schema
from pdp.store.sqlite.connections import connect, path_of, prepare_directory
from pdp.store.sqlite.errors import convert_errors, convert_opening_errors
from pdp.store.sqlite.file_identity import FileIdentity
from pdp.store.sqlite.process_table import ProcessTable
from pdp.store.sqlite.read_connections import ReadConnections
from pdp.store.sqlite.session import SqliteSession

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pdp.domain.server_process import ServerProcess
    from pdp.store.port import Reader, Transaction


class SqliteStore:
    """A `Store` in a SQLite file that all processes of one host may open.

    A commit is on disk when it returns (WAL, `synchronous=FULL`). A server gives the store to one
    dedicated thread, which alone calls `write` and `close`. `data_version` and `view` use
    separate connections and may be called from any thread. A forked process opens its own store.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        version_connection: sqlite3.Connection,
        views: ReadConnections,
        processes: ProcessTable,
        file_identity: FileIdentity,
    ) -> None:
        self._connection = connection
        self._views = views
        self._processes = processes
        self._file_identity = file_identity
        # SQLite's data version counts only the commits of other connections. This connection never
        # commits, so it also counts the commits of this store.
        self._version_connection = version_connection
        self._version_lock = threading.Lock()

    @classmethod
    def open(cls, url: str, *, busy_timeout_s: float = 5.0) -> SqliteStore:
        """Opens the store; see `pdp.store.open_store`."""
        path = path_of(url)
        prepare_directory(path)
        with convert_opening_errors(), ExitStack() as undo:
            connection = connect(path, busy_timeout_s)
            undo.callback(connection.close)
            schema.prepare(connection, busy_timeout_s=busy_timeout_s)
            version_connection = connect(path, busy_timeout_s)
            undo.callback(version_connection.close)
            # Once open, this connection never has to wait. It must not: event loops use it.
            version_connection.execute("PRAGMA busy_timeout = 0")
            file_identity = FileIdentity(path)
            undo.pop_all()
        return cls(
            connection,
            version_connection,
            ReadConnections(path, busy_timeout_s, file_identity),
            ProcessTable(path, file_identity),
            file_identity,
        )

    @contextmanager
    def view(self) -> Iterator[Reader]:
        """See `Store.view`."""
        with self._views.connection() as connection:
            with convert_errors():
                connection.execute("BEGIN")
            with _reading(connection) as reader:
                yield reader

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """See `Store.write`."""
        self._begin()
        transaction = SqlTransaction(SqliteSession(self._connection), time.time())
        try:
            self._file_identity.check()
            yield transaction
            transaction.check()
            with convert_errors():
                self._connection.execute("COMMIT")
            self._file_identity.check()  # never acknowledge a commit to a deleted file
        except BaseException:
            transaction.discard()
            _roll_back(self._connection)
            raise
        finally:
            transaction.end()

    def data_version(self) -> int:
        """See `Store.data_version`."""
        with self._version_lock, convert_errors():
            [(version,)] = self._version_connection.execute("PRAGMA data_version").fetchall()
        self._file_identity.check()
        return int(version)

    def write_process(self, process: ServerProcess) -> None:
        """See `Store.write_process`."""
        self._processes.write(process)

    def remove_process(self, process_id: str) -> None:
        """See `Store.remove_process`."""
        self._processes.remove(process_id)

    def watch(self, notice: Callable[[], None]) -> None:
        """See `Store.watch`. No-op: a SQLite file has no notifications."""

    def close(self) -> None:
        """See `Store.close`."""
        self._views.close()
        self._processes.close()
        with convert_errors():
            with self._version_lock:  # another thread may be in `data_version`
                self._version_connection.close()
            self._connection.close()

    def _begin(self) -> None:
        with convert_errors():
            if self._connection.in_transaction:
                raise RuntimeError("the store has an open transaction: end it first")
            self._connection.execute("BEGIN IMMEDIATE")


@contextmanager
def _reading(connection: sqlite3.Connection) -> Iterator[Reader]:
    """Returns a view on a connection that has begun a transaction, and ends both."""
    view = SqlReader(SqliteSession(connection))
    try:
        view.revision()  # SQLite fixes the view at the first statement, not at BEGIN
        yield view
    finally:
        view.end()
        _roll_back(connection)


def _roll_back(connection: sqlite3.Connection) -> None:
    # There is nothing to roll back if SQLite has done so already or the store is closed. An error
    # here must not replace the error that led here.
    with suppress(sqlite3.Error):
        if connection.in_transaction:
            connection.execute("ROLLBACK")
