"""How cost grows with the number of tenants.

The tenants are written to a store. Then a process loads them one after another, as a server does at
their first request, and decides for all that it has loaded.
"""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import random
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bench.growth.isolated import resident_mb
from bench.growth.row import Row
from pdp.admin.snapshots import compile_snapshot
from pdp.admin.workspace import Workspace
from pdp.bootstrap.policies import create_publisher, open_policies
from pdp.domain import customer_policy, dlp_rule, limits, static_policy
from pdp.domain.request import Request
from pdp.domain.risk import DEFAULT_RISK_TABLE
from pdp.domain.stored_entity import StoredEntity
from pdp.engine.evaluate import evaluate
from pdp.server import garbage
from pdp.store import open_store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from pdp.publisher import Publisher
    from pdp.store.port import Store

MOST: Final = 10_000

COUNTS: Final = (1, 10, 100, 1_000, 10_000)

MANY: Final = 1_000
"""Tenants with many policies that are measured."""

TRANSACTION: Final = 100
"""Tenants that one transaction of the store writes."""

DECISIONS: Final = 5_000

SAMPLE: Final = 200
"""Tenants that are compiled once more, to measure that alone."""

TEXT: Final = (
    "Please summarise the notes of the last meeting for the whole team, list the open questions,"
    " say who answers which of them, and leave out what was decided before. Keep it short. Thanks!"
)


def one_policy(tenant_id: str) -> Iterator[StoredEntity]:
    """Yields the policy of a small tenant."""
    yield _static(tenant_id, 0)


def forty_policies(tenant_id: str) -> Iterator[StoredEntity]:
    """Yields the policies of a tenant that uses several policy systems."""
    for index in range(20):
        yield _static(tenant_id, index)
    for index in range(10):
        yield _dlp(tenant_id, index)
    for index in range(5):
        yield _limit(tenant_id, index)
        yield _customer(tenant_id, index)


KINDS: Final = {"1 policy": (one_policy, MOST), "40 policies": (forty_policies, MANY)}


def _static(tenant_id: str, index: int) -> StoredEntity:
    name, pattern = f"Project {index}", rf"(?i)\bproject {tenant_id}-{index}\b"
    policy = static_policy.StaticPolicy(f"pol_{index}", name, "custom", pattern, "block")
    body = static_policy.body_of(policy)
    return StoredEntity(static_policy.KIND, tenant_id, policy.id, body, name=name)


def _dlp(tenant_id: str, index: int) -> StoredEntity:
    body = {
        "id": f"dlp_{index}",
        "detector_name": f"Employee {index}",
        "detector_type": dlp_rule.REGEX,
        "entity_type": "EMPLOYEE",
        "action_tier": "redact",
        "config_json": {"pattern": rf"\bE{tenant_id}-{index}-\d{{5}}\b"},
    }
    return StoredEntity(dlp_rule.KIND, tenant_id, f"dlp_{index}", body, name=None)


def _limit(tenant_id: str, index: int) -> StoredEntity:
    limit = limits.Limit(f"lim_{index}", "user", f"user-{index}", requests_per_minute=60)
    return StoredEntity(limits.KIND, tenant_id, limit.id, limits.body_of(limit), name=None)


def _customer(tenant_id: str, index: int) -> StoredEntity:
    body = {
        "customer_id": f"customer-{index}",
        "document": {
            "blocked_actions": ["delete", "export"],
            "custom_rules": {"big": {"condition": f"action = 'a{index}'", "score_impact": 10}},
        },
    }
    return StoredEntity(customer_policy.KIND, tenant_id, f"customer-{index}", body, name=None)


def tenant(index: int) -> str:
    """Returns the id of a tenant."""
    return f"tenant-{index}"


def fill(url: str, kind: str, count: int) -> None:
    """Writes the policies of tenants to a store."""
    entities, _ = KINDS[kind]
    store = open_policies(url)
    for begin in range(0, count, TRANSACTION):
        with store.write() as transaction:
            for index in range(begin, min(begin + TRANSACTION, count)):
                for entity in entities(tenant(index)):
                    transaction.put(entity, actor="bench", summary="")
    store.close()


class Pauses:
    """Measures how long the garbage collector stops everything, by its CPU time."""

    def __init__(self) -> None:
        self.longest_s = 0.0
        self._begin = 0.0

    def __call__(self, phase: str, _: dict[str, Any]) -> None:
        """See `gc.callbacks`."""
        now = time.thread_time()  # it begins and ends in one thread
        if phase == "start":
            self._begin = now
        else:
            self.longest_s = max(self.longest_s, now - self._begin)


def rows(most: int = 0) -> Iterator[Row]:
    """Yields the curves: first touch, memory, pauses and decisions, by tenants in memory."""
    for kind, (_, limit) in KINDS.items():
        count = min(most or MOST, limit)
        with tempfile.TemporaryDirectory() as folder:
            url = f"sqlite:///{Path(folder) / 'pdp.db'}"
            context = multiprocessing.get_context("spawn")
            # In other processes, so that the memory of one step is not reused by the next.
            _run(context.Process(target=fill, args=(url, kind, count)))
            queue = context.Queue()
            measuring = context.Process(target=_measure_all, args=(url, kind, count, queue))
            measuring.start()
            while (row := queue.get()) is not None:
                yield Row(*row)
            measuring.join()


def _run(process: Any) -> None:
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(f"a process of the bench ended with {process.exitcode}")


def _measure_all(url: str, kind: str, count: int, queue: Any) -> None:
    async def run() -> None:
        async for row in measure(url, kind, count):
            queue.put(tuple(row))

    try:
        asyncio.run(run())
    finally:
        queue.put(None)


async def measure(url: str, kind: str, count: int) -> AsyncIterator[Row]:
    """Loads the tenants of a store, and yields the points of the curves."""
    store = open_store(url)
    publisher = create_publisher(store, DEFAULT_RISK_TABLE)
    workspace = Workspace(store, publisher)
    pauses = Pauses()
    garbage.start()
    gc.callbacks.append(pauses)
    publisher.on_publish = garbage.freeze_snapshots
    try:
        loaded = 0
        for target in (*(each for each in COUNTS if each < count), count):
            pauses.longest_s, memory, spent = 0.0, resident_mb(), time.process_time()
            for index in range(loaded, target):
                await workspace.load(tenant(index))
            spent, memory = time.process_time() - spent, 1_000 * (resident_mb() - memory)
            tenants = target - loaded
            yield Row(f"first touch, {kind}", target, spent / tenants * 1_000, "ms CPU")
            compiling = compile_ms(store, publisher, target)
            yield Row(f"of it, reading and compiling, {kind}", target, compiling, "ms CPU")
            yield Row(f"memory of a tenant, {kind}", target, memory / tenants, "kB")
            yield Row(
                f"estimated memory, {kind}", target, publisher.cache.size / target / 1e3, "kB"
            )
            yield Row(f"memory of the process, {kind}", target, resident_mb(), "MB")
            yield Row(f"longest pause, {kind}", target, pauses.longest_s * 1_000, "ms")
            yield Row(f"Decide, {kind}", target, decide_us(publisher, target), "µs CPU")
            loaded = target
    finally:
        gc.callbacks.remove(pauses)
        workspace.close()
        store.close()


def compile_ms(store: Store, publisher: Publisher, tenants: int) -> float:
    """Returns the time of reading and compiling a tenant, without the way to another thread."""
    sample = min(tenants, SAMPLE)
    spent = time.process_time()
    for index in range(sample):
        with store.view() as reader:
            compile_snapshot(reader, tenant(index), publisher.platform, None)
    return (time.process_time() - spent) / sample * 1_000


def decide_us(publisher: Publisher, tenants: int) -> float:
    """Returns the time of one decision in the engine, for tenants at random."""
    choose = random.Random(7)  # noqa: S311 - not for security
    ids = [tenant(choose.randrange(tenants)) for _ in range(DECISIONS)]
    request = Request(text=TEXT)
    spent = time.process_time()
    for tenant_id in ids:
        snapshot = publisher.current(tenant_id)
        if snapshot is None:
            raise RuntimeError("the tenant is not in memory: the cache is too small")
        evaluate(snapshot, request, "id")
    return (time.process_time() - spent) / DECISIONS * 1e6
