"""Connections to PostgreSQL: their settings, and a bound on how long an answer may take."""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from pdp.store.postgres.session import run

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg

_STEP_S: Final = 0.25


def configure(
    connection: psycopg.Connection, schema: str, *, statement_s: float, idle_s: float
) -> None:
    """Sets up a new connection, so that a commit is on disk when it returns.

    Args:
        connection: commits each statement by itself.
        schema: has the tables.
        statement_s: how long one statement may take.
        idle_s: after this time without a statement, the database ends a transaction.
    """
    run(
        connection,
        f"SET search_path TO {schema};"
        f" SET idle_in_transaction_session_timeout = {int(idle_s * 1000)};"
        f" SET statement_timeout = {int(statement_s * 1000)};"
        # A value above that waits for standbys, too.
        " SELECT set_config('synchronous_commit', 'on', false)"
        " WHERE current_setting('synchronous_commit') = 'off'",
    )


class AnswerGuard:
    """Breaks a connection whose database does not answer in time, so that no thread hangs.

    The time-outs of the database do not help if the database itself hangs, and those of TCP do not
    if its host still answers.
    """

    def __init__(self) -> None:
        self._deadlines: dict[int, float] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()

    @contextmanager
    def limit(self, connection: psycopg.Connection, seconds: float) -> Iterator[None]:
        """Breaks the connection if the block takes longer than some seconds."""
        descriptor = connection.fileno()
        with self._lock:
            self._deadlines[descriptor] = time.monotonic() + seconds
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="pdp-answers", daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            with self._lock:
                self._deadlines.pop(descriptor, None)

    def close(self) -> None:
        """Ends the thread."""
        self._closing.set()

    def _run(self) -> None:
        while not self._closing.wait(_STEP_S):
            with self._lock:
                now = time.monotonic()
                late = [each for each, deadline in self._deadlines.items() if deadline < now]
                for descriptor in late:
                    del self._deadlines[descriptor]
                    _shut_down(descriptor)


def _shut_down(descriptor: int) -> None:
    """Ends both directions of a connection. Its user gets an error."""
    with suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as copy:
        copy.shutdown(socket.SHUT_RDWR)
