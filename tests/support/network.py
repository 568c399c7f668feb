"""A network between a client and a server that a test holds up or cuts."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self

from tests.support.servers import TIMEOUT_S

if TYPE_CHECKING:
    from pathlib import Path

_BYTES: Final = 65_536


class Network:
    """Passes connections on from a TCP port to a Unix socket, in a thread of its own.

    Attributes:
        port: of 127.0.0.1.
    """

    def __init__(self, socket: Path) -> None:
        """Starts to listen.

        Args:
            socket: the server's.
        """
        self._socket = socket
        self._connections: set[asyncio.StreamWriter] = set()
        self._passes, self._ended = asyncio.Event(), asyncio.Event()
        self._passes.set()
        started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main(started)))
        self._thread.start()
        assert started.wait(TIMEOUT_S)

    async def _main(self, started: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port: int = server.sockets[0].getsockname()[1]
        started.set()
        await self._ended.wait()
        server.close()
        self._abort()

    def hold(self) -> None:
        """Lets nothing through any more, without a sign to either side."""
        self._loop.call_soon_threadsafe(self._passes.clear)

    def release(self) -> None:
        """Lets through what was held, and everything after it."""
        self._loop.call_soon_threadsafe(self._passes.set)

    def cut(self) -> None:
        """Ends all connections."""
        self._loop.call_soon_threadsafe(self._abort)

    def _abort(self) -> None:
        for each in self._connections:
            each.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._passes.wait()
        try:
            from_server, to_server = await asyncio.open_unix_connection(self._socket)
        except OSError:
            writer.transport.abort()
            return
        both = {writer, to_server}
        self._connections |= both
        try:
            await asyncio.gather(self._pass(reader, to_server), self._pass(from_server, writer))
        finally:
            self._connections -= both
            for each in both:
                each.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(_BYTES):
                await self._passes.wait()
                writer.write(data)
                await writer.drain()
        writer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(TIMEOUT_S)
