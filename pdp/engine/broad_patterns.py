"""The patterns of a tenant that match nearly everywhere, and their bound.

What such a pattern costs grows with the text, in every decision of the tenant. So their number has
a bound. It holds for writes. Policies that are stored already are loaded and stay in force.
"""

from __future__ import annotations

from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Final

from pdp.domain.detector import CUSTOM
from pdp.domain.policy_pack import RULE_KIND
from pdp.engine.layers.chain import ChainLayer
from pdp.engine.layers.dlp import DlpLayer
from pdp.engine.layers.static import StaticLayer
from pdp.engine.shards import ScanMemoryExhausted
from pdp.engine.text.pattern_cost import cost_of, cost_of_source, measure_nowhere

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from pdp.engine.snapshot import Snapshot
    from pdp.engine.text.cost_class import PatternCost

MAX_BROAD_PATTERNS: Final = 100
"""Patterns that match nearly everywhere, of one tenant's policies in force. Two policies with the
same pattern count twice, because each has its own findings."""

MANY: Final = 50
"""So many patterns are measured together first."""


def pattern_cost(snapshot: Snapshot, source: str) -> PatternCost:
    """Returns the cost of a pattern, which is measured once if the tenant's scan looks for it.

    Raises:
        InvalidPattern: `source` is not RE2.
    """
    for patterns in (snapshot.patterns, snapshot.platform.patterns):
        compiled = patterns.compiled.get(source)
        if compiled is not None:
            return cost_of(compiled)
    return cost_of_source(source)


def measure_many(snapshot: Snapshot) -> None:
    """Measures most of the tenant's patterns at once, which is faster than one by one.

    It does nothing if only a few are not measured yet.
    """
    for shard in snapshot.patterns.shards:
        unmeasured = sum(pattern.cost is None for pattern in shard.patterns)
        if unmeasured >= MANY:
            # Without memory for all patterns together, they are measured one by one.
            with suppress(ScanMemoryExhausted):
                measure_nowhere(shard.patterns, shard.search)


def count_broad_patterns(snapshot: Snapshot, at_most: int | None = None) -> int:
    """Returns how many patterns of the tenant's policies in force match nearly everywhere.

    Args:
        snapshot: the tenant's policies.
        at_most: where to stop; None to count all.
    """
    measure_many(snapshot)
    broad = (
        source for source in _own_patterns(snapshot) if pattern_cost(snapshot, source).is_everywhere
    )
    return sum(1 for _ in islice(broad, at_most))


def _own_patterns(snapshot: Snapshot) -> Iterator[str]:
    """Yields the pattern of each of the tenant's own policies that are in force."""
    own_rules = snapshot.policies.of_kind(RULE_KIND)
    for layer in snapshot.layers:
        if isinstance(layer, StaticLayer):
            yield from _of_static_policies(layer)
        elif isinstance(layer, DlpLayer):
            yield from _of_dlp_rules(layer)
        elif isinstance(layer, ChainLayer):
            yield from _of_pack_rules(layer, own_rules)


def _of_static_policies(layer: StaticLayer) -> Iterator[str]:
    for pattern, policies in layer.by_pattern.items():
        yield from (pattern for each in policies if not each.policy.system)


def _of_dlp_rules(layer: DlpLayer) -> Iterator[str]:
    for rule in layer.book.rules:
        for detector in rule.detectors:
            if detector.category == CUSTOM:
                yield from detector.patterns


def _of_pack_rules(layer: ChainLayer, own_rules: Container[str]) -> Iterator[str]:
    for chain_rule in layer.chains.rules:
        pattern = chain_rule.conditions.content_regex
        if pattern and chain_rule.rule.id in own_rules:
            yield pattern
