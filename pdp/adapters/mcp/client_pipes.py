"""The standard streams of this process, as its client uses them.

Threads read and write them, because they may be files or terminals, which an event loop cannot wait
for. The threads do not keep the process alive.
"""

from __future__ import annotations

import asyncio
import os
import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CHUNK: Final = 65_536

_Written = asyncio.Future[None]


class ClientPipes:
    """Reads what the client sends, and writes to it."""

    def __init__(self, stdin: int, stdout: int) -> None:
        """Args:
        stdin, stdout: file descriptors.
        """
        self._stdin = stdin
        self._stdout = stdout
        self._loop = asyncio.get_running_loop()
        self._chunks: asyncio.Queue[bytes] = asyncio.Queue()
        self._wanted = threading.Semaphore(0)
        self._lines: SimpleQueue[tuple[bytes, _Written]] = SimpleQueue()
        for work in (self._read_all, self._write_all):
            threading.Thread(target=work, daemon=True).start()

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yields what the client sends, until it closes the stream."""
        while True:
            self._wanted.release()
            data = await self._chunks.get()
            if not data:
                return
            yield data

    async def write(self, line: bytes) -> None:
        """Writes a line, which includes its end.

        Raises:
            OSError: the client no longer reads.
        """
        written: _Written = self._loop.create_future()
        self._lines.put((line, written))
        await written

    def _read_all(self) -> None:
        while True:
            self._wanted.acquire()
            try:
                data = os.read(self._stdin, CHUNK)
            except OSError:
                data = b""
            if not self._call(self._chunks.put_nowait, data) or not data:
                return

    def _write_all(self) -> None:
        while True:
            line, written = self._lines.get()
            rest = memoryview(line)
            try:
                while rest:
                    rest = rest[os.write(self._stdout, rest) :]
            except OSError as error:
                if not self._call(_fail, written, error):
                    return
            else:
                if not self._call(_finish, written):
                    return

    def _call(self, do: object, *arguments: object) -> bool:
        """Calls `do` on the event loop. Returns False if the loop has ended."""
        try:
            self._loop.call_soon_threadsafe(do, *arguments)  # type: ignore[arg-type] # any callable
        except RuntimeError:
            return False
        return True


def _finish(written: _Written) -> None:
    if not written.done():
        written.set_result(None)


def _fail(written: _Written, error: OSError) -> None:
    if not written.done():
        written.set_exception(error)
