"""Acknowledgements: a caller waits for one until its record is on disk."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence


class Acknowledgements(Protocol):
    """Creates acknowledgements, and settles them from the recorder's thread."""

    def new(self) -> Any:
        """Returns a new acknowledgement."""

    def settle(self, acknowledgements: Sequence[Any], *, written: bool) -> None:
        """Wakes the callers that wait, and passes on whether their records are on disk."""


class LoopAcknowledgements:
    """Acknowledgements for an event loop: futures. The loop is woken once per batch."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def new(self) -> asyncio.Future[bool]:
        """See `Acknowledgements.new`."""
        return self._loop.create_future()

    def settle(self, acknowledgements: Sequence[asyncio.Future[bool]], *, written: bool) -> None:
        """See `Acknowledgements.settle`."""
        with suppress(RuntimeError):  # the loop is closed, so no caller waits
            self._loop.call_soon_threadsafe(_settle, acknowledgements, written)


def _settle(futures: Sequence[asyncio.Future[bool]], written: bool) -> None:
    for future in futures:
        if not future.done():  # the caller may have been cancelled
            future.set_result(written)


class ThreadAcknowledgement:
    """An acknowledgement for a thread."""

    __slots__ = ("_lock", "written")

    def __init__(self) -> None:
        self.written = False
        self._lock = threading.Lock()
        self._lock.acquire()

    def wait(self) -> bool:
        """Waits, and returns whether the record is on disk."""
        with self._lock:
            return self.written

    def settle(self, *, written: bool) -> None:
        """Wakes the thread that waits."""
        self.written = written
        self._lock.release()


class ThreadAcknowledgements:
    """Acknowledgements for threads. One thread waits for each."""

    def new(self) -> ThreadAcknowledgement:
        """See `Acknowledgements.new`."""
        return ThreadAcknowledgement()

    def settle(self, acknowledgements: Sequence[ThreadAcknowledgement], *, written: bool) -> None:
        """See `Acknowledgements.settle`."""
        for acknowledgement in acknowledgements:
            acknowledgement.settle(written=written)
