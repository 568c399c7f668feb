"""Several worker processes that share the ports (`PDP_WORKERS`).

The parent starts the same command again for each worker, marked by an inherited socket; never by
a fork, which gRPC does not survive. The kernel spreads connections over the workers
(SO_REUSEPORT). A policy that is written through one is in force in the others at their next look
at the store. The parent restarts a worker that dies, and passes signals on.

What the two say to each other is told in `pdp.server.worker`; what the parent keeps of a worker is
in `pdp.server.worker_process`.
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
from pdp.server.worker_process import Supervised

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pdp.config import Settings
    from pdp.server.worker import Metrics

MAX_DEATHS: Final = 5
WINDOW_S: Final = 60.0
"""A worker that dies more often than `MAX_DEATHS` times within `WINDOW_S` ends the server."""

FIRST_BACKOFF_S: Final = 0.1
MAX_BACKOFF_S: Final = 5.0

KILL_AFTER_S: Final = 5.0
"""What workers get beyond the time to drain before they are killed."""

EX_SOFTWARE: Final = 70

_log: Final = structlog.get_logger("pdp.supervisor")


def supervise(settings: Settings, announce: Callable[[Mapping[str, Any]], None]) -> int:
    """Serves with several workers until a signal says otherwise; returns the exit code.

    Args:
        settings: how to serve; `workers` is more than one.
        announce: called once all workers serve, with what the first one said.

    Raises:
        ConfigError: the addresses cannot be shared, or are taken.

    """
    _check_addresses(settings)
    return asyncio.run(_Fleet(settings).run(announce))


def _check_addresses(settings: Settings) -> None:
    addresses = {
        "PDP_GRPC_LISTEN": settings.grpc_listen,
        "PDP_HTTP_LISTEN": settings.http_listen,
    }
    for name, address in addresses.items():
        alone = f"or set PDP_WORKERS=1 (it is {settings.workers})"
        if address.startswith("unix:"):
            raise ConfigError(
                f"{name} is {address}, and a Unix socket has one listener: "
                f"set it to a host and port that workers can share, {alone}"
            )
        host, port = split_address(address)
        if port == 0:
            raise ConfigError(
                f"{name} is {address}, and each worker would get a port of its own: "
                f"name the port that they share, {alone}"
            )
        _check_free(name, host, port)
    if split_address(settings.grpc_listen)[1] == split_address(settings.http_listen)[1]:
        raise ConfigError("PDP_GRPC_LISTEN and PDP_HTTP_LISTEN have the same port; set another")


def _check_free(name: str, host: str, port: int) -> None:
    # Sockets that share a port do so with those of another server too: it would get half of the
    # calls without anyone noticing. So the port must be free for a socket that does not share.
    try:
        family, kind, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(place)
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {host}:{port}: {error.strerror}; is another server running there? "
            f"Set {name} to another address"
        ) from None


class _Fleet:
    """All workers."""

    def __init__(self, settings: Settings) -> None:
        self._count = settings.workers
        self._patience_s = settings.drain_s + KILL_AFTER_S
        self._running: dict[int, Supervised] = {}
        self._stop = asyncio.Event()

    async def run(self, announce: Callable[[Mapping[str, Any]], None]) -> int:
        """Starts the workers, keeps them running, and ends them."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal, number)
        # The first one alone: whatever does not allow a start is then said once.
        first = await self._start(0)
        ready = await first.ready()
        if ready is None:
            return await first.wait() or EX_SOFTWARE
        others = [] if self._stop.is_set() else await self._start_others()
        keepers = [
            asyncio.create_task(self._keep(number, each))
            for number, each in enumerate((first, *others))
        ]
        for each in others:
            await each.ready()
        if not self._stop.is_set():
            announce(ready)
        stopping = asyncio.create_task(self._stop.wait())
        done, _ = await asyncio.wait([stopping, *keepers], return_when=asyncio.FIRST_COMPLETED)
        self._stop.set()
        code = await self._end(keepers)
        return code if stopping in done else EX_SOFTWARE

    async def _start(self, number: int) -> Supervised:
        worker = await Supervised.start(self._metrics, self._wrote)
        self._running[number] = worker
        return worker

    async def _start_others(self) -> list[Supervised]:
        return [await self._start(number) for number in range(1, self._count)]

    def _wrote(self, writer: Supervised) -> None:
        for worker in self._running.values():
            if worker is not writer:
                worker.tell_of_write()

    async def _metrics(self) -> Metrics:
        """Asks all workers for their metrics; None for one that is not there to answer."""
        running = dict(self._running)
        answers = await asyncio.gather(*(worker.metrics() for worker in running.values()))
        found = dict(zip(running, answers, strict=True))
        return {number: found.get(number) for number in range(self._count)}

    async def _keep(self, number: int, worker: Supervised) -> int:
        """Replaces a worker whenever it dies, unless that happens too often; returns its code."""
        deaths: deque[float] = deque()
        while True:
            code = await worker.wait()
            self._running.pop(number, None)
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
                worker.send(signal.SIGTERM)
            elif await worker.ready() is not None:
                _log.info("a worker serves again", pid=worker.pid)

    async def _end(self, keepers: list[asyncio.Task[int]]) -> int:
        """Lets the workers drain, kills those that do not end; returns the worst code."""
        for worker in self._running.values():
            worker.send(signal.SIGTERM)
        _, late = await asyncio.wait(keepers, timeout=self._patience_s)
        for worker in list(self._running.values()) if late else ():
            _log.error("a worker did not drain in time and is killed", pid=worker.pid)
            worker.send(signal.SIGKILL)
        return max(await asyncio.gather(*keepers), default=0)

    def _on_signal(self, number: int) -> None:
        if self._stop.is_set():
            for worker in self._running.values():
                worker.send(signal.SIGKILL)
            os._exit(128 + number)
        self._stop.set()
