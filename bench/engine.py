"""Measures the engine alone, by the size of the text and by the number of patterns."""

from __future__ import annotations

import random
import time
from contextlib import closing
from functools import cache
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from pdp import catalog
from pdp.bootstrap.policies import open_policies
from pdp.detect.validators import VALIDATORS
from pdp.domain.kinds import read_policies
from pdp.domain.policy_set import PolicySet
from pdp.domain.request import Request
from pdp.domain.static_policy import KIND, StaticPolicy
from pdp.domain.tenant import PLATFORM
from pdp.engine.compiler import compile_platform, compile_tenant
from pdp.engine.evaluate import evaluate

if TYPE_CHECKING:
    from collections.abc import Callable

    from pdp.engine.snapshot import Platform, Snapshot

SIZES = (200, 2_000, 20_000, 200_000)
COUNTS = (50, 500, 5_000)

_WORDS = [
    "the",
    "report",
    "shows",
    "that",
    "most",
    "customers",
    "were",
    "pleased",
    "with",
    "the",
    "new",
    "release",
    "and",
    "asked",
    "for",
    "more",
    "examples",
    "in",
    "the",
    "guide",
    "while",
    "a",
    "few",
    "of",
    "them",
    "could",
    "not",
    "find",
    "the",
    "settings",
    "page",
    "at",
    "all",
    "so",
    "the",
    "team",
    "will",
    "write",
    "a",
    "shorter",
    "introduction",
    "and",
    "add",
    "pictures",
    "of",
    "every",
    "step",
    "to",
    "it",
    "next",
    "month",
]


def prose(size: int, seed: int = 7) -> str:
    """Returns `size` characters of harmless prose."""
    generator = random.Random(seed)  # noqa: S311 - a text, not a secret
    words: list[str] = []
    length = 0
    while length < size:
        words.append(generator.choice(_WORDS))
        length += len(words[-1]) + 1
    return " ".join(words)[:size]


def synthetic(count: int) -> dict[str, StaticPolicy]:
    """Returns `count` policies like those of tenants: names, codes, phrases, alternatives."""
    shapes = (
        r"(?i)\bproject-{0}\b",
        r"\bPRJ{0}-[0-9]{{4,6}}\b",
        r"(?i)internal{0}\s+(only\s+)?draft{0}",
        r"(?i)(rival{0}|competitor-{0}|vendor{0}x)",
    )
    policies = {}
    for index in range(count):
        pattern = shapes[index % len(shapes)].format(index)
        policy_id = f"pol_{index}"
        policies[policy_id] = StaticPolicy(policy_id, f"Policy {index}", "custom", pattern, "block")
    return policies


def catalog_snapshot() -> Snapshot:
    """Returns the snapshot of a new tenant, which has only the catalog."""
    return compile_tenant(catalog_platform(), "bench", PolicySet(), 1)


def catalog_platform() -> Platform:
    """Returns the compiled catalog: every policy, rule and detector, as on a new server."""
    return compile_platform(_catalog_policies(), VALIDATORS, detectors=catalog.detectors())


@cache
def _catalog_policies() -> PolicySet:
    with (
        TemporaryDirectory() as folder,
        closing(open_policies(f"sqlite:///{folder}/pdp.db")) as store,
        store.view() as reader,
    ):
        return read_policies(reader.list_tenant(PLATFORM))


def microseconds(work: Callable[[], object], budget_s: float = 0.4) -> float:
    """Returns the time of `work` in microseconds: the best of several rounds."""
    work()
    begin = time.perf_counter()
    work()
    once = max(time.perf_counter() - begin, 1e-7)
    rounds, each = 5, max(1, int(budget_s / 5 / once))
    best = float("inf")
    for _ in range(rounds):
        begin = time.perf_counter()
        for _ in range(each):
            work()
        best = min(best, (time.perf_counter() - begin) / each)
    return best * 1e6


def by_size() -> dict[int, float]:
    """Returns the microseconds of a decision with the catalog, by the length of the text."""
    snapshot = catalog_snapshot()
    times = {}
    for size in SIZES:
        request = Request(text=prose(size))
        decision = evaluate(snapshot, request, "id")
        if decision.matches:
            raise SystemExit(f"the text of the benchmark matches {decision.matches[0].policy_id}")
        times[size] = microseconds(lambda request=request: evaluate(snapshot, request, "id"))  # type: ignore[misc]
    return times


def by_count() -> dict[int, tuple[float, float]]:
    """Returns the µs of a decision at 2 kB and the ms to add a pattern, by number of patterns."""
    platform = compile_platform(PolicySet(), VALIDATORS)
    request = Request(text=prose(2_000))
    times = {}
    for count in COUNTS:
        policies = PolicySet({KIND: synthetic(count)})
        snapshot = compile_tenant(platform, "bench", policies, 1)
        decide = microseconds(lambda snapshot=snapshot: evaluate(snapshot, request, "id"))  # type: ignore[misc]
        times[count] = (decide, _slowest_addition_ms(snapshot))
    return times


def _slowest_addition_ms(snapshot: Snapshot, additions: int = 40) -> float:
    """Adds policies one after the other, and returns the time of the slowest addition."""
    slowest = 0.0
    for index in range(additions):
        policy = StaticPolicy(f"new_{index}", f"New {index}", "custom", rf"\bNEW{index}\b", "log")
        policies = snapshot.policies.with_policies(KIND, {policy.id: policy})
        begin = time.perf_counter()
        snapshot = compile_tenant(snapshot.platform, "bench", policies, index + 2, snapshot)
        slowest = max(slowest, time.perf_counter() - begin)
    return slowest * 1e3
