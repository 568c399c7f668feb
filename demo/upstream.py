"""An upstream that behaves like a chat API: answers, tool calls, and streams of events.

What the last message of the user says decides what it answers, so that a test knows the answer.
"""

from __future__ import annotations

import asyncio
import json
import threading
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from types import TracebackType

SECRET: Final = "AKIA" + "QYLPMN5HHHFPZAM2"
"""A made-up access key, which the model gives away."""

MAX_BODY: Final = 64 * 1024 * 1024
TIMEOUT_S: Final = 30.0

_CHUNKS: Final = ("The key is ", SECRET[:7], SECRET[7:13], SECRET[13:], ", keep it safe.")


class Upstream:
    """A running upstream, in a thread of its own.

    Attributes:
        address: `host:port`.
        bodies: the bodies of the requests that have come, as they came.
        headers: their headers, by lower-case name.
        go_on: a stream that has begun with `wait` waits for it after its first half.
    """

    def __init__(self) -> None:
        self.address = ""
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self.go_on = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Upstream:
        self._thread.start()
        starting = asyncio.run_coroutine_threadsafe(self._start(), self._loop)
        self.address = starting.result(TIMEOUT_S)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(TIMEOUT_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(TIMEOUT_S)
        self._loop.close()

    async def _start(self) -> str:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1 << 20)
        host, port = self._server.sockets[0].getsockname()[:2]
        return f"{host}:{port}"

    async def _stop(self) -> None:
        self._server.close()
        tasks = [each for each in asyncio.all_tasks() if each is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._answer(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # Envoy has closed the connection, perhaps within a request that is refused
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, _ = head[0].split(" ")
        pairs = (line.partition(":") for line in head[1:] if line)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        body = await _body(reader, headers)
        self.headers.append({**headers, ":method": method, ":path": path})
        self.bodies.append(body)
        request = json.loads(body) if body else {}
        if request.get("stream"):
            await self._stream(writer, request)
        else:
            _whole(writer, *_completion(request))
        await writer.drain()
        return headers.get("connection", "").lower() != "close"

    async def _stream(self, writer: asyncio.StreamWriter, request: dict[str, Any]) -> None:
        """Streams an answer, one event in each chunk."""
        events = _events(request)
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
            b"transfer-encoding: chunked\r\n\r\n"
        )
        for index, event in enumerate(events):
            if index == len(events) // 2 and _said(request).startswith("wait"):
                await asyncio.to_thread(self.go_on.wait, TIMEOUT_S)
            data = f"data: {event}\n\n".encode()
            writer.write(b"%x\r\n%s\r\n" % (len(data), data))
            await writer.drain()
        writer.write(b"0\r\n\r\n")


async def _body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if "chunked" not in headers.get("transfer-encoding", ""):
        return await reader.readexactly(min(int(headers.get("content-length", "0")), MAX_BODY))
    body = b""
    while (size := int(await reader.readuntil(b"\r\n"), 16)) and len(body) < MAX_BODY:
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readexactly(2)
    return body


def _said(request: dict[str, Any]) -> str:
    messages = request.get("messages") or [{}]
    return str(messages[-1].get("content", ""))


def _completion(request: dict[str, Any]) -> tuple[int, bytes, str]:
    """Returns the status, the body and the media type of an answer."""
    said = _said(request)
    if not request:
        return 200, json.dumps({"object": "list", "data": []}).encode(), "application/json"
    if said.startswith("raw:"):  # tests say themselves what the upstream answers
        status, media_type, body = said.removeprefix("raw:").split("|", 2)
        return int(status), body.encode(), media_type
    message: dict[str, Any] = {"role": "assistant", "content": f"You said: {said}"}
    if request.get("tools") and "database" in said:
        sql = "SELECT name FROM users WHERE id = 1 UNION SELECT password FROM users"
        function = {"name": "run_sql", "arguments": json.dumps({"sql": sql})}
        calls = [{"id": "call_1", "type": "function", "function": function}]
        message = {"role": "assistant", "content": None, "tool_calls": calls}
    if "key" in said:
        message["content"] = "".join(_CHUNKS)
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return (
        200,
        json.dumps(_document(request, "chat.completion", [choice])).encode(),
        "application/json",
    )


def _document(request: dict[str, Any], kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
    model = request.get("model", "")
    return {"id": "chatcmpl-1", "object": kind, "created": 1, "model": model, "choices": choices}


def _whole(writer: asyncio.StreamWriter, status: int, body: bytes, media_type: str) -> None:
    head = (
        f"HTTP/1.1 {status} OK\r\ncontent-type: {media_type}\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body)


def _events(request: dict[str, Any]) -> list[str]:
    """Returns the data of the events of a streamed answer."""
    said = _said(request)
    texts = _CHUNKS if "key" in said else ("You said: ", *(f"{word} " for word in said.split(" ")))
    deltas = [{"role": "assistant", "content": ""}, *({"content": text} for text in texts)]
    choices: list[dict[str, Any]] = [
        {"index": 0, "delta": delta, "finish_reason": None} for delta in deltas
    ]
    choices.append({"index": 0, "delta": {}, "finish_reason": "stop"})
    documents = [_document(request, "chat.completion.chunk", [choice]) for choice in choices]
    return [*map(json.dumps, documents), "[DONE]"]
