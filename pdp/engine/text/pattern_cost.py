"""The cost class of a pattern: how often it is found in ordinary texts.

A decision locates each value that a pattern finds, so what a pattern costs depends on how much it
finds. The class is measured when a pattern is written, never on a decision. It depends on nothing
but the pattern: the texts ship with the engine.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Final

from pdp.engine.text.cost_class import EVERYWHERE_FINDS, PatternCost
from pdp.engine.text.ordinary_texts import ORDINARY_TEXTS
from pdp.engine.text.patterns import CompiledPattern, has_anchors, needs_whole_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CACHE_SIZE: Final = 256
"""How many costs of patterns that no scan looks for are in memory."""

_TEXTS: Final = tuple((text, text.encode()) for text in ORDINARY_TEXTS)
_ALL: Final = "\n".join(ORDINARY_TEXTS)
_ALL_BYTES: Final = _ALL.encode()


NOWHERE: Final = PatternCost()


def cost_of(pattern: CompiledPattern) -> PatternCost:
    """Returns the cost of a pattern, which is measured at the first call."""
    if pattern.cost is None:
        pattern.cost = _measure(pattern.source)
    return pattern.cost


@lru_cache(CACHE_SIZE)
def cost_of_source(source: str) -> PatternCost:
    """Returns the cost of a pattern that no scan looks for.

    Raises:
        InvalidPattern: `source` is not RE2.
    """
    return _measure(source)


def _measure(source: str) -> PatternCost:
    # RE2 keeps the states that it has visited. A second pattern takes them with it when it goes.
    pattern = CompiledPattern(source, small=True)
    if next(pattern.spans("", b""), None) is not None:
        return PatternCost(matches_empty=True, share=1.0)
    # Most patterns are found nowhere, and one search says so.
    if _can_search_all(source) and next(pattern.spans(_ALL, _ALL_BYTES), None) is None:
        return NOWHERE
    return measure_in(pattern, _TEXTS)


def _can_search_all(source: str) -> bool:
    """Whether a pattern that is found in a text is found in all texts together, too."""
    return not (has_anchors(source) or needs_whole_text(source))


def measure_nowhere(
    patterns: Sequence[CompiledPattern], search: Callable[[bytes], Sequence[CompiledPattern]]
) -> None:
    """Sets the costs of those of many patterns that are found nowhere, with one search for all.

    Args:
        patterns: the patterns.
        search: returns those of the patterns that are found in a text.
    """
    found = {pattern.source for pattern in search(_ALL_BYTES)}
    for pattern in patterns:
        if pattern.cost is None and pattern.source not in found and _can_search_all(pattern.source):
            pattern.cost = NOWHERE


def measure_in(pattern: CompiledPattern, texts: Sequence[tuple[str, bytes]]) -> PatternCost:
    """Returns how often a pattern is found in texts, each with its UTF-8.

    It stops when the pattern is found too often for any class but `EVERYWHERE`; what was read up to
    there stands for all then.
    """
    most = EVERYWHERE_FINDS * sum(len(text) for text, _ in texts) / 1000
    finds = matched = characters = 0
    for count, (text, data) in enumerate(texts, 1):
        found = sum(1 for _ in islice(pattern.spans(text, data), len(text) + 1))
        finds += found
        matched += found > 0
        characters += len(text)
        if finds >= most:
            return PatternCost(False, matched / count, 1000 * finds / characters)
    return PatternCost(False, matched / len(texts), 1000 * finds / characters)
