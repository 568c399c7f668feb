"""Heartbeats: a process tells the store that it serves, and never waits for it."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, cast

import pytest

from pdp.admin.workspace import WorkspaceStats
from pdp.errors import StoreUnavailable
from pdp.server import heartbeat
from pdp.server.heartbeat import Heartbeat
from pdp.server.state import Readiness
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from pdp.domain.server_process import ServerProcess
    from pdp.publisher import Publisher
    from pdp.store.port import Store


class Written:
    """A store that keeps what is written, and fails or hangs if a test says so."""

    def __init__(self) -> None:
        self.processes: list[ServerProcess] = []
        self.removed: list[str] = []
        self.written = threading.Semaphore(0)
        self.answers = threading.Event()
        self.answers.set()
        self.failing = False

    def write_process(self, process: ServerProcess) -> None:
        self.answers.wait()
        self.written.release()
        if self.failing:
            raise StoreUnavailable("away")
        self.processes.append(process)

    def remove_process(self, process_id: str) -> None:
        if self.failing:
            raise StoreUnavailable("away")
        self.removed.append(process_id)


class InForce:
    """The publisher, as far as a heartbeat reads it."""

    revision = 42


@pytest.fixture
def store() -> Written:
    """A store."""
    return Written()


@pytest.fixture
def readiness() -> Readiness:
    """The state of the server."""
    return Readiness()


@pytest.fixture
def beats(store: Written, readiness: Readiness) -> Heartbeat:
    """A heartbeat of worker 3."""
    publisher = cast("Publisher", InForce())
    return Heartbeat(cast("Store", store), publisher, WorkspaceStats(), readiness, worker=3)


async def written(store: Written) -> None:
    """Waits for the next write."""
    await asyncio.to_thread(store.written.acquire)


async def test_a_process_is_written_at_once_and_again(
    beats: Heartbeat, store: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "INTERVAL_S", 0.001)
    task = asyncio.create_task(beats.run())
    await written(store)
    await written(store)
    task.cancel()
    first = store.processes[0]
    assert (first.worker, first.revision, first.draining) == (3, 42, False)
    assert first.policies_age_s >= 0
    assert {each.process_id for each in store.processes} == {first.process_id}


async def test_draining_is_written_without_waiting(
    beats: Heartbeat, store: Written, readiness: Readiness
) -> None:
    """The interval of the test is the real one, some seconds."""
    task = asyncio.create_task(beats.run())
    await written(store)
    readiness.draining = True
    beats.write_soon()
    await written(store)
    task.cancel()
    await beats.leave()
    assert [each.draining for each in store.processes] == [False, True]
    assert store.removed == [store.processes[0].process_id]


async def test_a_store_that_fails_is_asked_again(
    beats: Heartbeat, store: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "INTERVAL_S", 0.001)
    store.failing = True
    task = asyncio.create_task(beats.run())
    await written(store)
    await written(store)
    store.failing = False
    while not store.processes:
        await written(store)
    assert not task.done()
    task.cancel()


async def test_a_store_that_hangs_holds_only_a_thread(beats: Heartbeat, store: Written) -> None:
    store.answers.clear()
    task = asyncio.create_task(beats.run())
    for _ in range(100):
        await asyncio.sleep(0)
    assert not store.processes
    task.cancel()
    store.answers.set()
    await written(store)


async def test_nothing_is_written_after_the_process_has_left(
    beats: Heartbeat, store: Written
) -> None:
    await beats.leave()
    await asyncio.to_thread(beats._write)
    assert not store.processes


async def test_a_process_leaves_while_a_write_hangs(
    beats: Heartbeat, store: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "LEAVE_S", 0.001)
    store.answers.clear()
    hanging = asyncio.create_task(asyncio.to_thread(beats._write))
    await asyncio.to_thread(wait_until, beats._writing.locked, "a write hangs")
    await beats.leave()
    assert not store.removed
    store.answers.set()
    await hanging


async def test_a_process_leaves_a_store_that_fails(beats: Heartbeat, store: Written) -> None:
    store.failing = True
    await beats.leave()
    assert not store.removed
