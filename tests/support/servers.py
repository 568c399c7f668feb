"""Real servers for tests: `pdp serve` in a process of its own, on ports that the kernel chooses."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Final

import httpx2

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

TIMEOUT_S: Final = 60.0
"""How long anything is waited for: only what never comes takes so long."""

COMMAND: Final = (sys.executable, "-m", "pdp")


def environment(**settings: str) -> dict[str, str]:
    """Returns this process's environment without its PDP settings, and with `settings`."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PDP_")}
    return {**inherited, **settings}


class Ended(AssertionError):
    """The server ended, though it was to serve."""


@dataclass
class Server:
    """A server, as it was started.

    Attributes:
        process: the process that was started; with several workers, their parent.
        data_dir: where its database lies.
        announced: what it said when it served.
        lines: what it has written to stderr so far.

    """

    process: subprocess.Popen[bytes]
    data_dir: Path
    announced: Mapping[str, Any] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._events: SimpleQueue[dict[str, Any] | None] = SimpleQueue()
        # Someone must read, or the server stands still once the pipe is full.
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def grpc_address(self) -> str:
        """Where it serves gRPC."""
        return str(self.announced["grpc"])

    @property
    def http_url(self) -> str:
        """Where it serves HTTP."""
        return str(self.announced["http"])

    def client(self, tenant: str = "", **headers: str) -> httpx2.Client:
        """Returns an HTTP client that speaks for a tenant; empty for the default one."""
        named = {"X-Tenant-ID": tenant} if tenant else {}
        return httpx2.Client(
            base_url=self.http_url,
            headers={**named, **headers},
            timeout=TIMEOUT_S,
            trust_env=False,
        )

    @property
    def database_url(self) -> str:
        """Its database."""
        return str(self.announced["database"])

    def _read(self) -> None:
        assert self.process.stderr is not None
        for raw in self.process.stderr:
            line = raw.decode()
            self.lines.append(line)
            if line.startswith("{"):
                self._events.put(json.loads(line))
        self._events.put(None)

    def event(self, name: str) -> dict[str, Any]:
        """Waits for the next event of that name on stderr."""
        while True:
            try:
                event = self._events.get(timeout=TIMEOUT_S)
            except Empty:
                raise AssertionError(f"no {name} in time: {self.lines}") from None
            if event is None:
                self._events.put(None)
                raise Ended("".join(self.lines))
            if event["event"] == name:
                return event

    def wait(self) -> int:
        """Returns the exit code, once all that was said has been read."""
        code = self.process.wait(TIMEOUT_S)
        self._reader.join(TIMEOUT_S)
        return code

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.wait()
        if self.process.stderr is not None:
            self.process.stderr.close()


def launch(
    data_dir: Path, *flags: str, command: Sequence[str] = (*COMMAND, "serve"), **settings: str
) -> Server:
    """Starts `pdp serve` in development mode, and waits for nothing.

    Args:
        data_dir: where its database lies.
        *flags: of the command.
        command: another one that serves.
        **settings: of the environment, in place of ports that the kernel chooses.

    """
    defaults = {
        "PDP_AUTH": "dev",
        "PDP_GRPC_LISTEN": "127.0.0.1:0",
        "PDP_HTTP_LISTEN": "127.0.0.1:0",
        "PDP_DATA_DIR": str(data_dir),
        "PDP_ALERT_HOSTS": "localhost",  # tests send nothing further than to this machine
    }
    process = subprocess.Popen(
        [*command, *flags],
        env=environment(**{**defaults, **settings}),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    return Server(process, data_dir)


def start(
    data_dir: Path, *flags: str, command: Sequence[str] = (*COMMAND, "serve"), **settings: str
) -> Server:
    """Starts `pdp serve` and waits until it serves; see `launch`.

    Raises:
        Ended: it ended before.

    """
    server = launch(data_dir, *flags, command=command, **settings)
    try:
        server.announced = server.event("serving")
    except BaseException:
        server.__exit__(None, None, None)
        raise
    return server


def start_workers(data_dir: Path, workers: int = 2, **settings: str) -> Server:
    """Starts a server with several workers; on other ports where somebody was faster."""
    for _ in range(5):
        grpc_address, http_address = free_addresses()
        listen = {"PDP_GRPC_LISTEN": grpc_address, "PDP_HTTP_LISTEN": http_address}
        try:
            return start(data_dir, PDP_WORKERS=str(workers), **{**listen, **settings})
        except Ended as ended:
            if "is another server running there?" not in str(ended):
                raise
    raise AssertionError("no ports are free")


def free_addresses() -> tuple[str, str]:
    """Returns two addresses that were free a moment ago: workers share ports that have a number."""
    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{one.getsockname()[1]}", f"127.0.0.1:{two.getsockname()[1]}"


def pdp(
    *arguments: str, stdin: str = "", cwd: Path | None = None, **settings: str
) -> subprocess.CompletedProcess[str]:
    """Runs `pdp` to its end."""
    return subprocess.run(
        [*COMMAND, *arguments],
        env=environment(**settings),
        input=stdin,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def json_of(answer: subprocess.CompletedProcess[str]) -> Any:
    """Returns the JSON that a command wrote."""
    assert answer.stdout, answer.stderr
    return json.loads(answer.stdout)


def lines_of(text: str) -> Sequence[str]:
    """Returns the lines that are not empty."""
    return [line for line in text.splitlines() if line.strip()]
