"""Measures how the cost of administration grows: writes, pages, whole lists, and their neighbours.

`python -m bench.growth.admin` prints its rows as JSON.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import sys
import tempfile
import threading
import time
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc

from bench.growth.row import Row
from bench.load import decide_request
from bench.servers import RunningServer, pdp_server
from pdp._gen.pdp.v1 import decide_pb2, decide_pb2_grpc
from pdp.bootstrap.policies import open_policies
from pdp.domain import dlp_rule, static_policy
from pdp.domain.dlp_rule import DlpRule
from pdp.domain.static_policy import StaticPolicy
from pdp.domain.stored_entity import StoredEntity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pdp.store.port import Transaction

RULES = (10, 100, 1_000, 10_000)
VERSIONS = (1_000, 10_000, 100_000)
WRITES_PER_S = (0, 10, 50)

CALLS = 50
"""Calls for one figure of CPU time."""

DECISIONS_PER_S = 200
SECONDS = 8
"""How long decisions are measured beside writes."""

TENANT = "acme"
RULES_PATH = "/api/admin/dlp-rules"
POLICIES_PATH = "/api/v1/static-policies"


def rows(most: int = 0) -> Iterator[Row]:
    """Measures everything, in some two minutes, and yields the points.

    Args:
        most: the largest number of rules and versions; 0 for the largest of all.
    """
    most = most or max(RULES + VERSIONS)
    with tempfile.TemporaryDirectory() as folder:
        for count in (each for each in RULES if each <= most):
            yield from _cpu_of_calls(Path(folder, f"rules-{count}"), count)
        for count in (each for each in VERSIONS if each <= most):
            yield from _memory_of_a_list(Path(folder, f"versions-{count}"), count)
        yield from _decisions_beside_writes(Path(folder, "writes"))


def _cpu_of_calls(data_dir: Path, count: int) -> list[Row]:
    """Returns the server's CPU time of one write and of one page, with `count` rules of a kind."""
    _fill(data_dir, lambda transaction: _put_rules(transaction, count))
    places = [number * 7919 % count for number in range(CALLS)]
    last_page = -(-count // 50)
    calls: dict[str, Callable[[int], tuple[str, str, Any]]] = {
        "PUT of one DLP rule": lambda n: (
            "PUT",
            f"{RULES_PATH}/r{places[n]}",
            {"action_tier": "block" if n % 2 else "redact"},
        ),
        "PUT of one static policy": lambda n: (
            "PUT",
            f"{POLICIES_PATH}/pol_{places[n]}",
            {"pattern": f"changed{n}x"},
        ),
        "page of 50 DLP rules": lambda n: ("GET", f"{RULES_PATH}?page_size=50", None),
        "page of 50 static policies": lambda n: (
            "GET",
            f"{POLICIES_PATH}?page={1 + n % last_page}&page_size=50",
            None,
        ),
        "page of 50 enabled static policies": lambda n: (
            "GET",
            f"{POLICIES_PATH}?page={1 + n % last_page}&page_size=50&enabled=true",
            None,
        ),
    }
    with pdp_server(data_dir) as server, _client(server) as send:
        send("GET", f"{RULES_PATH}?page_size=1", None)
        points = []
        for name, call in calls.items():
            send(*call(0))
            begin = server.cpu_s()
            for number in range(CALLS):
                send(*call(number))
            cpu_ms = (server.cpu_s() - begin) / CALLS * 1000
            points.append(Row(f"admin: {name}", count, round(cpu_ms, 2), "ms CPU"))
        return points


def _memory_of_a_list(data_dir: Path, count: int) -> list[Row]:
    """Returns how much the peak of the server's memory rises while a history is read whole."""
    _fill(data_dir, lambda transaction: _put_versions(transaction, count))
    path = f"{RULES_PATH}/r0/versions"
    with pdp_server(data_dir) as server, _client(server) as send:
        send("GET", f"{path}?page_size=50", None)
        before = server.peak_mib()
        begin = server.cpu_s()
        size = send("GET", path, None)
        cpu_us = (server.cpu_s() - begin) / count * 1e6
        risen = server.peak_mib() - before
    name = "admin: whole list of versions"
    return [
        Row(f"{name}, memory", count, round(risen, 1), "MiB"),
        Row(f"{name}, size", count, round(size / 2**20, 1), "MiB"),
        Row(f"{name}, each version", count, round(cpu_us, 1), "us CPU"),
    ]


def _decisions_beside_writes(data_dir: Path) -> list[Row]:
    _fill(data_dir, lambda transaction: _put_rules(transaction, 1_000))
    name = "admin: Decide beside writes"
    points = []
    with pdp_server(data_dir) as server:
        for rate in WRITES_PER_S:
            stop = threading.Event()
            writer = threading.Thread(target=_write, args=(server, rate, stop))
            writer.start()
            try:
                latencies = asyncio.run(_decide(server.port))
            finally:
                stop.set()
                writer.join()
            for share in (0.5, 0.99):
                value = latencies[int(len(latencies) * share)]
                curve = f"{name}, p{share * 100:.0f}"
                points.append(Row(curve, rate, round(value * 1000, 2), "ms"))
    return points


async def _decide(port: int) -> list[float]:
    """Sends decisions at a fixed rate; returns the latencies since each was due, sorted."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = decide_pb2_grpc.DecideServiceStub(channel)
        request = decide_request()
        for _ in range(DECISIONS_PER_S):
            await stub.Decide(request)
        begin = time.perf_counter()

        async def call(number: int) -> float:
            due = begin + number / DECISIONS_PER_S
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            answer: decide_pb2.DecideResponse = await stub.Decide(request)
            assert answer.outcome  # noqa: S101 - a decision
            return time.perf_counter() - due

        return sorted(await asyncio.gather(*map(call, range(DECISIONS_PER_S * SECONDS))))


def _write(server: RunningServer, rate: int, stop: threading.Event) -> None:
    """Changes DLP rules at a fixed rate until `stop` is set."""
    if not rate:
        return
    with _client(server) as send:
        number = 0
        begin = time.perf_counter()
        while not stop.wait(max(0.0, begin + number / rate - time.perf_counter())):
            tier = "block" if number // 1_000 % 2 else "redact"
            send("PUT", f"{RULES_PATH}/r{number % 1_000}", {"action_tier": tier})
            number += 1


@contextmanager
def _client(server: RunningServer) -> Iterator[Callable[[str, str, Any], int]]:
    """Yields a function that sends a request and returns the size of the response's body."""
    with closing(http.client.HTTPConnection("127.0.0.1", server.http_port)) as connection:

        def send(method: str, path: str, body: Any) -> int:
            headers = {"X-Tenant-ID": TENANT, "Content-Type": "application/json"}
            raw = None if body is None else json.dumps(body)
            connection.request(method, path, raw, headers)
            response = connection.getresponse()
            size = 0
            while chunk := response.read(65_536):
                size += len(chunk)
            if response.status >= 400:
                sys.exit(f"{method} {path} failed with {response.status}")
            return size

        yield send


def _fill(data_dir: Path, put: Callable[[Transaction], None]) -> None:
    data_dir.mkdir(mode=0o700)
    store = open_policies(f"sqlite:///{data_dir}/pdp.db")
    with closing(store), store.write() as transaction:
        put(transaction)


def _put_rules(transaction: Transaction, count: int) -> None:
    for number in range(count):
        _put_rule(transaction, number)
        name = f"pol_{number}"
        policy = StaticPolicy(name, f"Policy {number}", "custom", f"static{number}x", "warn")
        body = static_policy.body_of(policy)
        entity = StoredEntity(static_policy.KIND, TENANT, name, body, name=policy.name)
        transaction.put(entity, actor="bench", summary="Created")


def _put_versions(transaction: Transaction, count: int) -> None:
    for number in range(count):
        _put_rule(transaction, 0, tier="block" if number % 2 else "redact")


def _put_rule(transaction: Transaction, number: int, tier: str = "redact") -> None:
    rule = DlpRule(
        id=f"r{number}",
        detector_name=f"Rule {number}",
        detector_type="regex",
        entity_type=f"CODE_{number % 100}",
        action_tier=tier,
        enabled=True,
        confidence_threshold=0.5,
        config_json={"pattern": f"word{number}[a-z]{{2}}x"},
    )
    body = dlp_rule.body_of(rule)
    entity = StoredEntity(dlp_rule.KIND, TENANT, rule.id, body, name=rule.detector_name)
    transaction.put(entity, actor="bench", summary="Updated")


if __name__ == "__main__":
    json.dump([row._asdict() for row in rows()], sys.stdout, indent=1)
