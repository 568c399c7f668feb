"""The parent of several workers, with workers that misbehave."""

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
from tests.support.servers import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

READY = (
    "import json, os, socket, signal, time; "
    f"s = socket.socket(fileno=int(os.environ[{worker.MARK!r}])); "
)
"""A worker that can talk to its parent."""

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


def test_a_worker_that_never_serves(supervise: Callable[..., int]) -> None:
    """What does not allow a start ends the parent with the worker's own code."""
    announced: list[Any] = []
    assert supervise(READY + "raise SystemExit(78)", announced.append) == 78
    assert announced == []


def test_a_worker_that_ends_well_before_it_serves(supervise: Callable[..., int]) -> None:
    """A worker that does not serve is no success, whatever it says."""
    assert supervise(READY) == supervisor.EX_SOFTWARE


def test_workers_that_keep_dying(supervise: Callable[..., int]) -> None:
    """There is an end to starting anew."""
    announced: list[Any] = []
    assert supervise(SERVE + "raise SystemExit(3)", announced.append) == supervisor.EX_SOFTWARE
    assert announced == [{}]


def test_a_worker_that_does_not_drain(supervise: Callable[..., int]) -> None:
    """Who does not end in time is killed."""

    def announce(_: Mapping[str, Any]) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    stubborn = READY + "signal.signal(signal.SIGTERM, signal.SIG_IGN); " + UP
    assert supervise(stubborn + "time.sleep(600)", announce) == 128 + signal.SIGKILL


def test_no_worker_without_a_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process is a worker only where its parent says so, and does not pass that on."""
    monkeypatch.delenv(worker.MARK, raising=False)
    assert worker.Worker.of_environment() is None


async def test_what_a_worker_tells_its_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it serves, and its metrics when it is asked; it ends with its parent."""
    ours, theirs = socket.socketpair()
    ours.settimeout(PATIENCE_S)
    monkeypatch.setenv(worker.MARK, str(theirs.detach()))
    one = worker.Worker.of_environment()
    assert one is not None
    assert worker.MARK not in os.environ
    one.render = lambda: b"calls 1"
    stop = asyncio.Event()
    await one.open(stop)
    one.announce({"grpc_address": "here"})
    with ours, ours.makefile("rwb", buffering=0) as parent:
        assert json.loads(await asyncio.to_thread(parent.readline)) == {
            "up": {"grpc_address": "here"}
        }
        parent.write(b'{"ask": 7}\n')
        answer = json.loads(await asyncio.to_thread(parent.readline))
        assert answer == {"answer": 7, "metrics": "calls 1"}
        asked = asyncio.create_task(one.metrics_of_all())
        number = json.loads(await asyncio.to_thread(parent.readline))["ask"]
        told = {"answer": number, "metrics": {"0": "calls 1", "1": None}}
        parent.write(json.dumps(told).encode() + b'\n{"cut o')
        assert await asked == {0: "calls 1", 1: None}
    await asyncio.wait_for(stop.wait(), PATIENCE_S)
