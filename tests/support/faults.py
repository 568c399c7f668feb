"""Support for the tests of faults: a tenant that blocks, a list of its writes, and load.

`PDP_SOAK_ROUNDS` sets how often each fault is injected; docs/faults.md has the figures.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import httpx2

from tests.support.servers import TIMEOUT_S, http_client
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.servers import Server

ROUNDS: Final = max(1, int(os.environ.get("PDP_SOAK_ROUNDS", "15")) // 5)
"""How often to inject a fault that takes about a second."""

POLICIES: Final = "/api/v1/static-policies"
RIVAL: Final = "Buy from our rival instead"
"""A text that the tenant of these tests blocks."""


@dataclass
class Tenant:
    """A tenant that blocks a word, with the list of its acknowledged writes.

    Attributes:
        url: the URL of the server.
        name: the tenant's name.
        written: the names of the policies whose creation was acknowledged.
        revision: the revision of the last of them.
    """

    url: str
    name: str
    written: list[str] = field(default_factory=list)
    revision: int = 0

    def client(self) -> httpx2.Client:
        """Returns a client with a connection of its own."""
        return http_client(self.url, self.name)

    def create(self, name: str, pattern: str = "rival") -> httpx2.Response:
        """Creates a policy that blocks; adds it to `written` if the server acknowledges it."""
        body = {"name": name, "category": "custom", "pattern": pattern, "action": "block"}
        with self.client() as http:
            answer = http.post(POLICIES, json=body)
        if answer.status_code == httpx2.codes.CREATED:
            self.written.append(name)
            self.revision = int(answer.headers["x-pdp-revision"])
        return answer

    def decide(self, text: str = RIVAL, **fields: Any) -> dict[str, Any]:
        """Returns the decision on a text."""
        with self.client() as http:
            answer = http.post("/v1/decide", json={"content": {"text": text}, **fields})
        assert answer.status_code == httpx2.codes.OK, answer.text
        decision: dict[str, Any] = answer.json()
        return decision

    def names(self) -> list[str]:
        """Returns the names of the tenant's own policies."""
        with self.client() as http:
            answer = http.get(POLICIES, params={"category": "custom", "page_size": 100})
        assert answer.status_code == httpx2.codes.OK, answer.text
        return [each["name"] for each in answer.json()["policies"]]

    def lost(self) -> set[str]:
        """Returns the acknowledged policies that the server no longer has."""
        return set(self.written) - set(self.names())


def tenant_of(server: Server, name: str, *, blocks: bool = True) -> Tenant:
    """Returns a tenant of the server that blocks the word rival."""
    tenant = Tenant(server.http_url, name)
    if blocks:
        assert tenant.create("No rivals").status_code == httpx2.codes.CREATED
        wait_for_revision(server, tenant.revision)
        assert tenant.decide()["outcome"] == "BLOCK"
    return tenant


def wait_for_revision(server: Server, revision: int) -> None:
    """Waits until the revision is in force in all workers, which do not read it at once."""

    def in_force() -> bool:
        page = server.request("GET", "/metrics").text
        revisions = re.findall(r"^pdp_snapshot_revision(?:{.*})? (\S+)$", page, re.MULTILINE)
        return len(revisions) == server.announcement["workers"] and all(
            float(each) >= revision for each in revisions
        )

    wait_until(in_force, f"all workers decide on revision {revision}")


def still_blocks(tenant: Tenant) -> bool:
    """Returns whether the tenant blocks the word, and still allows other texts."""
    return (tenant.decide()["outcome"], tenant.decide("hello")["outcome"]) == ("BLOCK", "ALLOW")


def unavailable(answer: httpx2.Response) -> bool:
    """Returns whether the store was unavailable for a write. The error must show no internals."""
    text = answer.text
    assert not any(word in text for word in ("sqlite", "SELECT", "INSERT", "/pdp.db", "Traceback"))
    return (answer.status_code, answer.json()["error"]["code"]) == (503, "STORE_UNAVAILABLE")


def files_of(folder: Path) -> list[Path]:
    """Returns the files of a database."""
    return [folder / f"pdp.db{suffix}" for suffix in ("", "-wal", "-shm")]


@dataclass
class Load:
    """The results of several clients that send requests without a pause.

    Attributes:
        answers: the number of answers by outcome.
        unserved: calls that no server accepted: refused connections and UNAVAILABLE.
        lost: descriptions of calls without an answer or an error.
        wrong: decisions that contradict the policies.
    """

    answers: Counter[str] = field(default_factory=Counter)
    unserved: int = 0
    lost: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def wait_for(self, answers: int) -> None:
        """Waits for this number of further answers."""
        goal = self.answers.total() + answers
        deadline = time.monotonic() + TIMEOUT_S
        while self.answers.total() < goal:
            assert time.monotonic() < deadline, f"no answers: {self}"
            self.stop.wait(0.001)


@contextmanager
def load_of(*clients: Any) -> Iterator[Load]:
    """Runs clients until the context ends: each is called with the `Load`, in a thread."""
    load = Load()
    threads = [threading.Thread(target=client, args=(load,), daemon=True) for client in clients]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        load.stop.set()
        for thread in threads:
            thread.join(TIMEOUT_S)
    assert not any(thread.is_alive() for thread in threads), "a call was never answered"
