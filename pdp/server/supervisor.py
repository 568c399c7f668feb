"""Runs several worker processes that share the ports (`PDP_WORKERS`).

The parent starts its own command again for each worker, and passes a socket to it. It never forks,
since gRPC does not survive a fork. The kernel distributes connections among the workers
(SO_REUSEPORT). A policy that one worker writes is in force in the others after they have read the
store again. The parent restarts a worker that dies, and passes signals on.

`pdp.server.worker` describes the messages between parent and worker, `pdp.server.worker_process`
the parent's view of one worker.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import structlog

from pdp.config import split_address
from pdp.errors import ConfigError
from pdp.server.worker_process import WorkerProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pdp.config import Settings
    from pdp.server.worker import WorkerMetrics

MAX_DEATHS: Final = 5
WINDOW_S: Final = 60.0
"""If a worker dies more than `MAX_DEATHS` times within `WINDOW_S`, the server ends."""

FIRST_BACKOFF_S: Final = 0.1
MAX_BACKOFF_S: Final = 5.0

KILL_AFTER_S: Final = 5.0
"""How long workers may run after the time to drain before they are killed."""

EX_SOFTWARE: Final = 70

_log: Final = structlog.get_logger("pdp.supervisor")


def supervise(settings: Settings, announce: Callable[[Mapping[str, Any]], None]) -> int:
    """Serves with several workers until a signal; returns the exit code.

    Args:
        settings: the settings; `workers` is more than one.
        announce: called once when all workers serve, with the addresses of the first one.

    Raises:
        ConfigError: the workers cannot share an address, or another server uses it.
    """
    _check_addresses(settings)
    return asyncio.run(_WorkerPool(settings).run(announce))


def _check_addresses(settings: Settings) -> None:
    addresses = {
        "PDP_GRPC_LISTEN": settings.grpc_listen,
        "PDP_HTTP_LISTEN": settings.http_listen,
    }
    for name, address in addresses.items():
        alternative = f"or set PDP_WORKERS=1 (it is {settings.workers})"
        if address.startswith("unix:"):
            raise ConfigError(
                f"{name} is {address}, and a Unix socket has one listener. "
                f"Set a host and port that workers can share, {alternative}"
            )
        host, port = split_address(address)
        if port == 0:
            raise ConfigError(
                f"{name} is {address}, and each worker would get a port of its own. "
                f"Set the port that they share, {alternative}"
            )
        _check_free(name, host, port)
    if split_address(settings.grpc_listen)[1] == split_address(settings.http_listen)[1]:
        raise ConfigError("PDP_GRPC_LISTEN and PDP_HTTP_LISTEN have the same port. Change one")


def _check_free(name: str, host: str, port: int) -> None:
    # Sockets with SO_REUSEPORT share a port even with another server, which would then get half of
    # the calls unnoticed. So the port must be free for a socket without SO_REUSEPORT.
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise ConfigError(
            f"{name}: cannot listen on {host}:{port}: {error.strerror}; "
            "is another server running there? Set another address"
        ) from None


class _WorkerPool:
    """All workers of a server."""

    def __init__(self, settings: Settings) -> None:
        self._count = settings.workers
        self._stop_timeout_s = settings.drain_s + KILL_AFTER_S
        self._workers: dict[int, WorkerProcess] = {}
        self._stop = asyncio.Event()

    async def run(self, announce: Callable[[Mapping[str, Any]], None]) -> int:
        """Starts the workers, restarts those that die, and stops them; returns the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, self._on_signal, number)
        # Start only one worker first, so that an error that prevents the start is reported once.
        first = await self._start(0)
        up = await first.ready()
        if up is None:
            return await first.wait() or EX_SOFTWARE
        others = [] if self._stop.is_set() else await self._start_others()
        keepers = [
            asyncio.create_task(self._keep_running(number, worker))
            for number, worker in enumerate((first, *others))
        ]
        for worker in others:
            await worker.ready()
        if not self._stop.is_set():
            announce(up)
        stopping = asyncio.create_task(self._stop.wait())
        done, _ = await asyncio.wait([stopping, *keepers], return_when=asyncio.FIRST_COMPLETED)
        self._stop.set()
        code = await self._stop_all(keepers)
        return code if stopping in done else EX_SOFTWARE

    async def _start(self, number: int) -> WorkerProcess:
        worker = await WorkerProcess.start(number, self._metrics, self._on_write)
        self._workers[number] = worker
        return worker

    async def _start_others(self) -> list[WorkerProcess]:
        return [await self._start(number) for number in range(1, self._count)]

    def _on_write(self, writer: WorkerProcess) -> None:
        for worker in self._workers.values():
            if worker is not writer:
                worker.notify_write()

    async def _metrics(self) -> WorkerMetrics:
        """Returns the metrics of all workers; None for a worker that does not run or respond."""
        workers = dict(self._workers)
        pages = await asyncio.gather(*(worker.metrics() for worker in workers.values()))
        by_number = dict(zip(workers, pages, strict=True))
        return {number: by_number.get(number) for number in range(self._count)}

    async def _keep_running(self, number: int, worker: WorkerProcess) -> int:
        """Restarts a worker each time it dies, unless it dies too often; returns its exit code."""
        deaths: deque[float] = deque()
        while True:
            code = await worker.wait()
            self._workers.pop(number, None)
            if self._stop.is_set():
                return code
            deaths.append(time.monotonic())
            while deaths[-1] - deaths[0] > WINDOW_S:
                deaths.popleft()
            if len(deaths) > MAX_DEATHS:
                _log.error("a worker keeps dying; the server ends", code=code)
                return code
            backoff = min(MAX_BACKOFF_S, FIRST_BACKOFF_S * 2 ** (len(deaths) - 1))
            _log.error("a worker died; it is restarted", pid=worker.pid, code=code, after_s=backoff)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), backoff)
                return 0
            worker = await self._start(number)
            if self._stop.is_set():
                worker.send_signal(signal.SIGTERM)
            elif await worker.ready() is not None:
                _log.info("a worker serves again", pid=worker.pid)

    async def _stop_all(self, keepers: list[asyncio.Task[int]]) -> int:
        """Lets the workers drain, and kills those that do not end; returns the highest code."""
        for worker in self._workers.values():
            worker.send_signal(signal.SIGTERM)
        _, late = await asyncio.wait(keepers, timeout=self._stop_timeout_s)
        for worker in list(self._workers.values()) if late else ():
            _log.error("a worker did not drain in time and is killed", pid=worker.pid)
            worker.send_signal(signal.SIGKILL)
        return max(await asyncio.gather(*keepers), default=0)

    def _on_signal(self, number: int) -> None:
        if self._stop.is_set():
            for worker in self._workers.values():
                worker.send_signal(signal.SIGKILL)
            os._exit(128 + number)
        self._stop.set()
