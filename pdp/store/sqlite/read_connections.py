"""Connections that only read: any thread takes one for a view, beside the store's own."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from pdp.errors import StoreUnavailable
from pdp.store.sqlite.connections import connect_existing
from pdp.store.sqlite.errors import convert_errors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pdp.store.sqlite.file_identity import FileIdentity

MAX_IDLE: Final = 4
"""Connections that stay open for the next view."""


class ReadConnections:
    """Opens connections on demand, and keeps a few of them."""

    def __init__(self, path: Path, busy_timeout_s: float, file_identity: FileIdentity) -> None:
        """Opens nothing yet.

        Args:
            path: the database file, in WAL mode.
            busy_timeout_s: how long to wait for a process that recovers the file.
            file_identity: of the file when the store was opened.
        """
        self._path = path
        self._busy_timeout_s = busy_timeout_s
        self._file_identity = file_identity
        self._lock = threading.Lock()
        self._idle: list[sqlite3.Connection] = []
        self._closed = False

    @contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        """Returns a connection for this thread alone, until the context ends.

        Raises:
            StoreUnavailable: the file cannot be opened, was deleted or replaced, or the store is
                closed.
        """
        connection = self._take()
        try:
            yield connection
        finally:
            self._give_back(connection)

    def _take(self) -> sqlite3.Connection:
        with self._lock:
            if self._closed:
                raise StoreUnavailable("The store is closed.")
            if self._idle:
                return self._idle.pop()
        with convert_errors():
            connection = connect_existing(self._path, self._busy_timeout_s)
        try:
            # The path may name another file by now, whose policies are not those of this store.
            self._file_identity.check()
        except StoreUnavailable:
            connection.close()
            raise
        return connection

    def _give_back(self, connection: sqlite3.Connection) -> None:
        with self._lock:
            if not self._closed and len(self._idle) < MAX_IDLE:
                self._idle.append(connection)
                return
        with suppress(sqlite3.Error):
            connection.close()

    def close(self) -> None:
        """Closes the connections. One that is in use is closed at the end of its view."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        with convert_errors():
            for connection in idle:
                connection.close()
