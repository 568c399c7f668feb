"""The head and the body of a response leave together."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from pdp.transport.http.response_writer import ResponseWriter


class Transport:
    """Notes what is written."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.writes.append(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


class TestResponseWriter:
    def writer(self) -> tuple[ResponseWriter, Transport, SimpleNamespace]:
        transport = Transport()
        cycle: Any = SimpleNamespace(transport=transport, response_started=False)
        return ResponseWriter(cycle, asyncio.get_running_loop()), transport, cycle

    async def test_the_head_leaves_with_the_body(self) -> None:
        writer, transport, cycle = self.writer()
        cycle.response_started = True
        writer.write(b"head ")
        writer.write(b"body ")
        assert transport.writes == [b"head body "]
        writer.write(b"more")
        await asyncio.sleep(0)
        assert transport.writes == [b"head body ", b"more"]

    async def test_the_head_of_a_stream_does_not_wait_for_its_first_line(self) -> None:
        writer, transport, cycle = self.writer()
        cycle.response_started = True
        writer.write(b"head")
        assert transport.writes == []
        await asyncio.sleep(0)
        assert transport.writes == [b"head"]
        writer.write(b"line")
        assert transport.writes == [b"head", b"line"]

    async def test_a_permission_to_go_on_leaves_at_once(self) -> None:
        writer, transport, _ = self.writer()
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert transport.writes == [b"HTTP/1.1 100 Continue\r\n\r\n"]

    async def test_a_head_without_a_body_is_written_before_the_connection_closes(self) -> None:
        writer, transport, cycle = self.writer()
        cycle.response_started = True
        writer.write(b"head")
        writer.close()
        assert (transport.writes, writer.is_closing()) == ([b"head"], True)
        await asyncio.sleep(0)
        assert transport.writes == [b"head"]
