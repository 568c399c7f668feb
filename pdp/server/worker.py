"""This process, where a supervisor has started it as one of several workers.

A socket joins the two. Over it go lines of JSON, each an object with one of these keys:

    up       from a worker, once: it serves, and where
    ask      from a worker: the metrics of all; to a worker: its own
    answer   to either: what was asked for by the number that it names
    wrote    from a worker: it has written; to the others: look at the store now

The end of the socket tells either side that the other is gone, so that no worker outlives its
parent.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from itertools import count
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MARK: Final = "_PDP_WORKER_FD"
"""Environment variable that makes a worker: the number of its socket."""

MAX_LINE_BYTES: Final = 16 * 1024 * 1024
"""Of one message: the metrics of all workers."""

ANSWER_TIMEOUT_S: Final = 2.0
"""How long a worker waits for its parent, which itself waits for the others a while."""

Metrics = dict[int, str | None]
"""What `/metrics` of each worker says, by the worker's number; None where it has not answered."""


def _ignore() -> None:
    """There is nothing to look at yet: what starts reads the store in any case."""


class Worker:
    """This process, where a parent has started it as a worker."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._numbers = count()
        self._waiting: dict[int, asyncio.Future[Metrics]] = {}
        self.render: Callable[[], bytes] = bytes
        self.look: Callable[[], None] = _ignore

    @classmethod
    def of_environment(cls) -> Worker | None:
        """Returns the worker that this process is; None where it is none."""
        number = os.environ.pop(MARK, None)
        if number is None:
            return None
        channel = socket.socket(fileno=int(number))
        channel.set_inheritable(False)
        return cls(channel)

    async def open(self, stop: asyncio.Event) -> None:
        """Begins to listen to the parent; sets `stop` once that is gone: the worker is to end."""
        reader, writer = await asyncio.open_connection(sock=self._channel, limit=MAX_LINE_BYTES)
        self._writer = writer
        self._reading = asyncio.create_task(self._read(reader, writer, stop))

    async def _read(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, stop: asyncio.Event
    ) -> None:
        try:
            while (line := await reader.readline()).endswith(b"\n"):
                self._take(json.loads(line))
        except ConnectionError:
            pass  # the parent was killed with something unread
        finally:
            self._writer = None
            writer.close()
            stop.set()

    def _take(self, message: Mapping[str, Any]) -> None:
        if "ask" in message:
            self._send({"answer": message["ask"], "metrics": self.render().decode()})
        elif "wrote" in message:
            self.look()
        else:
            waiting = self._waiting.pop(message["answer"], None)
            if waiting is not None and not waiting.done():
                waiting.set_result({int(at): text for at, text in message["metrics"].items()})

    def announce(self, up: Mapping[str, Any]) -> None:
        """Tells the parent that this worker serves."""
        self._send({"up": dict(up)})

    def tell(self) -> None:
        """Tells the other workers that something was written, so that they need not wait."""
        self._send({"wrote": True})

    async def metrics_of_all(self) -> Metrics:
        """Returns the metrics of all workers, this one included.

        Raises:
            TimeoutError: the parent does not answer.
        """
        number = next(self._numbers)
        waiting: asyncio.Future[Metrics] = asyncio.get_running_loop().create_future()
        self._waiting[number] = waiting
        self._send({"ask": number})
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                return await waiting
        finally:
            self._waiting.pop(number, None)

    def _send(self, message: Mapping[str, Any]) -> None:
        if self._writer is not None:
            self._writer.write(json.dumps(message).encode() + b"\n")
