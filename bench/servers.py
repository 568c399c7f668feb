"""Starts the servers of the benchmark, as real processes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from demo.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

_TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A running server: its gRPC port, the seconds from its start to SERVING, its HTTP port."""

    port: int
    process: subprocess.Popen[str]
    start_s: float
    http_port: int = 0

    @property
    def http_url(self) -> str:
        """The URL of HTTP."""
        return f"http://127.0.0.1:{self.http_port}"

    def rss_mib(self) -> float:
        """Returns the current resident memory of the process."""
        return self._memory_mib("VmRSS")

    def peak_mib(self) -> float:
        """Returns the largest resident memory of the process so far."""
        return self._memory_mib("VmHWM")

    def cpu_s(self) -> float:
        """Returns the processor time of all threads of the process so far, in seconds."""
        stat = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="utf-8")
        user, system = stat.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / _TICKS

    def _memory_mib(self, name: str) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        line = next(line for line in status.splitlines() if line.startswith(name))
        return int(line.split()[1]) / 1024


@contextmanager
def echo_server(*options: str) -> Iterator[RunningServer]:
    """Runs the empty echo server; see `bench.echo` for its options."""
    begin = time.perf_counter()
    with _process([sys.executable, "-m", "bench.echo", *options], {}) as process:
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        port = int(process.stdout.readline())
        yield RunningServer(port, process, time.perf_counter() - begin)


@contextmanager
def pdp_server(data_dir: Path, **settings: str) -> Iterator[RunningServer]:
    """Runs `pdp serve` on a free port, with its database in `data_dir` and these settings."""
    port, http_port = free_port(), free_port()
    environment = {
        "PDP_AUTH": "dev",
        "PDP_GRPC_LISTEN": f"127.0.0.1:{port}",
        "PDP_HTTP_LISTEN": f"127.0.0.1:{http_port}",
        "PDP_DATA_DIR": str(data_dir),
        "PDP_LOG_LEVEL": "error",
        **settings,
    }
    begin = time.perf_counter()
    with _process([sys.executable, "-m", "pdp", "serve"], environment) as process:
        _wait_until_serving(port, process)
        yield RunningServer(port, process, time.perf_counter() - begin, http_port)


@contextmanager
def _process(command: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    # Settings of the shell would distort the measurement.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PDP_")}
    process = subprocess.Popen(
        command,
        env={**inherited, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.communicate()


def _wait_until_serving(port: int, process: subprocess.Popen[str]) -> None:
    request = health_pb2.HealthCheckRequest()
    # By default, a channel waits a second after a refused connection.
    options = [
        ("grpc.initial_reconnect_backoff_ms", 10),
        ("grpc.min_reconnect_backoff_ms", 10),
        ("grpc.max_reconnect_backoff_ms", 20),
    ]
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        while process.poll() is None:
            try:
                if stub.Check(request, wait_for_ready=True, timeout=0.2).status == 1:
                    return
            except grpc.RpcError:
                continue
    sys.exit(f"pdp serve ended with exit code {process.returncode}")
