"""The patterns of a tenant that match nearly everywhere, and their bound.

What such a pattern costs grows with the text, in every decision of the tenant. So their number has
a bound. It holds for writes. Policies that are stored already are loaded and stay in force.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pdp.domain.detector import CUSTOM
from pdp.domain.policy_pack import RULE_KIND
from pdp.engine.layers.chain import ChainLayer
from pdp.engine.layers.dlp import DlpLayer
from pdp.engine.layers.static import StaticLayer
from pdp.engine.text.pattern_cost import PatternCost, cost_of, cost_of_source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pdp.engine.snapshot import Snapshot

MAX_BROAD_PATTERNS: Final = 100
"""Patterns that match nearly everywhere, of one tenant's policies in force. Two policies with the
same pattern count twice, because each has its own findings."""


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


def count_broad_patterns(snapshot: Snapshot) -> int:
    """Returns how many patterns of the tenant's policies in force match nearly everywhere."""
    return sum(pattern_cost(snapshot, each).is_everywhere for each in _own_patterns(snapshot))


def _own_patterns(snapshot: Snapshot) -> Iterator[str]:
    """Yields the pattern of each of the tenant's own policies that are in force."""
    own_rules = snapshot.policies.of_kind(RULE_KIND)
    for layer in snapshot.layers:
        if isinstance(layer, StaticLayer):
            for pattern, policies in layer.by_pattern.items():
                yield from (pattern for policy in policies if not policy.system)
        elif isinstance(layer, DlpLayer):
            for rule in layer.book.rules:
                for detector in rule.detectors:
                    if detector.category == CUSTOM:
                        yield from detector.patterns
        elif isinstance(layer, ChainLayer):
            for chain_rule in layer.chains.rules:
                pattern = chain_rule.conditions.content_regex
                if pattern and chain_rule.rule.id in own_rules:
                    yield pattern
