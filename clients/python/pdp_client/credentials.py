"""Puts the credential into every call of a channel."""

from __future__ import annotations

import os
from typing import Any

import grpc

Metadata = tuple[tuple[str, str], ...]


def metadata_of(api_key: str | None, token: str | None) -> Metadata:
    """Returns what is sent with every call.

    Args:
        api_key: an API key; where neither is given, `PDP_API_KEY`, if that is set.
        token: a signed token (JWT); where neither is given, `PDP_TOKEN`, if that is set.

    Raises:
        ValueError: both are given.
    """
    if api_key is None and token is None:
        api_key, token = os.environ.get("PDP_API_KEY"), os.environ.get("PDP_TOKEN")
    if api_key and token:
        raise ValueError("give an API key or a token, not both")
    if token:
        return (("authorization", f"Bearer {token}"),)
    return (("x-api-key", api_key),) if api_key else ()


class _Details(grpc.ClientCallDetails):
    """The details of a call, with more metadata."""

    def __init__(self, details: Any, more: Metadata) -> None:
        self.method = details.method
        self.timeout = details.timeout
        self.metadata = (*(details.metadata or ()), *more)
        self.credentials = details.credentials
        self.wait_for_ready = details.wait_for_ready
        self.compression = getattr(details, "compression", None)


class Credential(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    """Sends metadata with every call."""

    def __init__(self, metadata: Metadata) -> None:
        self._metadata = metadata

    def intercept_unary_unary(
        self, continuation: Any, client_call_details: Any, request: Any
    ) -> Any:
        """Begins a call with one answer."""
        return continuation(_Details(client_call_details, self._metadata), request)

    def intercept_unary_stream(
        self, continuation: Any, client_call_details: Any, request: Any
    ) -> Any:
        """Begins a call with a stream of answers."""
        return continuation(_Details(client_call_details, self._metadata), request)

    def intercept_stream_stream(
        self, continuation: Any, client_call_details: Any, request_iterator: Any
    ) -> Any:
        """Begins a call with streams both ways."""
        return continuation(_Details(client_call_details, self._metadata), request_iterator)


class _Sending:
    def __init__(self, metadata: Metadata) -> None:
        self._metadata = metadata

    def more(self, details: Any) -> Any:
        metadata = grpc.aio.Metadata(*(details.metadata or ()), *self._metadata)
        return details._replace(metadata=metadata)


class _UnaryUnary(_Sending, grpc.aio.UnaryUnaryClientInterceptor):
    async def intercept_unary_unary(
        self, continuation: Any, client_call_details: Any, request: Any
    ) -> Any:
        return await continuation(self.more(client_call_details), request)


class _UnaryStream(_Sending, grpc.aio.UnaryStreamClientInterceptor):
    async def intercept_unary_stream(
        self, continuation: Any, client_call_details: Any, request: Any
    ) -> Any:
        return await continuation(self.more(client_call_details), request)


class _StreamStream(_Sending, grpc.aio.StreamStreamClientInterceptor):
    async def intercept_stream_stream(
        self, continuation: Any, client_call_details: Any, request_iterator: Any
    ) -> Any:
        return await continuation(self.more(client_call_details), request_iterator)


def for_async(metadata: Metadata) -> list[Any]:
    """Returns the interceptors of a channel of `grpc.aio` that sends `metadata`."""
    if not metadata:
        return []
    return [each(metadata) for each in (_UnaryUnary, _UnaryStream, _StreamStream)]
