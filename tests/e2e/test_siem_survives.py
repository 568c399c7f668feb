"""The events that a SIEM receives from several workers and from a server that is killed."""

from __future__ import annotations

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import httpx2
import pytest

from pdp.export.exporter import SPOOL_NAME
from pdp.export.spool import Spool
from tests.e2e.test_siem import TOKEN, hec
from tests.e2e.test_workers import workers_of
from tests.support import servers
from tests.support.faults import wait_for_revision
from tests.support.servers import start_workers
from tests.support.siem_product import PlannedResponse, Product
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

MANY = 3_000 if os.environ.get("PDP_SOAK") else 300
FULL = {"logging_level": "full"}


def settings(splunk: Product) -> dict[str, str]:
    return {
        "SPLUNK_HEC_URL": splunk.url,
        "SPLUNK_HEC_TOKEN": TOKEN,
        "PDP_SIEM_FLUSH_S": "0.05",
    }


def arrived(splunk: Product, class_uid: int = 6003) -> list[str]:
    """Returns the uids of the events in the order of arrival."""
    return [
        each["event"]["metadata"]["uid"]
        for request in splunk.requests
        if request.path.endswith("/event")
        for each in request.lines
        if each["event"]["class_uid"] == class_uid
    ]


def decide(url: str, count: int) -> list[str]:
    """Requests decisions until the server ends; returns the ids of those it answered."""
    answered = []
    with servers.http_client(url) as client:
        try:
            for _ in range(count):
                answer = client.post("/v1/decide", json={"content": {"text": "hello"}})
                answered.append(answer.json()["decision_id"])
        except (httpx2.HTTPError, ValueError):
            return answered
    return answered


def record_all(url: str) -> int:
    """Makes the server record all decisions; returns the revision from which it does."""
    with servers.http_client(url) as client:
        written = client.put("/v1/org/policy", json=FULL).raise_for_status()
    return int(written.headers["x-pdp-revision"])


def until_all(splunk: Product, decision_ids: Sequence[str]) -> None:
    delivered: set[str] = set()
    place = 0

    def all_are_there() -> bool:
        nonlocal place
        requests, place = splunk.requests[place:], len(splunk.requests)
        delivered.update(
            each["event"]["metadata"]["uid"] for one in requests if one.body for each in one.lines
        )
        return delivered >= set(decision_ids)

    splunk.until(all_are_there)


@pytest.mark.soak
def test_no_answered_decision_is_lost_if_the_server_is_killed(tmp_path: Path) -> None:
    """The batch that is in delivery at a kill can arrive twice; no other event can."""
    answered: list[str] = []
    with Product(hec) as splunk:
        for _ in range(3):
            with servers.start(tmp_path, **settings(splunk)) as server:
                record_all(server.http_url)
                with ThreadPoolExecutor(4) as pool:
                    asking = [pool.submit(decide, server.http_url, MANY) for _ in range(4)]
                    expected = len(arrived(splunk)) + MANY // 2
                    splunk.until(lambda expected=expected: len(arrived(splunk)) >= expected)  # type: ignore[misc] # bound now
                    server.process.kill()
                    for each in asking:
                        answered += each.result()
        with servers.start(tmp_path, **settings(splunk)):
            until_all(splunk, answered)
        events = arrived(splunk)
    assert set(answered) <= set(events)
    assert len(events) - len(set(events)) <= 3 * 100


def test_several_workers_send_everything_once_even_if_one_dies(tmp_path: Path) -> None:
    with Product(hec) as splunk, start_workers(tmp_path, 2, **settings(splunk)) as server:
        wait_for_revision(server, record_all(server.http_url))
        answered = decide_with_many(server.http_url)
        until_all(splunk, answered)
        # When all events are acknowledged, no worker's death can cause a duplicate.
        until_acknowledged(tmp_path)
        victim = min(workers_of(server))
        os.kill(victim, signal.SIGKILL)
        server.wait_for_event("a worker serves again")
        answered += decide_with_many(server.http_url)
        until_all(splunk, answered)
        events = arrived(splunk)
        changes = arrived(splunk, 3004)
    assert sorted(events) == sorted(answered)
    assert len(changes) == len(set(changes)) > 0


def until_acknowledged(directory: Path) -> None:
    """Waits until the server has processed the acknowledgements of all events."""
    spool = Spool(directory / SPOOL_NAME, 1_000_000_000)
    wait_until(lambda: not spool.statuses()["splunk"].waiting, "all events are acknowledged")
    spool.close()


def decide_with_many(url: str) -> list[str]:
    """Sends requests on several connections, which the kernel spreads over the workers."""
    with ThreadPoolExecutor(4) as pool:
        answers = pool.map(lambda _: decide(url, MANY // 4), range(4))
        return [each for one in answers for each in one]


def test_decisions_do_not_wait_for_a_siem_that_is_down(tmp_path: Path) -> None:
    stuck = threading.Event()
    with (
        Product(lambda _: PlannedResponse(200, wait=stuck)) as splunk,
        servers.start(tmp_path, **settings(splunk)) as server,
    ):
        record_all(server.http_url)
        assert len(decide(server.http_url, 100)) == 100
        splunk.until(lambda: bool(splunk.requests))
        assert len(decide(server.http_url, 100)) == 100
        stuck.set()
