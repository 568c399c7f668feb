"""The parent of several workers, with workers that fail in various ways."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from typing import TYPE_CHECKING, Any

import pytest

from pdp.config import load
from pdp.server import supervisor, worker
from tests.support.servers import TIMEOUT_S

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

READY = (
    "import json, os, socket, signal, time; "
    f"s = socket.socket(fileno=int(os.environ[{worker.SOCKET_VARIABLE!r}])); "
)
"""Code of a worker that can send messages to its parent."""

UP = "s.sendall(json.dumps(dict(up={})).encode() + bytes([10])); "
SERVE = READY + UP


@pytest.fixture
def supervise(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Supervises two workers that run `code`; returns the exit code."""
    monkeypatch.setattr(supervisor, "FIRST_BACKOFF_S", 0.0)
    monkeypatch.setattr(supervisor, "MAX_DEATHS", 2)
    monkeypatch.setattr(supervisor, "KILL_AFTER_S", 0.2)
    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        addresses = [f"127.0.0.1:{each.getsockname()[1]}" for each in (one, two)]
    flags = {"auth": "dev", "workers": 2, "drain_s": 0.0}
    settings = load({**flags, "grpc_listen": addresses[0], "http_listen": addresses[1]})

    def run(code: str, announce: Callable[[Mapping[str, Any]], None] = lambda _: None) -> int:
        monkeypatch.setattr(sys, "orig_argv", [sys.executable, "-c", code])
        return supervisor.supervise(settings, announce)

    return run


def test_the_parent_ends_with_the_exit_code_of_a_failed_first_worker(
    supervise: Callable[..., int],
) -> None:
    announcements: list[Any] = []
    assert supervise(READY + "raise SystemExit(78)", announcements.append) == 78
    assert announcements == []


def test_a_worker_that_ends_before_it_serves_is_a_failure(supervise: Callable[..., int]) -> None:
    """Its exit code does not matter."""
    assert supervise(READY) == supervisor.EX_SOFTWARE


def test_the_parent_stops_after_repeated_failures_of_workers(supervise: Callable[..., int]) -> None:
    """It does not restart a worker endlessly."""
    announcements: list[Any] = []
    assert supervise(SERVE + "raise SystemExit(3)", announcements.append) == supervisor.EX_SOFTWARE
    assert announcements == [{}]


def test_a_worker_that_does_not_drain_is_killed(supervise: Callable[..., int]) -> None:
    def announce(_: Mapping[str, Any]) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    stubborn = READY + "signal.signal(signal.SIGTERM, signal.SIG_IGN); " + UP
    assert supervise(stubborn + "time.sleep(600)", announce) == 128 + signal.SIGKILL


def test_a_process_without_the_variable_is_not_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the environment variable makes a process a worker."""
    monkeypatch.delenv(worker.SOCKET_VARIABLE, raising=False)
    assert worker.Worker.from_environment() is None


async def test_a_worker_sends_its_addresses_and_metrics_and_ends_with_its_parent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parent_end, worker_end = socket.socketpair()
    parent_end.settimeout(TIMEOUT_S)
    monkeypatch.setenv(worker.SOCKET_VARIABLE, str(worker_end.detach()))
    one = worker.Worker.from_environment()
    assert one is not None
    assert worker.SOCKET_VARIABLE not in os.environ
    one.render = lambda: b"calls 1"
    stop = asyncio.Event()
    await one.open(stop)
    one.announce({"grpc_address": "here"})
    with parent_end, parent_end.makefile("rwb", buffering=0) as parent:
        assert json.loads(await asyncio.to_thread(parent.readline)) == {
            "up": {"grpc_address": "here"}
        }
        parent.write(b'{"request": 7}\n')
        response = json.loads(await asyncio.to_thread(parent.readline))
        assert response == {"response": 7, "metrics": "calls 1"}
        metrics = asyncio.create_task(one.all_metrics())
        number = json.loads(await asyncio.to_thread(parent.readline))["request"]
        message = {"response": number, "metrics": {"0": "calls 1", "1": None}}
        parent.write(json.dumps(message).encode() + b'\n{"cut o')
        assert await metrics == {0: "calls 1", 1: None}
    await asyncio.wait_for(stop.wait(), TIMEOUT_S)
