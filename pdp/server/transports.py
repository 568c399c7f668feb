"""Starts both transports, and drains them so that no call is lost."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Final

from pdp.config import split_address
from pdp.transport.grpc.fronts import create_front
from pdp.transport.http.server import HttpServer

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    from pdp.config import Settings
    from pdp.server.served import Served
    from pdp.transport.grpc.fronts import Front
    from pdp.transport.http.app import HealthChecks
    from pdp.transport.metrics import Metrics
    from pdp.transport.tls import Tls

IDLE_S: Final = 0.1
"""If no call ends for this long, the server assumes that its clients have gone elsewhere."""


@dataclass(frozen=True, slots=True)
class Transports:
    """The running servers, and their addresses with the actual ports."""

    grpc: Front
    http: HttpServer
    grpc_address: str
    http_address: str
    metrics: Metrics

    async def drain(self, seconds: float) -> None:
        """Reports NOT_SERVING, and stops both servers; running calls get `seconds`.

        For up to half of that time, new calls are still served. Load balancers need a moment to
        notice, and a call that arrives just when a server stops listening gets no clean refusal.
        """
        begin = time.monotonic()
        self.grpc.set_serving(False)
        self.http.start_draining()
        calls, max_wait_s = -1, seconds / 2
        while self.metrics.completed_calls != calls and time.monotonic() - begin < max_wait_s:
            calls = self.metrics.completed_calls
            await asyncio.sleep(min(IDLE_S, max_wait_s))
        remaining_s = max(0.0, seconds - (time.monotonic() - begin))
        await asyncio.gather(self.grpc.stop(remaining_s), self.http.stop(remaining_s))


async def start_transports(
    stack: AsyncExitStack, settings: Settings, served: Served, readiness: HealthChecks
) -> Transports:
    """Starts both transports; `stack` stops them.

    Raises:
        ConfigError: an address, a TLS file or the gRPC front cannot be used; the
            message says what to do.
    """
    tls = _tls(settings)
    if tls is not None:
        tls.measure(served.metrics)
        stack.push_async_callback(cancel, asyncio.create_task(tls.watch()))
    grpc = create_front(
        settings.grpc_server,
        served.methods,
        served.endpoints,
        settings.workers,
        served.admissions,
        tls=tls is not None,
        client_certificates=settings.tls_client_ca_file is not None,
    )
    port = await grpc.start(settings.grpc_listen, tls)
    stack.push_async_callback(grpc.stop, 0)
    http = HttpServer(
        served.methods,
        served.endpoints,
        served.metrics,
        readiness,
        loopback_only=settings.auth in {"dev", "local-pep"},
        workers=settings.workers,
        tls=tls,
        admissions=served.admissions,
        routes=served.routes,
        console=resources.files("pdp.console") / "dist" if settings.console == "on" else None,
    )
    http_address = await http.start(settings.http_listen)
    stack.push_async_callback(http.stop, 0)
    grpc_address = _with_port(settings.grpc_listen, port)
    return Transports(grpc, http, grpc_address, http_address, served.metrics)


def _tls(settings: Settings) -> Tls | None:
    if settings.tls_cert_file is settings.tls_key_file is settings.tls_client_ca_file is None:
        return None
    from pdp.transport.tls import Tls  # noqa: PLC0415 - a slow import, only for TLS
    from pdp.transport.tls_files import TlsFiles  # noqa: PLC0415 - as above

    return Tls(TlsFiles.from_settings(settings))


def _with_port(address: str, port: int) -> str:
    if address.startswith("unix:"):
        return address
    host, _ = split_address(address)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def cancel(task: asyncio.Task[None]) -> None:
    """Cancels a task, and waits until it has ended."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
