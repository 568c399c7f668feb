"""`grpc.health.v1`, with watches that end when the server does.

The library's own servicer keeps a watch open for as long as its client likes. A watch is a call
under way, so one would hold a drain for all the time that it may take.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

_ANSWER: Final = health_pb2.HealthCheckResponse


class HealthService(health_pb2_grpc.HealthServicer):  # type: ignore[misc] # the library has no types
    """Says whether the server and each of its services may be sent calls."""

    def __init__(self, services: Iterable[str]) -> None:
        """Args:
        services: by their full names; `""`, the server itself, is one without being named.
        """
        self._services = frozenset(("", *services))
        self._serving = False
        self._ended = False
        self._changed = asyncio.Event()

    def set_serving(self, serving: bool) -> None:
        """Sets what is said from now on, to those who watch too."""
        self._serving = serving
        self._wake()

    def end(self) -> None:
        """Ends all watches, once each has been told what is the case."""
        self._ended = True
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _status(self, service: str) -> int:
        if service not in self._services:
            return int(_ANSWER.SERVICE_UNKNOWN)
        return int(_ANSWER.SERVING if self._serving else _ANSWER.NOT_SERVING)

    async def Check(  # noqa: N802 - the contract's name
        self, request: health_pb2.HealthCheckRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> health_pb2.HealthCheckResponse:
        """Answers how it is now; NOT_FOUND for a service that is not served."""
        if request.service not in self._services:
            await context.abort(grpc.StatusCode.NOT_FOUND, "there is no such service")
        return _ANSWER(status=self._status(request.service))

    async def Watch(  # noqa: N802 - the contract's name
        self, request: health_pb2.HealthCheckRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        """Answers how it is now, and again whenever that changes."""
        told = None
        while True:
            changed, status = self._changed, self._status(request.service)
            if status != told:
                yield _ANSWER(status=status)
                told = status
            elif self._ended:
                return
            else:
                await changed.wait()
