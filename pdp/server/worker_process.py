"""One worker, as its parent sees it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from pdp.server.worker import MARK, MAX_LINE_BYTES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from pdp.server.worker import Metrics

ANSWER_TIMEOUT_S: Final = 1.0
"""How long one worker may take to tell its metrics, before they are told without it."""


class Supervised:
    """A worker process, and the conversation with it."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        metrics_of_all: Callable[[], Awaitable[Metrics]],
        wrote: Callable[[Supervised], None],
    ) -> None:
        self._wrote = wrote
        self._process = process
        self._writer = writer
        self._metrics_of_all = metrics_of_all
        self._asked_to_end = False
        self._numbers = count()
        self._waiting: dict[int, asyncio.Future[str | None]] = {}
        self._up: asyncio.Future[dict[str, Any] | None] = asyncio.get_running_loop().create_future()
        self._answering: set[asyncio.Task[None]] = set()
        self._listening = asyncio.create_task(self._listen(reader))

    @classmethod
    async def start(
        cls,
        metrics_of_all: Callable[[], Awaitable[Metrics]],
        wrote: Callable[[Supervised], None],
    ) -> Supervised:
        """Starts this process's own command again, as a worker.

        Args:
            metrics_of_all: answers the worker that asks for the metrics of all.
            wrote: is called with the worker whenever it has written to the store.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *sys.orig_argv[1:],
                env={**os.environ, MARK: str(theirs.fileno())},
                pass_fds=(theirs.fileno(),),
                # Out of the terminal's group: its Ctrl-C comes to the parent, which passes it on.
                process_group=0,
            )
        streams = await asyncio.open_connection(sock=ours, limit=MAX_LINE_BYTES)
        return cls(process, *streams, metrics_of_all, wrote)

    async def ready(self) -> dict[str, Any] | None:
        """Returns what the worker says when it serves; None where it ends before."""
        return await asyncio.shield(self._up)

    async def metrics(self) -> str | None:
        """Returns the worker's metrics; None where it does not answer in time."""
        if not self._up.done() or self._listening.done():
            return None
        number = next(self._numbers)
        waiting: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._waiting[number] = waiting
        self._send({"ask": number})
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                return await waiting
        except TimeoutError:
            return None
        finally:
            self._waiting.pop(number, None)

    def tell_of_write(self) -> None:
        """Has the worker look at the store: another one has written."""
        self._send({"wrote": True})

    async def wait(self) -> int:
        """Returns the exit code, once there is one; 128 and the number for a signal.

        One that is ended before it could take our SIGTERM for the wish that it is, ends well.
        """
        code = await self._process.wait()
        await self._listening
        self._writer.close()
        if code == -signal.SIGTERM and self._asked_to_end:
            return 0
        return code if code >= 0 else 128 - code

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    def send(self, number: int) -> None:
        """Sends a signal, unless the worker has ended already."""
        self._asked_to_end |= number == signal.SIGTERM
        if self._process.returncode is None:
            self._process.send_signal(number)

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        try:
            # A line that the death of the worker has cut off is none.
            while (line := await reader.readline()).endswith(b"\n"):
                self._take(json.loads(line))
        except ConnectionError:
            pass  # it was killed with something unread: as gone as at the end of the stream
        finally:
            if not self._up.done():
                self._up.set_result(None)
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_result(None)

    def _take(self, message: Mapping[str, Any]) -> None:
        if "up" in message:
            self._up.set_result(message["up"])
        elif "wrote" in message:
            self._wrote(self)
        elif "ask" in message:
            answering = asyncio.create_task(self._answer(message["ask"]))
            self._answering.add(answering)
            answering.add_done_callback(self._answering.discard)
        else:
            waiting = self._waiting.get(message["answer"])
            if waiting is not None and not waiting.done():
                waiting.set_result(message["metrics"])

    async def _answer(self, number: int) -> None:
        self._send({"answer": number, "metrics": await self._metrics_of_all()})

    def _send(self, message: Mapping[str, Any]) -> None:
        if not self._writer.is_closing():
            self._writer.write(json.dumps(message).encode() + b"\n")
