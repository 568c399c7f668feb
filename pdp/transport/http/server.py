"""The HTTP server: uvicorn, in the same event loop as the gRPC server."""

from __future__ import annotations

import asyncio
import errno
import socket
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import uvicorn

from pdp.config import split_address
from pdp.errors import ConfigError
from pdp.transport.http.app import HealthChecks, http_app
from pdp.transport.http.connection import BoundedProtocol, DrainConfig
from pdp.transport.http.uvicorn_hooks import check_hooks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from importlib.resources.abc import Traversable

    from starlette.types import ASGIApp

    from pdp.transport.admission import Check
    from pdp.transport.call import Endpoint
    from pdp.transport.http.adapter_routes import AdapterRoute
    from pdp.transport.methods import Method
    from pdp.transport.metrics import Metrics
    from pdp.transport.tls import Tls

_BACKLOG = 2048
_KEEP_ALIVE_S = 75

DEAD_PEER_TIMEOUT_S: Final = 80
"""How long an unreachable peer may hold a connection, as over gRPC."""

HOOKS: Final = {"capture_signals": (), "startup": ("sockets",)}
"""The methods of uvicorn's server that `_Uvicorn` overrides, each with its parameters."""

check_hooks(uvicorn.Server, HOOKS)


class _Uvicorn(uvicorn.Server):
    """uvicorn without its signal handlers: `pdp.server.app` handles signals.

    Attributes:
        started_up: set when the server accepts connections.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.started_up = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.started_up.set()


class HttpServer:
    """Serves the endpoints as JSON over HTTP."""

    def __init__(
        self,
        methods: Mapping[str, Method],
        endpoints: Mapping[str, Endpoint],
        metrics: Metrics,
        health: HealthChecks,
        *,
        loopback_only: bool = True,
        workers: int = 1,
        tls: Tls | None = None,
        admissions: Mapping[str, Check] = {},
        routes: Iterable[AdapterRoute] = (),
        console: Traversable | None = None,
    ) -> None:
        """Args:
        methods: the RPCs by gRPC path.
        endpoints: the guarded endpoint of each RPC, by gRPC path.
        metrics: the metrics that `/metrics` shows.
        health: the checks that `/readyz` shows.
        loopback_only: accept only requests for a loopback name.
        workers: how many processes share the port.
        tls: the certificate and its key; None serves plaintext.
        admissions: the check before the body of a request is read, by gRPC path.
        routes: the routes of adapters.
        console: the directory of the built console; None serves no console.
        """
        app = http_app(
            methods,
            endpoints,
            metrics,
            health,
            loopback_only=loopback_only,
            admissions=admissions,
            routes=routes,
            console=console,
        )
        config = _config(app, tls)
        self._config = config
        self._server = _Uvicorn(config)
        self._workers = workers
        self._task: asyncio.Task[None] | None = None

    async def start(self, address: str) -> str:
        """Listens on `address` (`host:port` or `unix:path`) and returns it with the actual port.

        Raises:
            ConfigError: the server cannot listen on the address.
        """
        listener = _listen(address, shared=self._workers > 1)
        self._task = asyncio.create_task(self._server.serve(sockets=[listener]))
        await self._server.started_up.wait()
        if listener.family == socket.AF_UNIX:
            return address
        host, port = listener.getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def start_draining(self) -> None:
        """Closes each connection after its next response, but still accepts requests."""
        self._config.draining = True
        for connection in list(self._server.server_state.connections):
            connection.shutdown()

    async def stop(self, grace_s: float) -> None:
        """Accepts no new calls, and ends the running ones after `grace_s` seconds."""
        if self._task is None:
            return
        self._config.timeout_graceful_shutdown = max(1, round(grace_s)) if grace_s else 1
        self._server.should_exit = True
        await self._task
        self._task = None


def _config(app: ASGIApp, tls: Tls | None) -> DrainConfig:
    return DrainConfig(
        app,
        loop="none",
        http=BoundedProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        ssl_context_factory=None if tls is None else lambda *_: tls.for_http(),
    )


def _listen(address: str, *, shared: bool) -> socket.socket:
    try:
        if address.startswith("unix:"):
            listener = _listen_unix(address.removeprefix("unix:").removeprefix("//"))
        else:
            host, port = split_address(address)
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            listener = socket.socket(family)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if shared:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            _enable_keepalive(listener)
            listener.bind((host, port))
    except OSError as error:
        raise ConfigError(
            f"PDP_HTTP_LISTEN: cannot listen on {address}: {error.strerror}; "
            "is another server running there? Set another address"
        ) from error
    listener.listen(_BACKLOG)
    listener.setblocking(False)
    return listener


def _enable_keepalive(listener: socket.socket) -> None:
    """Enables TCP keepalive, to detect unreachable peers. Connections inherit it."""
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        (socket.TCP_KEEPIDLE, 60),
        (socket.TCP_KEEPINTVL, 10),
        (socket.TCP_KEEPCNT, (DEAD_PEER_TIMEOUT_S - 60) // 10),
        (socket.TCP_USER_TIMEOUT, DEAD_PEER_TIMEOUT_S * 1000),
    ):
        listener.setsockopt(socket.IPPROTO_TCP, option, value)


def _listen_unix(path: str) -> socket.socket:
    """Binds the path, and replaces a stale socket that no server listens on."""
    listener = socket.socket(socket.AF_UNIX)
    if Path(path).is_socket():
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(path) == 0:
                raise OSError(errno.EADDRINUSE, "another server listens there")
        Path(path).unlink()
    listener.bind(path)
    return listener
