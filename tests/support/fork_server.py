"""Starts `pdp` processes fast: forks them from a process that has imported all modules.

The suite starts hundreds of servers and commands, and imports take most of the start time of each.
A forked process has its own memory, signals and exit code, so it behaves like `python -m pdp`.
Tests of the start itself run `COMMAND` of `tests.support.servers`.

This module is both sides. `ForkedProcess` sends a request over a socket to the fork server, which
is this module run as a script. The server forks, and sends the id and later the exit status of the
new process back over a second socket, which comes with the request.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from typing import IO, TYPE_CHECKING, Any, Final

from tests.support.server_patches import apply

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_REQUEST_BYTES: Final = 1 << 20
_NUMBER: Final = struct.Struct("=i")
_lock: Final = threading.Lock()


class ForkedProcess:
    """A `pdp` process. It has the part of `subprocess.Popen` that the tests use.

    Attributes:
        pid: the id of the process.
        returncode: its exit code, negative for a signal; None until `poll` or `wait` sees its end.
        stderr: its standard error, if that is a pipe.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        env: Mapping[str, str],
        *,
        cwd: Path | None = None,
        stdin: int = subprocess.DEVNULL,
        stdout: int | None = None,
        stderr: int | None = None,
        patch: str = "",
    ) -> None:
        """Starts the process.

        Args:
            arguments: the arguments of the command `pdp`.
            env: its environment.
            cwd: its working directory; None for that of this process.
            stdin: a file descriptor; by default there is no input.
            stdout: a file descriptor; None for that of this process.
            stderr: as `stdout`, or `subprocess.PIPE`.
            patch: one of `tests.support.server_patches`; by default there is none.
        """
        self.returncode: int | None = None
        self.stderr: IO[bytes] | None = None
        request = {
            "arguments": arguments,
            "env": dict(env),
            "cwd": str(cwd or os.getcwd()),
            "patch": patch,
        }
        no_input = os.open(os.devnull, os.O_RDONLY)
        opened = [no_input]
        if stderr == subprocess.PIPE:
            read_end, stderr = os.pipe()
            opened.append(stderr)
            self.stderr = os.fdopen(read_end, "rb")
        self._status, their_status = socket.socketpair()
        descriptors = [
            no_input if stdin == subprocess.DEVNULL else stdin,
            1 if stdout is None else stdout,
            2 if stderr is None else stderr,
            their_status.fileno(),
        ]
        with their_status, _lock:
            _, requests = _start()
            socket.send_fds(requests, [json.dumps(request).encode()], descriptors)
        for descriptor in opened:
            os.close(descriptor)
        self.pid = _receive_number(self._status)

    def poll(self) -> int | None:
        """Returns the exit code; None if the process runs."""
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, timeout: float | None = None) -> int:
        """Returns the exit code when the process has ended.

        Raises:
            subprocess.TimeoutExpired: it has not ended within `timeout` seconds.
        """
        if self.returncode is None:
            self._status.settimeout(timeout)
            try:
                self.returncode = _receive_number(self._status)
            except (TimeoutError, BlockingIOError):
                raise subprocess.TimeoutExpired("pdp", timeout or 0) from None
            self._status.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Sends a signal, unless the process has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):  # it ended since then
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """Sends SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Sends SIGKILL."""
        self.send_signal(signal.SIGKILL)


def _receive_number(connection: socket.socket) -> int:
    (number,) = _NUMBER.unpack(connection.recv(_NUMBER.size))
    return int(number)


@cache
def _start() -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Starts the fork server of this process; returns it and the socket that takes requests."""
    ours, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(theirs.fileno())],
            cwd=Path(__file__).parents[2],
            # `pdp serve` sets the same value before it imports grpc.
            env={**os.environ, "GRPC_VERBOSITY": "NONE"},
            pass_fds=(theirs.fileno(),),
        )
    return process, ours


def stop() -> None:
    """Ends the fork server of this process, if there is one. Processes that it forked run on."""
    if _start.cache_info().currsize:
        process, requests = _start()
        requests.close()
        process.wait()
        _start.cache_clear()


def _import_all() -> None:
    """Imports what servers and commands import."""
    import_module("pdp.cli.run.serve")  # it must be the first, since it hides rich from structlog
    for name in ("pdp.__main__", "pdp.logs", "pdp.server.app", "uvloop"):
        import_module(name)
    for module in walk_packages(import_module("pdp.cli").__path__, "pdp.cli."):
        import_module(module.name)
    # Excludes the imported objects from garbage collection in forked processes.
    gc.collect()
    gc.freeze()


class _Forks:
    """The forked processes that run, and the sockets that take their exit codes."""

    def __init__(self) -> None:
        self._statuses: dict[int, socket.socket] = {}
        signal.signal(signal.SIGCHLD, self._reap)

    def fork(self, status: socket.socket) -> bool:
        """Forks; returns whether this is the new process."""
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
        pid = os.fork()
        if pid:
            self._statuses[pid] = status
            status.send(_NUMBER.pack(pid))
        else:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for each in (status, *self._statuses.values()):
                each.close()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
        return not pid

    def _reap(self, *_signal: object) -> None:
        while self._statuses:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            with self._statuses.pop(pid) as connection, suppress(OSError):
                connection.send(_NUMBER.pack(os.waitstatus_to_exitcode(status)))


def _become(request: Mapping[str, Any], descriptors: Sequence[int]) -> None:
    """Gives this process the arguments, environment, directory and files of a request."""
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    time.tzset()
    sys.argv = ["pdp", *request["arguments"]]
    sys.orig_argv = [sys.executable, "-m", "pdp", *request["arguments"]]  # for the supervisor


def main(requests: socket.socket) -> None:
    """Forks a process for each request, until the tests end. A forked process runs `pdp`."""
    _import_all()
    forks = _Forks()
    while True:
        raw, descriptors, _, _ = socket.recv_fds(requests, MAX_REQUEST_BYTES, 4)
        if not raw:
            return
        *files, status = descriptors
        if forks.fork(socket.socket(fileno=status)):
            break
        for descriptor in files:
            os.close(descriptor)
    requests.close()
    request = json.loads(raw)
    _become(request, files)
    if request["patch"]:
        apply(request["patch"])
    import_module("pdp.__main__").main()


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])))
