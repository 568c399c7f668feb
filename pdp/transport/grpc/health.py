"""`grpc.health.v1`, with watches that end when the server stops.

The library's own servicer keeps a watch open until its client closes it. A watch is a running call,
so one watch would delay a drain until its deadline.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

_RESPONSE: Final = health_pb2.HealthCheckResponse


class HealthService(health_pb2_grpc.HealthServicer):  # type: ignore[misc] # the library has no types
    """Reports whether the server and each of its services accept calls."""

    def __init__(self, services: Iterable[str]) -> None:
        """Args:
        services: the full names of the services. `""`, the server itself, is always included.
        """
        self._services = frozenset(("", *services))
        self._serving = False
        self._stopped = False
        self._changed = asyncio.Event()

    def set_serving(self, serving: bool) -> None:
        """Sets the status, and reports it to all watches."""
        self._serving = serving
        self._notify()

    def end(self) -> None:
        """Ends all watches, after each has sent the last status."""
        self._stopped = True
        self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _status(self, service: str) -> int:
        if service not in self._services:
            return int(_RESPONSE.SERVICE_UNKNOWN)
        return int(_RESPONSE.SERVING if self._serving else _RESPONSE.NOT_SERVING)

    async def Check(  # noqa: N802 - the contract's name
        self, request: health_pb2.HealthCheckRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> health_pb2.HealthCheckResponse:
        """Returns the status; NOT_FOUND if the server does not have the service."""
        if request.service not in self._services:
            await context.abort(grpc.StatusCode.NOT_FOUND, "the server does not have this service")
        return _RESPONSE(status=self._status(request.service))

    async def List(  # noqa: N802 - the contract's name
        self, _request: health_pb2.HealthListRequest, _context: grpc.aio.ServicerContext[Any, Any]
    ) -> health_pb2.HealthListResponse:
        """Returns the status of the server and of each service."""
        statuses = {name: _RESPONSE(status=self._status(name)) for name in self._services}
        return health_pb2.HealthListResponse(statuses=statuses)

    async def Watch(  # noqa: N802 - the contract's name
        self, request: health_pb2.HealthCheckRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        """Sends the status now and whenever it changes."""
        last = None
        while True:
            changed, status = self._changed, self._status(request.service)
            if status != last:
                yield _RESPONSE(status=status)
                last = status
            elif self._stopped:
                return
            else:
                await changed.wait()
