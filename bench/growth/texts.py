"""How cost grows with the length of a text: plain prose, and text full of personal data."""

from __future__ import annotations

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
TEXTS: Final = {"plain": prose, "dense": dense}


def rows(most: int = 0) -> Iterator[Row]:
    """Yields the curves: CPU time of a decision and memory beside it, by bytes of text."""
    for kind in TEXTS:
        for size in isolated.steps(LEAST, most or MOST):
            yield from isolated.run(_measure, kind, size)


def _measure(kind: str, size: int) -> Iterator[Row]:
    request = Request(text=TEXTS[kind](size)[:size])
    compiled = compile_tenant(catalog_platform(), "bench", PolicySet(), 1)
    decision = evaluate(compiled, request, "id")
    spent = isolated.cpu_us(lambda: evaluate(compiled, request, "id"))
    memory = isolated.peak_mb(lambda: evaluate(compiled, request, "id"))
    yield Row(f"Decide, {kind} text", size, spent, "µs CPU")
    yield Row(f"memory of a decision, {kind} text", size, memory, "MB")
    if decision.incomplete:
        yield Row(f"refused as too much work, {kind} text", size, 1, "1 if refused")
