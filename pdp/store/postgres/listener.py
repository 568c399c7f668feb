"""Follows the commits of all processes in memory, by LISTEN and a poll.

Every commit of the store notifies the channel. The listener also polls every `POLL_S`, because a
notification is lost with its connection, and because only an answer proves that the database is
available. After a lost connection it reconnects. If the number of commits has changed meanwhile,
the reader of the change log reads the missed changes.
"""

from __future__ import annotations

import select
import socket
import threading
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Final

import psycopg
import structlog

from pdp.errors import StoreUnavailable
from pdp.store.postgres.migrations import SCHEMA
from pdp.store.postgres.session import run

if TYPE_CHECKING:
    from collections.abc import Callable

CHANNEL: Final = "pdp_commits"

POLL_S: Final = 0.5

SILENCE_S: Final = 5.0
"""After this time without an answer, the database counts as unavailable.

It is longer than `POLL_S`, because the thread of a busy process may be late."""

_COMMIT_BITS: Final = 48

_RETRIES_S: Final = (0.05, 0.1, 0.2, 0.5, 1.0)
"""The waits after attempts to connect that have failed; the last one repeats."""

_COMMITS: Final = f"SELECT commits FROM {SCHEMA}.change_log"  # noqa: S608 - a constant

_log: Final = structlog.get_logger("pdp.store")


class Listener:
    """A thread with a connection of its own. Any thread may ask it."""

    def __init__(self, connect: Callable[[], psycopg.Connection]) -> None:
        """Connects, and starts to listen.

        Args:
            connect: opens a connection that commits each statement by itself.

        Raises:
            psycopg.Error: the database cannot be read.
        """
        self._connect = connect
        self._commits = -1
        self._connections = 0
        self._answered_at = 0.0
        self._is_unavailable = False
        self._closed = False
        self._watchers: list[Callable[[], None]] = []
        self._lock = threading.Lock()
        self._waker, self._wake_up = socket.socketpair()
        with ExitStack() as undo:
            undo.callback(self._waker.close)
            undo.callback(self._wake_up.close)
            connection = self._listen()
            undo.pop_all()
        self._thread = threading.Thread(
            target=self._run, args=(connection,), name="listen", daemon=True
        )
        self._thread.start()

    def version(self) -> int:
        """Returns a number that changes with every commit, and with every new connection.

        After a lost connection the database may be another one, with another commit of that number.

        Raises:
            StoreUnavailable: the database has not answered for `SILENCE_S`, or the listener is
                closed.
        """
        self.check()
        with self._lock:
            return (self._connections << _COMMIT_BITS) + self._commits

    def check(self) -> None:
        """Checks that the database has answered recently.

        Raises:
            StoreUnavailable: see `version`.
        """
        if self._closed:
            raise StoreUnavailable("The store is closed.")
        if self._is_unavailable or time.monotonic() - self._answered_at > SILENCE_S:
            raise StoreUnavailable("The store's database does not answer.")

    def committed(self, commits: int) -> None:
        """Notes a commit of this process, which is known before its notification comes."""
        with self._lock:
            self._commits = max(self._commits, commits)

    def watch(self, notice: Callable[[], None]) -> None:
        """Calls `notice` after each commit, on the listener's thread. `notice` must not block."""
        self._watchers.append(notice)

    def close(self) -> None:
        """Ends the thread and its connection; may be called again."""
        if self._closed:
            return
        self._closed = True
        self._waker.close()
        if threading.current_thread() is not self._thread:
            self._thread.join(SILENCE_S)

    def _run(self, connection: psycopg.Connection | None) -> None:
        retries = iter(_RETRIES_S)
        while not self._closed:
            if connection is None:
                try:
                    connection = self._listen()
                except psycopg.Error:
                    self._is_unavailable = True
                    self._wait(next(retries, _RETRIES_S[-1]))
                    continue
                _log.info("the database of policies answers again")
            retries = iter(_RETRIES_S)
            try:
                self._follow(connection)
            except psycopg.Error:
                if not self._closed:
                    _log.warning("the connection to the database of policies is lost")
            with suppress(psycopg.Error):
                connection.close()
            connection = None
        self._wake_up.close()

    def _listen(self) -> psycopg.Connection:
        connection = self._connect()
        try:
            run(connection, f"LISTEN {CHANNEL}")
            [(commits,)] = run(connection, _COMMITS)
        except BaseException:
            connection.close()
            raise
        with self._lock:
            # It may be less than before, if a standby without the last commits is the primary now.
            self._commits = commits
            self._connections += 1
            self._answered_at = time.monotonic()
        self._is_unavailable = False
        self._notify()
        return connection

    def _follow(self, connection: psycopg.Connection) -> None:
        """Follows the commits until the listener is closed or the connection is lost."""
        poll_at = time.monotonic() + POLL_S
        while True:
            left = max(0.0, poll_at - time.monotonic())
            sockets = [connection.fileno(), self._wake_up.fileno()]
            readable, _, _ = select.select(sockets, [], [], left)
            if self._closed:
                return
            if connection.fileno() in readable:
                for notice in connection.notifies(timeout=0):
                    self._note(int(notice.payload))
            if time.monotonic() >= poll_at:
                [(commits,)] = run(connection, _COMMITS)
                poll_at = time.monotonic() + POLL_S
                self._note(commits)

    def _note(self, commits: int) -> None:
        with self._lock:
            self._answered_at = time.monotonic()
            is_new = commits > self._commits
            self._commits = max(self._commits, commits)
        if is_new:
            self._notify()

    def _notify(self) -> None:
        for notice in self._watchers:
            notice()

    def _wait(self, seconds: float) -> None:
        if not self._closed:
            select.select([self._wake_up], [], [], seconds)
