"""An MCP server over HTTP without an SDK, which answers as a test says."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence


@dataclass
class Visit:
    """A request that the server has got.

    Attributes:
        method: the verb.
        headers: names in lower case.
        body: as it was sent.
    """

    method: str
    headers: dict[str, str]
    body: bytes
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @property
    def message(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    async def respond(
        self, status: int = 200, body: bytes = b"", kind: str = "application/json", **headers: str
    ) -> None:
        """Sends a whole response."""
        head = [f"HTTP/1.1 {status} X", f"content-length: {len(body)}", f"content-type: {kind}"]
        head += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.writer.write("\r\n".join([*head, "", ""]).encode() + body)
        await self.writer.drain()

    async def result(self, value: Any, **members: Any) -> None:
        """Answers the message with a result."""
        document = {"jsonrpc": "2.0", "id": self.message["id"], "result": value, **members}
        await self.respond(body=json.dumps(document).encode())

    async def stream(self, *messages: Any, end: bool = True, **headers: str) -> None:
        """Sends a stream of events: of messages, or of bytes as they are."""
        head = ["HTTP/1.1 200 X", "content-type: text/event-stream", "connection: close"]
        head += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.writer.write("\r\n".join([*head, "", ""]).encode())
        for each in messages:
            raw = each if isinstance(each, bytes) else f"data: {json.dumps(each)}\n\n".encode()
            self.writer.write(raw)
            await self.writer.drain()
        if end:
            self.writer.close()


@dataclass
class ScriptedServer:
    """A running server.

    Attributes:
        url: of its endpoint.
        visits: the requests that it has got.
    """

    url: str = ""
    visits: list[Visit] = field(default_factory=list)

    @property
    def methods(self) -> Sequence[str]:
        """The methods of the messages that it has got."""
        return [json.loads(each.body).get("method", "") for each in self.visits if each.body]


@asynccontextmanager
async def scripted_server(
    script: Callable[[Visit], Awaitable[None]],
) -> AsyncIterator[ScriptedServer]:
    """Runs a server that answers each request by `script`."""
    scripted = ScriptedServer()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (visit := await _read(reader, writer)) is not None:
                scripted.visits.append(visit)
                await script(visit)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the proxy has closed the connection, or the test has ended
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    scripted.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/mcp"
    try:
        yield scripted
    finally:
        server.close()


async def _read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Visit | None:
    """Returns the next request of a connection; None at its end."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    verb = head[0].split(" ")[0]
    pairs = [line.partition(": ") for line in head[1:] if line]
    headers = {name.lower(): value for name, _, value in pairs}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Visit(verb, headers, body, reader, writer)
