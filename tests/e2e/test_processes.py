"""Which processes serve from a store, over HTTP."""

from __future__ import annotations

import os
import signal
import socket
from typing import TYPE_CHECKING, Any

import pdp
from tests.support.replicas import start_replicas
from tests.support.servers import Server, start, start_workers
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    import httpx2

PROCESSES = "/v1/processes"


def listed(client: httpx2.Client) -> list[dict[str, Any]]:
    """Returns the processes of the answer."""
    answer = client.get(PROCESSES)
    assert answer.status_code == 200, answer.text
    processes: list[dict[str, Any]] = answer.json()["processes"]
    return processes


def wait_for(client: httpx2.Client, number: int) -> list[dict[str, Any]]:
    """Waits until so many processes are listed; returns them."""
    wait_until(lambda: len(listed(client)) == number, f"{number} processes are listed")
    return listed(client)


def test_a_server_lists_itself(tmp_path: Path) -> None:
    with start(tmp_path) as server, server.client() as client:
        [process] = wait_for(client, 1)
        assert client.get(PROCESSES).json()["revision"] == server.announcement["revision"]
    assert process["revision"] == server.announcement["revision"]
    assert process["host"] == socket.gethostname()
    assert (process["worker"], process["state"]) == (0, "serving")
    assert process["version"] == pdp.__version__
    assert process["started_at"] <= process["seen_at"]
    assert 0 <= process["policies_age_seconds"] < 3600


def test_every_worker_is_listed(tmp_path: Path) -> None:
    with start_workers(tmp_path) as server, server.client() as client:
        processes = wait_for(client, 2)
    assert {each["worker"] for each in processes} == {0, 1}
    assert len({each["pid"] for each in processes}) == 2
    assert len({each["process_id"] for each in processes}) == 2


def test_a_server_that_ends_is_not_listed_any_more(tmp_path: Path) -> None:
    with start(tmp_path) as staying, staying.client() as client:
        [process] = wait_for(client, 1)
        with start(tmp_path) as leaving:
            wait_for(client, 2)
            leaving.process.send_signal(signal.SIGTERM)
            leaving.process.wait()
        assert [each["process_id"] for each in listed(client)] == [process["process_id"]]


def test_a_server_that_is_killed_stays_listed_until_it_is_lost(tmp_path: Path) -> None:
    with start(tmp_path) as staying, staying.client() as client:
        with start(tmp_path) as killed:
            processes = wait_for(client, 2)
            os.kill(killed.process.pid, signal.SIGKILL)
            killed.process.wait()
        assert {each["pid"] for each in listed(client)} == {each["pid"] for each in processes}


def test_replicas_are_listed_by_each_of_them(tmp_path: Path, postgres_url: str) -> None:
    with start_replicas(tmp_path, postgres_url, 2) as replicas:
        lists = [_processes_of(each) for each in replicas]
        assert lists[0] == lists[1]


def _processes_of(server: Server) -> set[str]:
    with server.client() as client:
        return {each["process_id"] for each in wait_for(client, 2)}


def test_a_process_does_not_change_policies(tmp_path: Path) -> None:
    """It has no revision, and no entry in the change log."""
    with start(tmp_path) as server, server.client() as client:
        wait_for(client, 1)
        changes = client.get("/api/admin/audit/platform-changes").json()["changes"]
        assert all("process" not in each["kind"] for each in changes)
        assert client.get(PROCESSES).json()["revision"] == server.announcement["revision"]
