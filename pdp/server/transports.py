"""Both transports as one: started, and drained so that no call is lost on the way."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pdp.config import split_address
from pdp.transport.grpc.server import GrpcServer
from pdp.transport.http.server import HttpServer

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    from pdp.config import Settings
    from pdp.server.wiring import Wiring
    from pdp.transport.http.app import HealthChecks
    from pdp.transport.metrics import Metrics
    from pdp.transport.tls import Tls

QUIET_S: Final = 0.1
"""No call has ended for so long: those who were to leave have left."""


@dataclass(frozen=True, slots=True)
class Transports:
    """The servers that listen, and where."""

    grpc: GrpcServer
    http: HttpServer
    grpc_address: str
    http_address: str
    metrics: Metrics

    async def drain(self, seconds: float) -> None:
        """Says NOT_SERVING, and ends both; calls under way get `seconds`.

        Calls that still come are served for half of that: a call that arrives just when a server
        stops listening is neither answered nor cleanly refused, and balancers need a moment.
        """
        begin = time.monotonic()
        self.grpc.set_serving(False)
        self.http.leave()
        total, patience_s = -1, seconds / 2
        while self.metrics.total != total and time.monotonic() - begin < patience_s:
            total = self.metrics.total
            await asyncio.sleep(min(QUIET_S, patience_s))
        left = max(0.0, seconds - (time.monotonic() - begin))
        await asyncio.gather(self.grpc.stop(left), self.http.stop(left))


async def listening(
    stack: AsyncExitStack, settings: Settings, wiring: Wiring, readiness: HealthChecks
) -> Transports:
    """Starts both transports; `stack` ends them.

    Raises:
        ConfigError: an address or a file of TLS cannot be used; it says what to do.
    """
    tls = _tls(settings)
    if tls is not None:
        tls.measure(wiring.metrics)
        stack.push_async_callback(cancel, asyncio.create_task(tls.watch()))
    grpc = GrpcServer(
        wiring.methods,
        wiring.endpoints,
        settings.workers,
        wiring.admissions,
        certified=settings.tls_client_ca_file is not None,
    )
    port = await grpc.start(settings.grpc_listen, tls)
    stack.push_async_callback(grpc.stop, 0)
    http = HttpServer(
        wiring.methods,
        wiring.endpoints,
        wiring.metrics,
        readiness,
        loopback_only=settings.auth == "dev",
        workers=settings.workers,
        tls=tls,
        admissions=wiring.admissions,
    )
    http_address = await http.start(settings.http_listen)
    stack.push_async_callback(http.stop, 0)
    grpc_address = _with_port(settings.grpc_listen, port)
    return Transports(grpc, http, grpc_address, http_address, wiring.metrics)


def _tls(settings: Settings) -> Tls | None:
    if settings.tls_cert_file is settings.tls_key_file is settings.tls_client_ca_file is None:
        return None
    from pdp.transport.tls import Tls  # noqa: PLC0415 - takes time that plaintext need not
    from pdp.transport.tls_files import TlsFiles  # noqa: PLC0415 - as above

    return Tls(TlsFiles.of(settings))


def _with_port(address: str, port: int) -> str:
    if address.startswith("unix:"):
        return address
    host, _ = split_address(address)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def cancel(task: asyncio.Task[None]) -> None:
    """Cancels a task, and waits for its end."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
