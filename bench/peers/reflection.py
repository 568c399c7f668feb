"""Messages of other products' gRPC services, from the descriptors that their servers give out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf import descriptor_pool, json_format, message_factory
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

if TYPE_CHECKING:
    from collections.abc import Mapping


class Method:
    """A unary method of a running server."""

    def __init__(self, port: int, service: str, method: str) -> None:
        """Reads the descriptors of `service` from the server on `port` of 127.0.0.1."""
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            pool = descriptor_pool.DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
            found = pool.FindServiceByName(service).methods_by_name[method]
            self._request: Any = message_factory.GetMessageClass(found.input_type)
            self._response: Any = message_factory.GetMessageClass(found.output_type)
        self.path = f"/{service}/{method}"

    def encode(self, body: Mapping[str, Any]) -> bytes:
        """Returns a request, given as JSON values, as bytes."""
        message = json_format.ParseDict(dict(body), self._request())
        return bytes(message.SerializeToString())

    def decode(self, raw: bytes) -> Any:
        """Returns an answer as a message."""
        return self._response.FromString(raw)
