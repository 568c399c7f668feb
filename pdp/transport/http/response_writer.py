"""Sends the head of a response together with the first part of its body.

uvicorn writes them one after the other. That is two packets and two system calls, which cost more
than a decision.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle


class ResponseWriter:
    """The transport as the response to one request sees it.

    The head waits for the first part of the body, until the event loop's next round at most: the
    head of a stream must not wait for its first line.
    """

    __slots__ = ("_begun", "_cycle", "_head", "_loop", "_transport")

    def __init__(self, cycle: RequestResponseCycle, loop: asyncio.AbstractEventLoop) -> None:
        """Takes the request, whose transport this becomes."""
        self._transport = cycle.transport
        self._cycle = cycle
        self._loop = loop
        self._begun = False
        self._head: bytes | None = None

    def write(self, data: bytes) -> None:
        """See `asyncio.Transport`."""
        if self._head is not None:
            data, self._head = self._head + data, None
        elif self._cycle.response_started and not self._begun:  # `100 Continue` comes before
            self._begun = True
            self._head = data
            self._loop.call_soon(self._flush)
            return
        self._transport.write(data)

    def close(self) -> None:
        """See `asyncio.Transport`."""
        self._flush()
        self._transport.close()

    def is_closing(self) -> bool:
        """See `asyncio.Transport`."""
        return self._transport.is_closing()

    def _flush(self) -> None:
        if self._head is not None:
            head, self._head = self._head, None
            self._transport.write(head)
