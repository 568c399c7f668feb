"""Writes the table of server processes in a SQLite file, on a connection of its own.

Its commits do not wait for the disk: nothing is lost if the operating system loses one. They wait
hardly for other writers: a process is written again some seconds later.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from pdp.errors import StoreUnavailable
from pdp.store.sql.processes import remove_process, write_process
from pdp.store.sqlite.connections import connect
from pdp.store.sqlite.errors import convert_errors
from pdp.store.sqlite.session import SqliteSession

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path

    from pdp.domain.server_process import ServerProcess
    from pdp.store.sqlite.file_identity import FileIdentity

_BUSY_TIMEOUT_S: Final = 0.5


class ProcessTable:
    """The table. Any thread may write; they take turns."""

    def __init__(self, path: Path, file_identity: FileIdentity) -> None:
        """Opens nothing yet.

        Args:
            path: the database file.
            file_identity: of the file when the store was opened.
        """
        self._path = path
        self._file_identity = file_identity
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._closed = False

    def write(self, process: ServerProcess) -> None:
        """See `Store.write_process`."""
        with self._session() as session:
            write_process(session, process)

    def remove(self, process_id: str) -> None:
        """See `Store.remove_process`."""
        with self._session() as session:
            remove_process(session, process_id)

    def close(self) -> None:
        """Closes the connection."""
        with self._lock:
            self._closed = True
            connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    @contextmanager
    def _session(self) -> Iterator[SqliteSession]:
        with self._lock, convert_errors():
            if self._closed:
                raise StoreUnavailable("The store is closed.")
            self._file_identity.check()
            connection = self._connection = self._connection or self._connect()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield SqliteSession(connection)
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    def _connect(self) -> sqlite3.Connection:
        connection = connect(self._path, _BUSY_TIMEOUT_S)
        connection.execute("PRAGMA synchronous = NORMAL")
        return connection
