"""The stdio transport: starts the server as a child, and relays the lines of both sides."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from pdp.adapters.mcp.client_pipes import CHUNK, ClientPipes
from pdp.adapters.mcp.connection import McpConnection
from pdp.adapters.mcp.exchange import McpSide
from pdp.adapters.mcp.lines import LineSplitter
from pdp.environment import PREFIX
from pdp.errors import ConfigError

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import Sequence

    from pdp.adapters.mcp.exchange import McpExchange
    from pdp.adapters.mcp.judge import McpCaller

GRACE_S: Final = 5.0
"""How long the server may take to end after its input has ended, and again after SIGTERM."""

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


async def run_stdio(
    command: Sequence[str],
    exchange: McpExchange,
    caller: McpCaller,
    *,
    stdin: int = 0,
    stdout: int = 1,
    grace_s: float = GRACE_S,
) -> int:
    """Runs a server behind the proxy until the client or the server ends.

    The server's stderr is that of this process. It gets the environment of this process without the
    `PDP_…` variables, which may hold credentials. It has a process group of its own, so that what
    it starts ends with it.

    Args:
        command: the program of the server, and its arguments.
        exchange: judges the messages.
        caller: for whom the client works.
        stdin: the file descriptor that the client writes to.
        stdout: the file descriptor that the client reads from.
        grace_s: see `GRACE_S`.

    Returns:
        The exit code: that of the server, or 128 and the number of the signal that has ended the
        server or this process.

    Raises:
        ConfigError: the program cannot be started.
    """
    child = await _start(command)
    session = _StdioRun(child, exchange, caller, ClientPipes(stdin, stdout), grace_s)
    return await session.run()


async def _start(command: Sequence[str]) -> Process:
    pipe = asyncio.subprocess.PIPE
    environment = {
        name: value for name, value in os.environ.items() if not name.upper().startswith(PREFIX)
    }
    try:
        return await asyncio.create_subprocess_exec(
            *command, stdin=pipe, stdout=pipe, env=environment, start_new_session=True
        )
    except OSError as error:
        raise ConfigError(
            f"cannot start {command[0]}: {error.strerror}. Check the command after --"
        ) from None


class _StdioRun:
    """A running server and its client."""

    def __init__(
        self,
        child: Process,
        exchange: McpExchange,
        caller: McpCaller,
        client: ClientPipes,
        grace_s: float,
    ) -> None:
        self._child = child
        self._client = client
        self._grace_s = grace_s
        self._connection = McpConnection(exchange, caller, client.write, self._to_server)
        self._signal: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.add_signal_handler(number, self._on_signal, number)
        up = asyncio.create_task(self._from_client())
        down = asyncio.create_task(self._from_server())
        try:
            await asyncio.wait((up, down, self._signal), return_when=asyncio.FIRST_COMPLETED)
            await self._end_child()
            # What the server has written before its end.
            await asyncio.wait((down,), timeout=self._grace_s)
            if not down.done():  # what the server has started goes on, and holds its output open
                self._send(signal.SIGKILL)
        finally:
            for number in SIGNALS:
                loop.remove_signal_handler(number)
            up.cancel()
            down.cancel()
            results = await asyncio.gather(up, down, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception) and not isinstance(result, OSError):
                raise result  # an OSError is a client that no longer reads
        return self._code()

    def _on_signal(self, number: int) -> None:
        if not self._signal.done():
            self._signal.set_result(number)

    async def _from_client(self) -> None:
        lines = LineSplitter()
        try:
            async for data in self._client.chunks():
                for line in lines.feed(data):
                    await self._connection.relay(line, McpSide.CLIENT)
        finally:
            if self._child.stdin is not None:
                self._child.stdin.close()

    async def _from_server(self) -> None:
        lines = LineSplitter()
        while self._child.stdout and (data := await self._child.stdout.read(CHUNK)):
            for line in lines.feed(data):
                await self._connection.relay(line, McpSide.SERVER)
        await self._connection.fail_open_requests("The server has ended.")

    async def _to_server(self, line: bytes) -> None:
        if self._child.stdin is not None:
            with suppress(ConnectionError):  # the end of its output tells the client
                self._child.stdin.write(line)
                await self._child.stdin.drain()

    async def _end_child(self) -> None:
        """Waits for the end of the server, then sends SIGTERM, then SIGKILL."""
        if not self._signal.done() and await self._has_ended():
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            self._send(number)
            if await self._has_ended():
                return

    def _send(self, number: signal.Signals) -> None:
        """Sends a signal to the server, and to all that it has started."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._child.pid, number)

    async def _has_ended(self) -> bool:
        """Whether the server ends in time; a signal cuts the time short."""
        ended = asyncio.ensure_future(self._child.wait())
        waited: set[asyncio.Future[int]] = {ended}
        if not self._signal.done():
            waited.add(self._signal)
        await asyncio.wait(waited, timeout=self._grace_s, return_when=asyncio.FIRST_COMPLETED)
        if not ended.done():
            ended.cancel()
        return self._child.returncode is not None

    def _code(self) -> int:
        if self._signal.done():
            return 128 + self._signal.result()
        code = self._child.returncode or 0
        return code if code >= 0 else 128 - code
