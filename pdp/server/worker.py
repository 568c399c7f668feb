"""This process, if a supervisor has started it as one of several workers.

A socket connects the worker and its parent. They send lines of JSON, each an object with one of
these keys:

    up         from the worker, once: it serves; the value has its addresses
    request    from the worker: the metrics of all workers; from the parent: of this worker; the
               value is a number
    response   from either: the number of the request, and the metrics
    write      from the worker: it has written to the store; from the parent: another worker has

When one of them ends, the socket closes. So no worker outlives its parent.
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

SOCKET_VARIABLE: Final = "_PDP_WORKER_FD"
"""The environment variable that makes a process a worker: the file descriptor of its socket."""

NUMBER_VARIABLE: Final = "_PDP_WORKER_NUMBER"
"""The environment variable with the number of the worker, from 0."""

MAX_LINE_BYTES: Final = 16 * 1024 * 1024
"""The largest message: the metrics of all workers."""

RESPONSE_TIMEOUT_S: Final = 2.0
"""How long a worker waits for its parent, which itself waits for the other workers."""

WorkerMetrics = dict[int, str | None]
"""The metrics of each worker as text, by its number; None for a worker that did not respond."""


def _no_op() -> None:
    """Does nothing: a server that starts reads the store in any case."""


class Worker:
    """This process as a worker.

    Attributes:
        number: its number among the workers, from 0.
        render: returns the metrics of this process.
        on_write: called when another worker has written to the store.
    """

    def __init__(self, channel: socket.socket, number: int = 0) -> None:
        self.number = number
        self._channel = channel
        self._writer: asyncio.StreamWriter | None = None
        self._read_task: asyncio.Task[None] | None = None
        self._numbers = count()
        self._pending: dict[int, asyncio.Future[WorkerMetrics]] = {}
        self.render: Callable[[], bytes] = bytes
        self.on_write: Callable[[], None] = _no_op

    @classmethod
    def from_environment(cls) -> Worker | None:
        """Returns this process as a worker; None if it is not a worker."""
        descriptor = os.environ.pop(SOCKET_VARIABLE, None)
        if descriptor is None:
            return None
        channel = socket.socket(fileno=int(descriptor))
        channel.set_inheritable(False)
        return cls(channel, int(os.environ.pop(NUMBER_VARIABLE, "0")))

    async def open(self, stop: asyncio.Event) -> None:
        """Starts to read from the parent; sets `stop` when the parent ends, to end this worker."""
        reader, writer = await asyncio.open_connection(sock=self._channel, limit=MAX_LINE_BYTES)
        self._writer = writer
        self._read_task = asyncio.create_task(self._read(reader, writer, stop))

    async def _read(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, stop: asyncio.Event
    ) -> None:
        try:
            while (line := await reader.readline()).endswith(b"\n"):
                self._handle(json.loads(line))
        except ConnectionError:
            pass  # the parent was killed before it had read all messages
        finally:
            self._writer = None
            writer.close()
            stop.set()

    def _handle(self, message: Mapping[str, Any]) -> None:
        if "request" in message:
            self._send({"response": message["request"], "metrics": self.render().decode()})
        elif "write" in message:
            self.on_write()
        else:
            response = self._pending.pop(message["response"], None)
            if response is not None and not response.done():
                metrics = {int(number): text for number, text in message["metrics"].items()}
                response.set_result(metrics)

    def announce(self, up: Mapping[str, Any]) -> None:
        """Reports to the parent that this worker serves."""
        self._send({"up": dict(up)})

    def notify_write(self) -> None:
        """Reports to the other workers that this one has written to the store."""
        self._send({"write": True})

    async def all_metrics(self) -> WorkerMetrics:
        """Returns the metrics of all workers, including this one.

        Raises:
            TimeoutError: the parent does not respond.
        """
        number = next(self._numbers)
        response: asyncio.Future[WorkerMetrics] = asyncio.get_running_loop().create_future()
        self._pending[number] = response
        self._send({"request": number})
        try:
            async with asyncio.timeout(RESPONSE_TIMEOUT_S):
                return await response
        finally:
            self._pending.pop(number, None)

    def _send(self, message: Mapping[str, Any]) -> None:
        if self._writer is not None:
            self._writer.write(json.dumps(message).encode() + b"\n")
