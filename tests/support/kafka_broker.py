"""A fake Kafka broker with one topic and one partition, as far as a producer needs it.

It uses real sockets and the real protocol, and sends errors on demand.
"""

from __future__ import annotations

import asyncio
import struct
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from aiokafka.protocol.admin import ApiVersionResponse_v0
from aiokafka.protocol.metadata import MetadataResponse_v1
from aiokafka.protocol.produce import ProduceRequest_v3, ProduceResponse_v3
from aiokafka.protocol.transaction import InitProducerIdResponse_v0
from aiokafka.protocol.types import Int16, Int32, String
from aiokafka.record.memory_records import MemoryRecords

if TYPE_CHECKING:
    from types import TracebackType

PRODUCE, METADATA, API_VERSIONS, INIT_PRODUCER_ID = 0, 3, 18, 22
VERSIONS: Final = {PRODUCE: 3, METADATA: 1, API_VERSIONS: 0, INIT_PRODUCER_ID: 0}


class Message(NamedTuple):
    """A message from a producer."""

    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]
    producer_id: int


class Broker:
    """The broker.

    Attributes:
        messages: the acknowledged messages.
        errors: error codes for the next produce requests, in order.
        has_topic: whether the topic exists.
    """

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.messages: list[Message] = []
        self.errors: list[int] = []
        self.has_topic = True
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self.port = 0

    @property
    def address(self) -> str:
        """The address that it listens on."""
        return f"127.0.0.1:{self.port}"

    async def __aenter__(self) -> Broker:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while True:
                (size,) = struct.unpack(">i", await reader.readexactly(4))
                request = BytesIO(await reader.readexactly(size))
                api_key, _ = Int16.decode(request), Int16.decode(request)
                correlation_id = Int32.decode(request)
                String("utf-8").decode(request)
                body = Int32.encode(correlation_id) + self._respond(api_key, request)
                writer.write(struct.pack(">i", len(body)) + body)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()
            self._writers.discard(writer)

    def _respond(self, api_key: int, request: BytesIO) -> bytes:
        response: Any
        if api_key == API_VERSIONS:
            versions = [(key, version, version) for key, version in VERSIONS.items()]
            response = ApiVersionResponse_v0(0, versions)
        elif api_key == METADATA:
            topics = [(0, self.topic, False, [(0, 0, 0, [0], [0])])] if self.has_topic else []
            response = MetadataResponse_v1([(0, "127.0.0.1", self.port, None)], 0, topics)
        elif api_key == INIT_PRODUCER_ID:
            response = InitProducerIdResponse_v0(0, 0, 4711, 0)
        else:
            response = self._produce(ProduceRequest_v3.decode(request))
        encoded: bytes = response.encode()
        return encoded

    def _produce(self, request: Any) -> Any:
        code = self.errors.pop(0) if self.errors else 0
        [(topic, [(partition, data)])] = request.topics
        offset = len(self.messages)
        if not code:
            records = MemoryRecords(data)
            while records.has_next():
                batch = records.next_batch()
                self.messages += [
                    Message(each.key, each.value, each.headers, batch.producer_id) for each in batch
                ]
        return ProduceResponse_v3([(topic, [(partition, code, offset, -1)])], 0)
