"""Replicas under load: what they acknowledge and decide while a fault is injected."""

from __future__ import annotations

import itertools
import json
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import httpx2

from pdp.domain.audit_log import RecordFilter
from pdp.store import open_audit_log
from tests.support.faults import RIVAL, Load, Tenant, load_of
from tests.support.replicas import views_of, wait_for_all
from tests.support.servers import http_client
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from tests.support.servers import Server

MAX_WRITES: Final = 90
"""A page of the list of policies holds all of them."""

_PAUSE_S: Final = 0.02
_WRITE_PAUSE_S: Final = 0.15


@dataclass
class ReplicaLoad:
    """What replicas have said under load.

    Attributes:
        views: the tenant, as each replica has it.
        decided: by data directory of a replica: the ids of decisions that it has answered.
        load: the counts.
        records_url: the log that the replicas share; empty if each has its own.
    """

    views: list[Tenant]
    folders: list[Path]
    decided: dict[Path, list[str]] = field(default_factory=dict)
    load: Load = field(default_factory=Load)
    records_url: str = ""

    @property
    def acknowledged(self) -> list[str]:
        """The names of the policies whose creation was acknowledged."""
        return self.views[0].written

    def wait_for_writes(self, count: int) -> None:
        """Waits until this number of further writes is acknowledged."""
        goal = min(len(self.acknowledged) + count, MAX_WRITES)
        wait_until(lambda: len(self.acknowledged) >= goal, f"{count} more writes")

    def unrecorded(self) -> set[str]:
        """Returns the decisions that were answered, and are in no log. Stop the replicas first."""
        missing: set[str] = set()
        for folder, ids in self.decided.items():
            url = self.records_url or f"sqlite:///{folder}/audit.db"
            with closing(open_audit_log(url)) as log:
                assert log.verify().problems == ()
                missing |= set(ids) - _ids(log)
        return missing


def _ids(log: Any) -> set[str]:
    ids: set[str] = set()
    after = 0
    while rows := log.follow(RecordFilter("acme"), after=after, limit=1000).records:
        ids |= {json.loads(each.body)["decision_id"] for each in rows}
        after = rows[-1].sequence
    return ids


@contextmanager
def under_load(replicas: Sequence[Server], records_url: str = "") -> Iterator[ReplicaLoad]:
    """Writes through all replicas in turn, and asks each for decisions, until the context ends.

    Args:
        replicas: the replicas.
        records_url: the log that they share; empty if each has its own.
    """
    views = views_of("acme", replicas)
    assert views[0].create("No rivals").status_code == httpx2.codes.CREATED
    wait_for_all(replicas, views[0].revision)
    result = ReplicaLoad(views, [each.data_dir for each in replicas], records_url=records_url)
    deciders = [_decider(each, result) for each in replicas]
    with load_of(_writer(result), *deciders) as load:
        result.load = load
        load.wait_for(len(replicas))
        yield result


def _writer(result: ReplicaLoad) -> Callable[[Load], None]:
    def write(load: Load) -> None:
        for number in itertools.count():
            if load.stop.wait(_WRITE_PAUSE_S):
                return
            if len(result.acknowledged) >= MAX_WRITES:
                continue
            try:
                result.views[number % len(result.views)].create(f"No {number}", f"word{number}")
            except httpx2.HTTPError:
                load.unserved += 1

    return write


def _decider(replica: Server, result: ReplicaLoad) -> Callable[[Load], None]:
    ids = result.decided.setdefault(replica.data_dir, [])

    def ask(load: Load) -> None:
        with http_client(replica.http_url, "acme") as client:
            while not load.stop.wait(_PAUSE_S):
                try:
                    answer = client.post("/v1/decide", json={"content": {"text": RIVAL}})
                except httpx2.HTTPError:
                    load.unserved += 1
                    continue
                if answer.status_code != httpx2.codes.OK:
                    load.unserved += 1
                    continue
                decision = answer.json()
                load.answers[decision["outcome"]] += 1
                # A decision that could not be recorded in the database says so.
                if not (result.records_url and decision.get("reason_code") == "ENGINE_ERROR"):
                    ids.append(decision["decision_id"])
                if decision["outcome"] != "BLOCK":
                    load.wrong.append(decision["decision_id"])

    return ask


def agree(replicas: Sequence[Server], name: str) -> float:
    """Writes a policy, and returns the seconds until all replicas decide by it.

    Args:
        replicas: those that run.
        name: of the policy.
    """
    begin = time.monotonic()
    views = views_of("acme", replicas)
    word = name.replace(" ", "").lower()
    wait_until(lambda: _created(views[0], name, word), "a write is acknowledged")
    for each in views:
        wait_until(lambda view=each: _blocks(view, word), "all replicas agree")  # type: ignore[misc]
    return time.monotonic() - begin


def _created(view: Tenant, name: str, word: str) -> bool:
    try:
        return view.create(name, word).status_code in {httpx2.codes.CREATED, httpx2.codes.CONFLICT}
    except httpx2.HTTPError:
        return False


def _blocks(view: Tenant, word: str) -> bool:
    try:
        return bool(view.decide(word)["outcome"] == "BLOCK")
    except httpx2.HTTPError:
        return False


def check(result: ReplicaLoad, replicas: Sequence[Server]) -> None:
    """Checks that nothing acknowledged is lost, and that no decision was too permissive."""
    assert not result.load.wrong
    for each in views_of("acme", replicas):
        each.written = result.acknowledged
        assert not each.lost()
