"""Serves the streamable HTTP transport on an address of this machine."""

from __future__ import annotations

import asyncio
import signal
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import uvicorn

from pdp.adapters.mcp.http_proxy import PATH
from pdp.config import is_loopback, split_address
from pdp.errors import ConfigError
from pdp.transport.http.connection import BoundedProtocol, DrainConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pdp.adapters.mcp.http_proxy import McpHttpProxy

BACKLOG: Final = 128
DRAIN_S: Final = 5
"""How long requests may go on after a signal."""

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class _McpUvicorn(uvicorn.Server):
    """uvicorn without its signal handlers."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def run_http(
    proxy: McpHttpProxy,
    address: str,
    announce: Callable[[str], None],
    stop: asyncio.Event | None = None,
) -> None:
    """Serves until a signal arrives, or until `stop` is set.

    Args:
        proxy: the application.
        address: host:port of this machine; port 0 for a free one.
        announce: called with the URL of the endpoint.
        stop: set by the caller to end; None if only signals do.

    Raises:
        ConfigError: the address cannot be used.
    """
    listener = _listen(address)
    config = DrainConfig(
        proxy,
        loop="none",
        http=BoundedProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=DRAIN_S,
    )
    server = _McpUvicorn(config)
    stop = stop or asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, _on_signal, server, stop)
    host, port = listener.getsockname()[:2]
    announce(f"http://[{host}]:{port}{PATH}" if ":" in host else f"http://{host}:{port}{PATH}")
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
        server.should_exit = True
        await serving
    finally:
        stopping.cancel()
        for number in SIGNALS:
            loop.remove_signal_handler(number)


def _on_signal(server: uvicorn.Server, stop: asyncio.Event) -> None:
    # The second signal does not wait for requests in progress.
    server.force_exit = stop.is_set()
    stop.set()


def _listen(address: str) -> socket.socket:
    if not is_loopback(address):
        raise ConfigError(
            f"--listen: {address} is not an address of this machine only. "
            "Use 127.0.0.1:PORT: the proxy asks its clients for no credentials"
        )
    host, port = split_address(address)
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"--listen: cannot listen on {address}: {error.strerror}. Use another port"
        ) from None
    listener.listen(BACKLOG)
    listener.setblocking(False)
    return listener
