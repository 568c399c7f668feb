"""What a caller waits for until its record is on disk."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence


class Acknowledgements(Protocol):
    """Makes tickets, and settles them from the recorder's thread."""

    def new(self) -> Any:
        """Returns a ticket."""

    def settle(self, tickets: Sequence[Any], *, written: bool) -> None:
        """Tells those who wait for `tickets` whether their records are on disk."""


class LoopAcknowledgements:
    """Tickets are futures of an event loop, which is woken once for a whole batch."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def new(self) -> asyncio.Future[bool]:
        """See `Acknowledgements.new`."""
        return self._loop.create_future()

    def settle(self, tickets: Sequence[asyncio.Future[bool]], *, written: bool) -> None:
        """See `Acknowledgements.settle`."""
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(_settle, tickets, written)


def _settle(tickets: Sequence[asyncio.Future[bool]], written: bool) -> None:
    for ticket in tickets:
        if not ticket.done():  # a caller may have gone away
            ticket.set_result(written)


class ThreadTicket:
    """A ticket for a thread."""

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
        """Ends the waiting."""
        self.written = written
        self._lock.release()


class ThreadAcknowledgements:
    """Tickets are for threads, each to be waited for by one."""

    def new(self) -> ThreadTicket:
        """See `Acknowledgements.new`."""
        return ThreadTicket()

    def settle(self, tickets: Sequence[ThreadTicket], *, written: bool) -> None:
        """See `Acknowledgements.settle`."""
        for ticket in tickets:
            ticket.settle(written=written)
