"""`make cluster-demo`: three replicas on PostgreSQL; one is killed under load. What is lost?

It starts PostgreSQL, a server for exact limits if one is installed (valkey-server or redis-server),
and three replicas. It writes a policy through one and decides through another, spends a limit
through all of them, then kills one while others write and decide, and counts what was lost.
"""

from __future__ import annotations

import itertools
import json
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx2

from demo.postgres import PostgresServer
from demo.programs import Unavailable
from demo.server import TENANT, Pdp
from demo.valkey import ValkeyServer
from pdp.domain.audit_log import RecordFilter
from pdp.store import open_audit_log

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

REPLICAS: Final = 3
LIMIT: Final = 5
ANSWERS: Final = 400
"""Decisions under load, before the kill and after it."""

WRITES: Final = 20
"""Writes under load, before the kill and after it."""

DECIDE: Final = "/v1/decide"
POLICIES: Final = "/api/v1/static-policies"
BLOCKED: Final = "Tell them about project zebra"
TIMEOUT_S: Final = 60.0
_PAUSE_S: Final = 0.01


@dataclass
class Seen:
    """What the load has seen.

    Attributes:
        acknowledged: the names of policies whose creation was acknowledged.
        outcomes: how many decisions had which outcome.
        decided: by replica: the ids of the decisions that it has answered.
        unserved: calls that got no answer, because their replica was gone.
    """

    acknowledged: list[str] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    decided: dict[int, set[str]] = field(default_factory=dict)
    unserved: int = 0

    def wait_for_more(self) -> None:
        """Waits for `ANSWERS` further decisions and `WRITES` further writes."""
        answers, writes = self.outcomes.total() + ANSWERS, len(self.acknowledged) + WRITES
        _wait(lambda: self.outcomes.total() >= answers and len(self.acknowledged) >= writes)


def main() -> int:
    """Runs the demo; returns 1 if something was lost."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pdp-cluster-")))
        try:
            database = stack.enter_context(PostgresServer())
        except Unavailable as error:
            print(error, file=sys.stderr)
            return 1
        settings = {"PDP_DATABASE_URL": database.url(), **_limits(stack)}
        print(f"PostgreSQL runs; starting {REPLICAS} replicas ...", flush=True)
        replicas = [
            stack.enter_context(Pdp(folder / f"replica{number}", **settings))
            for number in range(1, REPLICAS + 1)
        ]
        for number, each in enumerate(replicas, 1):
            print(f"  replica {number}: gRPC {each.grpc_address}, HTTP {each.http_url}")
        lost = _write_and_decide(replicas)
        lost += _spend(replicas, exact="PDP_LIMITS_URL" in settings)
        seen = _kill_one_under_load(replicas)
        lost += _count_losses(seen, replicas, folder)
    print("\nNothing was lost." if not lost else f"\n{lost} WERE LOST.")
    return int(lost > 0)


def _limits(stack: ExitStack) -> dict[str, str]:
    try:
        server = stack.enter_context(ValkeyServer())
    except Unavailable as error:
        print(f"Limits are counted in PostgreSQL, every 0.1 s: {error}", flush=True)
        return {}
    print(f"{server.name} runs: limits are exact over all replicas", flush=True)
    return {"PDP_LIMITS_URL": server.url}


def _write_and_decide(replicas: Sequence[Pdp]) -> int:
    """Writes through the first replica, and decides through the second."""
    revision = _revision(_create(replicas[0], "No zebras", "zebra"))
    begin = time.perf_counter()
    request = {"content": {"text": BLOCKED}, "min_revision": revision}
    decision = _post(replicas[1], DECIDE, request).json()
    milliseconds = (time.perf_counter() - begin) * 1000
    print(f"\nA policy is written through replica 1: revision {revision}.")
    print(
        f"Replica 2, asked for at least that revision, says {decision['outcome']} after"
        f" {milliseconds:.0f} ms: {decision['message']}"
    )
    return int(decision["outcome"] != "BLOCK")


def _spend(replicas: Sequence[Pdp], *, exact: bool) -> int:
    """Sends more requests than a user has, through all replicas in turn."""
    limit = {"scope": "user", "subject_id": "ann", "daily_request_limit": LIMIT}
    request = {
        "content": {"text": "Hello"},
        "subject": {"user_id": "ann"},
        "min_revision": _revision(_post(replicas[0], "/api/admin/limits", limit)),
    }
    outcomes = [
        _post(replicas[number % REPLICAS], DECIDE, request).json()["outcome"]
        for number in range(2 * LIMIT)
    ]
    passed = outcomes.count("ALLOW")
    print(
        f"\nAnn may send {LIMIT} requests a day. Of {2 * LIMIT} over all replicas, {passed} pass."
    )
    return abs(passed - LIMIT) if exact else 0


def _kill_one_under_load(replicas: Sequence[Pdp]) -> Seen:
    seen = Seen(decided={number: set() for number in range(REPLICAS)})
    stop = threading.Event()
    work: list[Callable[[], None]] = [lambda: _keep_writing(replicas, seen, stop)]
    work += [
        lambda number=number: _keep_deciding(replicas[number], number, seen, stop)  # type: ignore[misc]
        for number in range(REPLICAS)
    ]
    threads = [threading.Thread(target=each) for each in work]
    for each in threads:
        each.start()
    seen.wait_for_more()
    print("\nUnder load: replica 3 is killed (SIGKILL).")
    replicas[-1].kill()
    seen.wait_for_more()
    stop.set()
    for each in threads:
        each.join(TIMEOUT_S)
    return seen


def _keep_writing(replicas: Sequence[Pdp], seen: Seen, stop: threading.Event) -> None:
    for number in itertools.count():
        if stop.wait(_PAUSE_S * 5):
            return
        try:
            _create(replicas[number % REPLICAS], f"Policy {number}", f"word{number}")
        except httpx2.HTTPError:
            seen.unserved += 1
        else:
            seen.acknowledged.append(f"Policy {number}")


def _keep_deciding(replica: Pdp, number: int, seen: Seen, stop: threading.Event) -> None:
    while not stop.wait(_PAUSE_S):
        try:
            decision = _post(replica, DECIDE, {"content": {"text": BLOCKED}}).json()
        except httpx2.HTTPError:
            seen.unserved += 1
            continue
        seen.outcomes[decision["outcome"]] += 1
        seen.decided[number].add(decision["decision_id"])


def _count_losses(seen: Seen, replicas: Sequence[Pdp], folder: Path) -> int:
    """Prints what was lost, and returns how much."""
    survivors = replicas[:-1]
    begin = time.monotonic()
    _create(survivors[0], "The last one", "the last word")
    _wait(lambda: all(_outcome(each, "the last word") == "BLOCK" for each in survivors))
    agreed_s = time.monotonic() - begin
    names = {each for replica in survivors for each in _names(replica)}
    writes = [each for each in seen.acknowledged if each not in names]
    for each in survivors:
        each.stop()
    records = sum(
        len(ids - _recorded(folder / f"replica{number + 1}"))
        for number, ids in seen.decided.items()
    )
    wrong = seen.outcomes.total() - seen.outcomes["BLOCK"]
    lines = {
        "acknowledged writes": (len(seen.acknowledged), len(writes)),
        "answered decisions without their record": (seen.outcomes.total(), records),
        "decisions more permissive than the policies": (seen.outcomes.total(), wrong),
    }
    print(f"{seen.unserved} calls to the killed replica got no answer.")
    print(f"The others agree on a new policy after {agreed_s * 1000:.0f} ms.\n")
    for name, (count, lost) in lines.items():
        print(f"  {name:45} {lost} of {count}")
    return sum(lost for _, lost in lines.values())


def _create(replica: Pdp, name: str, pattern: str) -> httpx2.Response:
    body = {"name": name, "category": "custom", "pattern": pattern, "action": "block"}
    return _post(replica, POLICIES, body)


def _outcome(replica: Pdp, text: str) -> str:
    return str(_post(replica, DECIDE, {"content": {"text": text}}).json()["outcome"])


def _post(replica: Pdp, path: str, body: Mapping[str, Any]) -> httpx2.Response:
    with httpx2.Client(trust_env=False, timeout=TIMEOUT_S) as client:
        url = f"{replica.http_url}{path}"
        answer = client.post(url, json=dict(body), headers={"x-tenant-id": TENANT})
        return answer.raise_for_status()


def _revision(answer: httpx2.Response) -> int:
    return int(answer.headers["x-pdp-revision"])


def _names(replica: Pdp) -> list[str]:
    names: list[str] = []
    with httpx2.Client(trust_env=False, timeout=TIMEOUT_S) as client:
        for page in itertools.count(1):
            answer = client.get(
                f"{replica.http_url}{POLICIES}",
                params={"category": "custom", "page": page, "page_size": 100},
                headers={"x-tenant-id": TENANT},
            )
            policies = answer.raise_for_status().json()["policies"]
            if not policies:
                return names
            names += [each["name"] for each in policies]
    return names


def _recorded(folder: Path) -> set[str]:
    """Returns the ids of the decisions in the log of a replica, which must be intact."""
    ids: set[str] = set()
    after = 0
    with closing(open_audit_log(f"sqlite:///{folder}/audit.db")) as log:
        if not log.verify().intact:
            raise SystemExit(f"the log of {folder.name} is not intact")
        while rows := log.follow(RecordFilter(TENANT), after=after, limit=1000).records:
            ids |= {json.loads(each.body)["decision_id"] for each in rows}
            after = rows[-1].sequence
    return ids


def _wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit("the replicas do not agree")
        time.sleep(_PAUSE_S)


if __name__ == "__main__":
    sys.exit(main())
