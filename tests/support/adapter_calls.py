"""Calls of the gRPC services that gateways ask: those of Envoy, and ExtMcp of agentgateway.

The metadata is given by name, with `_` for `-`; an empty value is left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pdp._gen.agentgateway import ext_mcp_pb2 as ext
from pdp.adapters.envoy.adapter import methods
from pdp.adapters.envoy.contract import CheckRequest, CheckResponse, ProcessingResponse
from tests.support.servers import TIMEOUT_S

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import grpc
    from google.protobuf.message import Message

CHECK, PROCESS = methods()


def check(channel: grpc.Channel, request: Any, **metadata: str) -> Any:
    """Calls Check; returns the answer."""
    rpc = channel.unary_unary(
        CHECK,
        request_serializer=CheckRequest.SerializeToString,
        response_deserializer=CheckResponse.FromString,
    )
    return rpc(request, timeout=TIMEOUT_S, metadata=_pairs(metadata))


def process(channel: grpc.Channel, messages: Sequence[Any], **metadata: str) -> list[Any]:
    """Calls Process with the messages of a stream; returns the answers."""
    rpc: Any = channel.stream_stream(
        PROCESS,
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=ProcessingResponse.FromString,
    )
    return list(rpc(iter(messages), timeout=TIMEOUT_S, metadata=_pairs(metadata)))


def ext_mcp(channel: grpc.Channel, message: Message, **metadata: str) -> Any:
    """Sends a message about a request or a result of MCP; returns the answer."""
    is_request = isinstance(message, ext.McpRequest)
    name = "CheckRequest" if is_request else "CheckResponse"
    answer: type[Message] = ext.McpRequestResult if is_request else ext.McpResponseResult
    rpc = channel.unary_unary(
        f"/agentgateway.dev.ext_mcp.ExtMcp/{name}",
        request_serializer=type(message).SerializeToString,
        response_deserializer=answer.FromString,
    )
    return rpc(message, timeout=TIMEOUT_S, metadata=_pairs(metadata))


def _pairs(metadata: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple((name.replace("_", "-"), value) for name, value in metadata.items() if value)
