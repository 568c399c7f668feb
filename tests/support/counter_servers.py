"""Real servers for shared counters of limits: Redis, which speaks Valkey's protocol."""

from __future__ import annotations

import signal
import socket
import subprocess
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from valkey import Valkey

from demo.ports import free_port
from demo.programs import Unavailable
from demo.valkey import valkey_program
from tests.support.program_environments import unavailable
from tests.support.servers import TIMEOUT_S
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def counter_program() -> str:
    """Returns the program. If it is not installed, the test is skipped; in CI it fails."""
    try:
        return valkey_program()
    except Unavailable as error:
        unavailable(f"shared counters: {error}")


class CounterProcess:
    """A server of shared counters in a process of its own, on a port that it keeps.

    Attributes:
        port: its port on loopback.
        process: the process; None while it does not run.
    """

    def __init__(self, folder: Path, *flags: str, tls: bool = False) -> None:
        self._folder = folder
        self._flags = flags
        self._tls = tls
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its URL, without credentials and options."""
        return f"{'valkeys' if self._tls else 'valkey'}://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Starts it, and waits until it accepts connections."""
        self._folder.mkdir(parents=True, exist_ok=True)
        ports = ("--port", "0", "--tls-port") if self._tls else ("--port",)
        self.process = subprocess.Popen(
            [
                counter_program(),
                *(*ports, str(self.port), "--bind", "127.0.0.1", "--dir", str(self._folder)),
                *("--save", "", "--appendonly", "no", "--daemonize", "no", "--loglevel", "warning"),
                *self._flags,
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        wait_until(self._accepts, "the server of the counters accepts connections")

    def _accepts(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, "the server of the counters has ended"
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.port)) == 0

    @contextmanager
    def admin(self) -> Iterator[Any]:
        """Yields a client of the server, whose own types are too narrow."""
        client: Any = Valkey(port=self.port, socket_timeout=TIMEOUT_S)
        try:
            yield client
        finally:
            client.close()

    def pause(self) -> None:
        """Stops the process: connections stay open, and nothing is answered."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Lets the process go on."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """Ends the process without warning."""
        if self.process is not None:
            self._signal(signal.SIGKILL)
            self.process.wait(TIMEOUT_S)
            self.process = None

    def _signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)


@contextmanager
def counter_server(folder: Path, *flags: str, tls: bool = False) -> Iterator[CounterProcess]:
    """Runs a server of shared counters.

    Args:
        folder: its working directory.
        *flags: more flags of the program.
        tls: whether it speaks TLS only; the flags name its files.
    """
    server = CounterProcess(folder, *flags, tls=tls)
    server.start()
    try:
        yield server
    finally:
        with suppress(ProcessLookupError, AssertionError):
            server.resume()
        server.kill()
