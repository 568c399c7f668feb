"""A worker process, as its parent sees it. `pdp.server.worker` describes their messages."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from pdp.server.worker import MAX_LINE_BYTES, NUMBER_VARIABLE, SOCKET_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from pdp.server.worker import WorkerMetrics

RESPONSE_TIMEOUT_S: Final = 1.0
"""How long a worker may take to send its metrics; after that the page is shown without them."""


class WorkerProcess:
    """A worker process and the socket to it."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        all_metrics: Callable[[], Awaitable[WorkerMetrics]],
        on_write: Callable[[WorkerProcess], None],
    ) -> None:
        self._on_write = on_write
        self._process = process
        self._writer = writer
        self._all_metrics = all_metrics
        self._terminated = False
        self._numbers = count()
        self._pending: dict[int, asyncio.Future[str | None]] = {}
        self._up: asyncio.Future[dict[str, Any] | None] = asyncio.get_running_loop().create_future()
        self._response_tasks: set[asyncio.Task[None]] = set()
        self._read_task = asyncio.create_task(self._read(reader))

    @classmethod
    async def start(
        cls,
        number: int,
        all_metrics: Callable[[], Awaitable[WorkerMetrics]],
        on_write: Callable[[WorkerProcess], None],
    ) -> WorkerProcess:
        """Starts the command of this process again, as a worker.

        Args:
            number: the number of the worker, from 0.
            all_metrics: returns the metrics of all workers, for a worker that requests them.
            on_write: called with this worker when it has written to the store.
        """
        parent_end, worker_end = socket.socketpair()
        with worker_end:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *sys.orig_argv[1:],
                env={
                    **os.environ,
                    SOCKET_VARIABLE: str(worker_end.fileno()),
                    NUMBER_VARIABLE: str(number),
                },
                pass_fds=(worker_end.fileno(),),
                # Outside the terminal's process group: only the parent gets the terminal's Ctrl-C,
                # and passes it on.
                process_group=0,
            )
        streams = await asyncio.open_connection(sock=parent_end, limit=MAX_LINE_BYTES)
        return cls(process, *streams, all_metrics, on_write)

    async def ready(self) -> dict[str, Any] | None:
        """Returns the addresses of the worker when it serves; None if it ends before that."""
        return await asyncio.shield(self._up)

    async def metrics(self) -> str | None:
        """Returns the worker's metrics; None if it does not respond in time."""
        if not self._up.done() or self._read_task.done():
            return None
        number = next(self._numbers)
        response: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._pending[number] = response
        self._send({"request": number})
        try:
            async with asyncio.timeout(RESPONSE_TIMEOUT_S):
                return await response
        except TimeoutError:
            return None
        finally:
            self._pending.pop(number, None)

    def notify_write(self) -> None:
        """Reports to the worker that another one has written to the store."""
        self._send({"write": True})

    async def wait(self) -> int:
        """Waits until the worker ends; returns its exit code, or 128 plus the number of a signal.

        Returns 0 if our SIGTERM has killed the worker, before it could handle the signal.
        """
        code = await self._process.wait()
        await self._read_task
        self._writer.close()
        if code == -signal.SIGTERM and self._terminated:
            return 0
        return code if code >= 0 else 128 - code

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    def send_signal(self, number: int) -> None:
        """Sends a signal, unless the worker has already ended."""
        self._terminated |= number == signal.SIGTERM
        if self._process.returncode is None:
            self._process.send_signal(number)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            # Ignore a last line without a line end: the worker died while it wrote.
            while (line := await reader.readline()).endswith(b"\n"):
                self._handle(json.loads(line))
        except ConnectionError:
            pass  # the worker was killed before it had read all messages
        finally:
            if not self._up.done():
                self._up.set_result(None)
            for response in self._pending.values():
                if not response.done():
                    response.set_result(None)

    def _handle(self, message: Mapping[str, Any]) -> None:
        if "up" in message:
            self._up.set_result(message["up"])
        elif "write" in message:
            self._on_write(self)
        elif "request" in message:
            task = asyncio.create_task(self._send_all_metrics(message["request"]))
            self._response_tasks.add(task)
            task.add_done_callback(self._response_tasks.discard)
        else:
            response = self._pending.get(message["response"])
            if response is not None and not response.done():
                response.set_result(message["metrics"])

    async def _send_all_metrics(self, number: int) -> None:
        self._send({"response": number, "metrics": await self._all_metrics()})

    def _send(self, message: Mapping[str, Any]) -> None:
        if not self._writer.is_closing():
            self._writer.write(json.dumps(message).encode() + b"\n")
