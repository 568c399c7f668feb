"""Real servers and commands for tests: `pdp` in processes of their own, on free ports."""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Final

import httpx2

from tests.support.fork_server import ForkedProcess

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

TIMEOUT_S: Final = 60.0
"""The longest time that tests wait. Only an event that never happens takes so long."""

COMMAND: Final = (sys.executable, "-m", "pdp")
"""The command `pdp` in a new interpreter. Only tests of the start itself need it."""

SERVE: Final = (*COMMAND, "serve")
"""`pdp serve` in a new interpreter."""

GRPC_SERVER: Final[Any] = os.environ.get("PDP_TEST_GRPC_SERVER", "grpcio")
"""The front of the servers that tests start, except of those with TLS."""

DRAIN_S: Final = "10"
"""`PDP_DRAIN_S` for tests that end a server while calls run."""


def environment(**settings: str) -> dict[str, str]:
    """Returns the environment of this process without its PDP settings, and with `settings`."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PDP_")}
    return {**inherited, **settings}


class ServerEnded(AssertionError):
    """The server ended before it served."""


_NO_TLS: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def http_client(url: str, tenant: str = "", **headers: str) -> httpx2.Client:
    """Returns an HTTP client without TLS.

    Args:
        url: of the server.
        tenant: the tenant of its calls; empty for the default tenant.
        **headers: of its calls.
    """
    tenant_header = {"X-Tenant-ID": tenant} if tenant else {}
    return httpx2.Client(
        base_url=url,
        headers={**tenant_header, **headers},
        timeout=TIMEOUT_S,
        trust_env=False,
        verify=_NO_TLS,  # by default, each client loads the authorities, which takes 20 ms
    )


@dataclass
class Server:
    """A running server.

    Attributes:
        process: the process that was started; with several workers, their parent.
        data_dir: the directory of its database.
        announcement: its log entry when it started to serve.
        lines: the lines that it has written to stderr so far.
    """

    process: ForkedProcess | subprocess.Popen[bytes]
    data_dir: Path
    announcement: Mapping[str, Any] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._events: SimpleQueue[dict[str, Any] | None] = SimpleQueue()
        # The server would block as soon as the pipe was full.
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def grpc_address(self) -> str:
        """The address of gRPC."""
        return str(self.announcement["grpc"])

    @property
    def http_url(self) -> str:
        """The URL of HTTP."""
        return str(self.announcement["http"])

    @property
    def database_url(self) -> str:
        """The URL of its database."""
        return str(self.announcement["database"])

    def client(self, tenant: str = "", **headers: str) -> httpx2.Client:
        """Returns an HTTP client; see `http_client`."""
        return http_client(self.http_url, tenant, **headers)

    def request(self, method: str, path: str, **options: Any) -> httpx2.Response:
        """Sends an HTTP request on a new connection.

        Args:
            method: the verb.
            path: of the URL.
            **options: of `httpx2.Client.request`.
        """
        with self.client() as client:
            return client.request(method, path, **options)

    def metric(self, name: str) -> float:
        """Returns the value of a metric that has no labels."""
        lines = self.request("GET", "/metrics").text.splitlines()
        (value,) = (each.split()[1] for each in lines if each.startswith(f"{name} "))
        return float(value)

    def _read(self) -> None:
        assert self.process.stderr is not None
        for raw in self.process.stderr:
            line = raw.decode()
            self.lines.append(line)
            if line.startswith("{"):
                self._events.put(json.loads(line))
        self._events.put(None)

    def wait_for_event(self, name: str) -> dict[str, Any]:
        """Waits for the next log entry of that name, and returns it.

        Raises:
            ServerEnded: the server ended first.
        """
        while True:
            try:
                event = self._events.get(timeout=TIMEOUT_S)
            except Empty:
                raise AssertionError(f"no event {name!r}: {self.lines}") from None
            if event is None:
                self._events.put(None)
                raise ServerEnded("".join(self.lines))
            if event["event"] == name:
                return event

    def wait(self) -> int:
        """Waits until the server has ended and `lines` is complete; returns the exit code."""
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
    data_dir: Path,
    *flags: str,
    command: Sequence[str] | None = None,
    patch: str = "",
    **settings: str,
) -> Server:
    """Starts `pdp serve` in development mode, and does not wait until it serves.

    Args:
        data_dir: the directory of its database.
        *flags: the flags of the command.
        command: another command that serves, in a new interpreter. If `data_dir` has no database,
            it must install the policies that ship; by default, it gets a database with them.
        patch: one of `tests.support.server_patches`; by default there is none.
        **settings: environment variables. By default, the kernel chooses the ports, and the server
            does not wait for running calls when it ends.
    """
    database = data_dir / "pdp.db"
    if command is None and not database.exists():
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        database.touch(mode=0o600)
        database.write_bytes(_installed_database())
    defaults = {
        "PDP_AUTH": "dev",
        "PDP_GRPC_LISTEN": "127.0.0.1:0",
        "PDP_HTTP_LISTEN": "127.0.0.1:0",
        "PDP_DATA_DIR": str(data_dir),
        "PDP_ALERT_HOSTS": "localhost",  # tests send nothing to other machines
        "PDP_DRAIN_S": "0",
        "PDP_GRPC_SERVER": "grpcio" if "PDP_TLS_CERT_FILE" in settings else GRPC_SERVER,
    }
    env = environment(**{**defaults, **settings})
    if command is None:
        arguments = ("serve", *flags)
        return Server(ForkedProcess(arguments, env, stderr=subprocess.PIPE, patch=patch), data_dir)
    process = subprocess.Popen(
        [*command, *flags], env=env, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    return Server(process, data_dir)


@cache
def _installed_database() -> bytes:
    """Returns a database in which a command has installed the policies that ship."""
    with tempfile.TemporaryDirectory() as folder:
        run_pdp("decide", "--embedded", "--text", "hello", PDP_DATA_DIR=folder)
        return Path(folder, "pdp.db").read_bytes()


def start(
    data_dir: Path,
    *flags: str,
    command: Sequence[str] | None = None,
    patch: str = "",
    **settings: str,
) -> Server:
    """Starts `pdp serve` and waits until it serves; see `launch`.

    Raises:
        ServerEnded: it ended before.

    """
    server = launch(data_dir, *flags, command=command, patch=patch, **settings)
    try:
        server.announcement = server.wait_for_event("serving")
    except BaseException:
        server.__exit__(None, None, None)
        raise
    return server


def start_workers(data_dir: Path, workers: int = 2, **settings: str) -> Server:
    """Starts a server with several workers; see `launch`.

    Workers cannot let the kernel choose their ports. If another process takes a free port first,
    this function tries others.
    """
    for _ in range(5):
        grpc_address, http_address = free_addresses()
        listen = {"PDP_GRPC_LISTEN": grpc_address, "PDP_HTTP_LISTEN": http_address}
        try:
            return start(data_dir, PDP_WORKERS=str(workers), **{**listen, **settings})
        except ServerEnded as error:
            if "is another server running there?" not in str(error):
                raise
    raise AssertionError("no ports are free")


def free_addresses() -> tuple[str, str]:
    """Returns two addresses that are free now."""
    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{one.getsockname()[1]}", f"127.0.0.1:{two.getsockname()[1]}"


def run_pdp(
    *arguments: str, stdin: str = "", cwd: Path | None = None, **settings: str
) -> subprocess.CompletedProcess[str]:
    """Runs `pdp` until it ends.

    Args:
        *arguments: the arguments of the command line.
        stdin: its input.
        cwd: its working directory.
        **settings: environment variables.
    """
    with (
        tempfile.TemporaryFile() as input_,
        tempfile.TemporaryFile() as output,
        tempfile.TemporaryFile() as errors,
    ):
        input_.write(stdin.encode())
        input_.seek(0)
        process = ForkedProcess(
            arguments,
            environment(**settings),
            cwd=cwd,
            stdin=input_.fileno(),
            stdout=output.fileno(),
            stderr=errors.fileno(),
        )
        try:
            code = process.wait(TIMEOUT_S)
        finally:
            process.kill()
        output.seek(0)
        errors.seek(0)
        return subprocess.CompletedProcess(
            ["pdp", *arguments], code, output.read().decode(), errors.read().decode()
        )


def run_interpreter(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Runs `pdp` in a new interpreter until it ends.

    Args:
        *arguments: the arguments of the command line.
        **settings: environment variables.
    """
    return subprocess.run(
        [*COMMAND, *arguments],
        env=environment(**settings),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def json_output(result: subprocess.CompletedProcess[str]) -> Any:
    """Returns the JSON that a command wrote."""
    assert result.stdout, result.stderr
    return json.loads(result.stdout)


def non_empty_lines(text: str) -> Sequence[str]:
    """Returns the lines that are not empty."""
    return [line for line in text.splitlines() if line.strip()]
