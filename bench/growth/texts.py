"""How cost grows with the length of a text: plain prose, and text full of personal data."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from bench.engine import catalog_platform, prose
from bench.growth import isolated
from bench.growth.row import Row
from bench.neighbours import dense
from pdp.domain.policy_set import PolicySet
from pdp.domain.request import Request
from pdp.engine.compiler import compile_tenant
from pdp.engine.evaluate import evaluate

if TYPE_CHECKING:
    from collections.abc import Iterator

LEAST: Final = 100
MOST: Final = 1 << 20
SECONDS: Final = 0.5
"""CPU time for each point."""

TEXTS: Final = {"plain": prose, "dense": dense}


def rows(most: int = 0) -> Iterator[Row]:
    """Yields the curves: CPU time of a decision and memory beside it, by bytes of text."""
    for kind in TEXTS:
        for size in isolated.steps(LEAST, most or MOST):
            yield from isolated.run(_measure, kind, size)


def _measure(kind: str, size: int) -> Iterator[Row]:
    text = TEXTS[kind](size)[:size]
    compiled = compile_tenant(catalog_platform(), "bench", PolicySet(), 1)
    evaluate(compiled, Request(text=TEXTS[kind](LEAST)), "id")
    before = isolated.peak_mb()
    request = Request(text=text)
    decision = evaluate(compiled, request, "id")
    memory = isolated.peak_mb() - before
    times, begin = 0, time.process_time()
    while time.process_time() - begin < SECONDS:
        evaluate(compiled, request, "id")
        times += 1
    spent = 1e6 * (time.process_time() - begin) / times
    yield Row(f"Decide, {kind} text", size, spent, "µs CPU")
    yield Row(f"memory of a decision, {kind} text", size, max(0.0, memory), "MB")
    if decision.incomplete:
        yield Row(f"refused as too much work, {kind} text", size, 1, "1 if refused")
