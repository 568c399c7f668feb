"""What an embedded engine does when its process forks.

A child process gets copies of locks that other threads hold, no threads, and connections of SQLite
that must not be used: their file locks belong to the parent. So the engine is stopped before a
fork: its decisions in progress end, its thread ends, and its databases are closed. In both
processes, the next decision starts it again. An engine that cannot be started again refuses to
decide in the child.
"""

from __future__ import annotations

import logging
import os
import threading
import weakref
from typing import TYPE_CHECKING, Final, Self

from pdp.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

WAIT_S: Final = 10.0
"""How long a fork waits for decisions in progress."""

_log: Final = logging.getLogger("pdp.engine")


class ForkGuard:
    """Held by each decision, so that a fork waits for it; see the module."""

    def __init__(self, stop: Callable[[], bool], start: Callable[[], None]) -> None:
        """Args:
        stop: ends threads and closes files before a fork; returns whether that is done. No
            decision is running meanwhile.
        start: starts again, for the first decision after the fork.
        """
        self._stop = stop
        self._start = start
        self._changed = threading.Condition()
        self._calls = 0
        self._forking = False
        self._stopped = False
        self._safe = False
        self._pid = os.getpid()
        _guards.add(self)

    @property
    def usable(self) -> bool:
        """Whether the engine may be used in this process."""
        return self._pid == os.getpid()

    def __enter__(self) -> Self:
        """Waits for a fork in progress, and starts the engine if it was stopped.

        Raises:
            ConfigError: the engine was opened in another process, or its databases cannot be used.
            StoreUnavailable: its databases cannot be read now.
        """
        if not self.usable:  # the lock may be held by a thread that does not exist here
            raise ConfigError(
                f"this engine was opened in process {self._pid}, before a fork, and cannot be used "
                "in its children. Open an engine in each process after the fork"
            )
        with self._changed:
            if self._forking:
                self._changed.wait_for(lambda: not self._forking)
            if self._stopped:
                self._start()
                self._stopped = False
            self._calls += 1
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._changed:
            self._calls -= 1
            if self._forking:
                self._changed.notify_all()

    def before_fork(self) -> None:
        """Waits for decisions in progress, keeps others waiting, and stops the engine."""
        if not self.usable:
            return
        with self._changed:
            self._forking = True
            idle = self._changed.wait_for(lambda: not self._calls, WAIT_S)
            self._safe = self._stopped or (idle and self._try_to_stop())
            self._stopped = self._stopped or self._safe

    def after_in_parent(self) -> None:
        """Lets decisions go on."""
        with self._changed:
            self._forking = False
            self._changed.notify_all()

    def after_in_child(self) -> None:
        """Makes the engine usable in this process, if it was stopped."""
        self._changed = threading.Condition()
        self._calls, self._forking = 0, False
        if self._safe:
            self._pid = os.getpid()

    def _try_to_stop(self) -> bool:
        try:
            return self._stop()
        except Exception:
            _log.exception("the engine could not be stopped before a fork")
            return False


_guards: Final[weakref.WeakSet[ForkGuard]] = weakref.WeakSet()


def _before_fork() -> None:
    for guard in list(_guards):
        guard.before_fork()


def _after_in_parent() -> None:
    for guard in list(_guards):
        guard.after_in_parent()


def _after_in_child() -> None:
    for guard in list(_guards):
        guard.after_in_child()


os.register_at_fork(
    before=_before_fork, after_in_parent=_after_in_parent, after_in_child=_after_in_child
)
