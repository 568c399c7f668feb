"""The store in one SQLite file."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pdp.errors import ConfigError
from pdp.store.sqlite import schema
from pdp.store.sqlite.errors import converted, converted_at_opening
from pdp.store.sqlite.file_identity import FileIdentity
from pdp.store.sqlite.transactions import SqliteReader, SqliteTransaction

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pdp.store.port import Reader, Transaction

_SCHEME: Final = "sqlite:///"

_OWNER_ONLY: Final = 0o600

_REFUSED: Final = frozenset("?\0")
"""No settings follow the path; a NUL would end it."""


class SqliteStore:
    """A `Store` in one SQLite file, shared by all processes of one host that open it.

    What was committed is on disk (WAL, `synchronous=FULL`). A server gives the store to one
    thread of its own, which alone calls `read`, `write` and `close`; `data_version` has a
    connection to itself and may be called from any other. A process that forks opens its own.
    """

    def __init__(
        self, connection: sqlite3.Connection, watcher: sqlite3.Connection, place: FileIdentity
    ) -> None:
        self._connection = connection
        self._place = place
        # SQLite's counter shows to a connection the commits of others only. Ours are those of
        # another as well to a connection that never commits.
        self._watcher = watcher
        self._watching = threading.Lock()

    @classmethod
    def open(cls, url: str, *, busy_timeout_s: float = 5.0) -> SqliteStore:
        """Opens the store, and makes or upgrades it where need be.

        Args:
            url: `sqlite:///relative/path.db` or `sqlite:////absolute/path.db`, taken literally
                (no %-escapes). Missing directories are made.
            busy_timeout_s: how long to wait for another writer.

        Raises:
            ConfigError: the URL or its file cannot be used; the message says what to do.
            StoreUnavailable: another process held the file for longer than `busy_timeout_s`.

        """
        path = place_for(url)
        with converted_at_opening(), ExitStack() as undo:
            connection = connect(path, busy_timeout_s)
            undo.callback(connection.close)
            schema.prepare(connection, busy_timeout_s=busy_timeout_s)
            watcher = connect(path, busy_timeout_s)
            undo.callback(watcher.close)
            # Opened by now, it has no need to wait, and must not: an event loop may be asking.
            watcher.execute("PRAGMA busy_timeout = 0")
            place = FileIdentity(path)
            undo.pop_all()
        return cls(connection, watcher, place)

    @contextmanager
    def read(self) -> Iterator[Reader]:
        """See `Store.read`."""
        self._begin("BEGIN")
        view = SqliteReader(self._connection)
        try:
            view.revision()  # SQLite takes the view with the first statement, not with BEGIN
            yield view
        finally:
            view.end()
            self._roll_back()

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """See `Store.write`."""
        self._begin("BEGIN IMMEDIATE")
        transaction = SqliteTransaction(self._connection, time.time())
        try:
            self._place.check()
            yield transaction
            transaction.check()
            with converted():
                self._connection.execute("COMMIT")
            self._place.check()  # what is committed to a file that is gone is not acknowledged
        except BaseException:
            transaction.discard()
            self._roll_back()
            raise
        finally:
            transaction.end()

    def data_version(self) -> int:
        """See `Store.data_version`."""
        with self._watching, converted():
            [(version,)] = self._watcher.execute("PRAGMA data_version").fetchall()
        self._place.check()
        return int(version)

    def close(self) -> None:
        """See `Store.close`. May be called again."""
        with converted():
            with self._watching:  # not while another thread asks
                self._watcher.close()
            self._connection.close()

    def _begin(self, statement: str) -> None:
        with converted():
            if self._connection.in_transaction:
                raise RuntimeError("the store has a view or transaction open: end that first")
            self._connection.execute(statement)

    def _roll_back(self) -> None:
        # Nothing to undo where SQLite has done so already, or the store was closed meanwhile; an
        # error here must not take the place of the one that led here.
        with suppress(sqlite3.Error):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")


def path_of(url: str) -> Path:
    """Returns the file that a store's URL names.

    Raises:
        ConfigError: it names none.

    """
    name = url.removeprefix(_SCHEME)
    usable = name != url and not name.startswith(":") and not name.endswith("/")
    if not name or not usable or not _REFUSED.isdisjoint(name):
        raise ConfigError(
            "The store URL must be sqlite:/// and the path of a file: sqlite:///data/pdp.db below"
            " the working directory, or sqlite:////var/lib/pdp/pdp.db."
        )
    return Path(name).absolute()


def place_for(url: str) -> Path:
    """Does what `path_of` does, and makes the file's directory where it is not there.

    Raises:
        ConfigError: the URL names no file, or the directory cannot be made.

    """
    path = path_of(url)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            "The store's directory cannot be made; make it, or name a file in a directory that"
            " this process may write in."
        ) from error
    return path


def _create(path: Path) -> None:
    """Makes the file where it is not there, for its owner alone; SQLite's own follow its rights."""
    # What this cannot do, SQLite cannot either, and says so.
    with suppress(OSError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, _OWNER_ONLY))


def connect(path: Path, busy_timeout_s: float) -> sqlite3.Connection:
    """Returns a connection whose commits are on disk, without implicit transactions."""
    _create(path)
    connection = sqlite3.connect(
        path, timeout=busy_timeout_s, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("PRAGMA synchronous = FULL")  # reads the file, thus opens it
        connection.execute("PRAGMA foreign_keys = ON")
    except BaseException:
        connection.close()
        raise
    return connection
