"""Several worker processes that share the ports (`PDP_WORKERS`).

The parent starts the same command again for each worker, marked by an inherited socket; never by
a fork, which gRPC does not survive. The kernel spreads connections over the workers
(SO_REUSEPORT). A policy that is written through one is in force in the others at their next look
at the store. The parent restarts a worker that dies, and passes signals on.

Over the socket a worker says once that it serves; its end tells either side that the other is
gone, so that no worker outlives its parent.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import structlog

from pdp.config import split_address
from pdp.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pdp.config import Settings

MARK: Final = "_PDP_WORKER_FD"
"""Environment variable that makes a worker: the number of its socket."""

MAX_DEATHS: Final = 5
WINDOW_S: Final = 60.0
"""A worker that dies more often than `MAX_DEATHS` times within `WINDOW_S` ends the server."""

FIRST_BACKOFF_S: Final = 0.1
MAX_BACKOFF_S: Final = 5.0

KILL_AFTER_S: Final = 5.0
"""What workers get beyond the time to drain before they are killed."""

EX_SOFTWARE: Final = 70

_log: Final = structlog.get_logger("pdp.supervisor")


class Worker:
    """This process, where a parent has started it as a worker."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel

    @classmethod
    def of_environment(cls) -> Worker | None:
        """Returns the worker that this process is; None where it is none."""
        number = os.environ.pop(MARK, None)
        if number is None:
            return None
        channel = socket.socket(fileno=int(number))
        channel.set_inheritable(False)
        return cls(channel)

    def watch(self, stop: asyncio.Event) -> None:
        """Sets `stop` once the parent is gone, so that the worker drains and ends."""
        loop = asyncio.get_running_loop()

        def gone() -> None:
            loop.remove_reader(self._channel)
            stop.set()

        loop.add_reader(self._channel, gone)

    def announce(self, up: Mapping[str, Any]) -> None:
        """Tells the parent that this worker serves."""
        self._channel.sendall(json.dumps(up).encode() + b"\n")

    def close(self) -> None:
        """Ends the connection: to the parent this worker is gone."""
        self._channel.close()


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


class _Process:
    """One worker, as its parent sees it."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer
        self._asked_to_end = False

    @classmethod
    async def start(cls) -> _Process:
        """Starts this process's own command again, as a worker."""
        ours, theirs = socket.socketpair()
        with theirs:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *sys.orig_argv[1:],
                env={**os.environ, MARK: str(theirs.fileno())},
                pass_fds=(theirs.fileno(),),
                # Out of the terminal's group: its Ctrl-C comes to the parent, which passes it on.
                process_group=0,
            )
        return cls(process, *await asyncio.open_connection(sock=ours))

    async def ready(self) -> dict[str, Any] | None:
        """Returns what the worker says when it serves; None where it ends before."""
        line = await self._reader.readline()
        return json.loads(line) if line else None

    async def wait(self) -> int:
        """Returns the exit code, once there is one; 128 and the number for a signal.

        One that is ended before it could take our SIGTERM for the wish that it is, ends well.
        """
        code = await self._process.wait()
        self._writer.close()
        if code == -signal.SIGTERM and self._asked_to_end:
            return 0
        return code if code >= 0 else 128 - code

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, number: int) -> None:
        """Sends a signal, unless the worker has ended already."""
        self._asked_to_end |= number == signal.SIGTERM
        if self._process.returncode is None:
            self._process.send_signal(number)


class _Fleet:
    """All workers."""

    def __init__(self, settings: Settings) -> None:
        self._count = settings.workers
        self._patience_s = settings.drain_s + KILL_AFTER_S
        self._running: set[_Process] = set()
        self._stop = asyncio.Event()

    async def run(self, announce: Callable[[Mapping[str, Any]], None]) -> int:
        """Starts the workers, keeps them running, and ends them."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal, number)
        # The first one alone: whatever does not allow a start is then said once.
        first = await self._start()
        ready = await first.ready()
        if ready is None:
            return await first.wait() or EX_SOFTWARE
        others = [] if self._stop.is_set() else await self._start_others()
        keepers = [asyncio.create_task(self._keep(each)) for each in (first, *others)]
        for each in others:
            await each.ready()
        if not self._stop.is_set():
            announce(ready)
        stopping = asyncio.create_task(self._stop.wait())
        done, _ = await asyncio.wait([stopping, *keepers], return_when=asyncio.FIRST_COMPLETED)
        self._stop.set()
        code = await self._end(keepers)
        return code if stopping in done else EX_SOFTWARE

    async def _start(self) -> _Process:
        worker = await _Process.start()
        self._running.add(worker)
        return worker

    async def _start_others(self) -> list[_Process]:
        return [await self._start() for _ in range(self._count - 1)]

    async def _keep(self, worker: _Process) -> int:
        """Replaces a worker whenever it dies, unless that happens too often; returns its code."""
        deaths: deque[float] = deque()
        while True:
            code = await worker.wait()
            self._running.discard(worker)
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
            worker = await self._start()
            if self._stop.is_set():
                worker.send(signal.SIGTERM)
            elif await worker.ready() is not None:
                _log.info("a worker serves again", pid=worker.pid)

    async def _end(self, keepers: list[asyncio.Task[int]]) -> int:
        """Lets the workers drain, kills those that do not end; returns the worst code."""
        for worker in self._running:
            worker.send(signal.SIGTERM)
        _, late = await asyncio.wait(keepers, timeout=self._patience_s)
        for worker in set(self._running) if late else ():
            _log.error("a worker did not drain in time and is killed", pid=worker.pid)
            worker.send(signal.SIGKILL)
        return max(await asyncio.gather(*keepers), default=0)

    def _on_signal(self, number: int) -> None:
        if self._stop.is_set():
            for worker in self._running:
                worker.send(signal.SIGKILL)
            os._exit(128 + number)
        self._stop.set()
