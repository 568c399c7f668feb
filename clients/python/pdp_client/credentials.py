"""Adds the credential to each call of a channel."""

from __future__ import annotations

import os
from typing import Any

import grpc

Metadata = tuple[tuple[str, str], ...]


def credential_metadata(api_key: str | None, token: str | None) -> Metadata:
    """Returns the metadata that carries the credential; empty if there is none.

    If both arguments are None, `PDP_API_KEY` and `PDP_TOKEN` are read from the environment.

    Args:
        api_key: an API key.
        token: a signed token (JWT).

    Raises:
        ValueError: both an API key and a token are set.
    """
    if api_key is None and token is None:
        api_key, token = os.environ.get("PDP_API_KEY"), os.environ.get("PDP_TOKEN")
    if api_key and token:
        raise ValueError("set an API key or a token, not both")
    if token:
        return (("authorization", f"Bearer {token}"),)
    return (("x-api-key", api_key),) if api_key else ()


class _CallDetails(grpc.ClientCallDetails):
    """The details of a call with additional metadata."""

    def __init__(self, details: Any, metadata: Metadata) -> None:
        self.method = details.method
        self.timeout = details.timeout
        self.metadata = (*(details.metadata or ()), *metadata)
        self.credentials = details.credentials
        self.wait_for_ready = details.wait_for_ready
        self.compression = getattr(details, "compression", None)


class CredentialInterceptor(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    """Sends the metadata with each call."""

    def __init__(self, metadata: Metadata) -> None:
        self._metadata = metadata

    def intercept_unary_unary(
        self, continuation: Any, client_call_details: Any, request: Any
    ) -> Any:
        """Starts a call with one response."""
        return continuation(_CallDetails(client_call_details, self._metadata), request)

    def intercept_unary_stream(
        self, continuation: Any, client_call_details: Any, request: Any
    ) -> Any:
        """Starts a call with a stream of responses."""
        return continuation(_CallDetails(client_call_details, self._metadata), request)

    def intercept_stream_stream(
        self, continuation: Any, client_call_details: Any, request_iterator: Any
    ) -> Any:
        """Starts a call with streams in both directions."""
        return continuation(_CallDetails(client_call_details, self._metadata), request_iterator)


class _AsyncInterceptor:
    def __init__(self, metadata: Metadata) -> None:
        self._metadata = metadata

    def add_metadata(self, details: Any) -> Any:
        metadata = grpc.aio.Metadata(*(details.metadata or ()), *self._metadata)
        return details._replace(metadata=metadata)


class _UnaryUnary(_AsyncInterceptor, grpc.aio.UnaryUnaryClientInterceptor):
    async def intercept_unary_unary(
        self, continuation: Any, client_call_details: Any, request: Any
    ) -> Any:
        return await continuation(self.add_metadata(client_call_details), request)


class _UnaryStream(_AsyncInterceptor, grpc.aio.UnaryStreamClientInterceptor):
    async def intercept_unary_stream(
        self, continuation: Any, client_call_details: Any, request: Any
    ) -> Any:
        return await continuation(self.add_metadata(client_call_details), request)


class _StreamStream(_AsyncInterceptor, grpc.aio.StreamStreamClientInterceptor):
    async def intercept_stream_stream(
        self, continuation: Any, client_call_details: Any, request_iterator: Any
    ) -> Any:
        return await continuation(self.add_metadata(client_call_details), request_iterator)


def async_interceptors(metadata: Metadata) -> list[Any]:
    """Returns the interceptors of a `grpc.aio` channel that send `metadata` with each call."""
    if not metadata:
        return []
    return [interceptor(metadata) for interceptor in (_UnaryUnary, _UnaryStream, _StreamStream)]
