"""The cost class of a pattern: how often it is found in ordinary texts.

A decision locates each value that a pattern finds, so what a pattern costs depends on how much it
finds. The class is measured when a pattern is written, never on a decision. It depends on nothing
but the pattern: the texts ship with the engine.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from pdp.engine.text.ordinary_texts import ORDINARY_TEXTS
from pdp.engine.text.patterns import CompiledPattern, has_anchors, needs_whole_text

if TYPE_CHECKING:
    from collections.abc import Sequence

RARE: Final = "rare"
COMMON: Final = "common"
EVERYWHERE: Final = "everywhere"

COMMON_SHARE: Final = 0.25
COMMON_FINDS: Final = 2
"""A pattern is `common` if it is found in this share of the texts, or so many times in each 1,000
characters of them."""

EVERYWHERE_SHARE: Final = 0.75
EVERYWHERE_FINDS: Final = 20
"""The same for `everywhere`. A pattern that matches the empty text is `everywhere` too."""

CACHE_SIZE: Final = 256
"""How many costs of patterns that no scan looks for are in memory."""

_TEXTS: Final = tuple((text, text.encode()) for text in ORDINARY_TEXTS)
_ALL: Final = "\n".join(ORDINARY_TEXTS)
_ALL_BYTES: Final = _ALL.encode()


class PatternCost(NamedTuple):
    """How often a pattern is found in ordinary texts.

    Attributes:
        matches_empty: whether it matches the empty text, and so at every place.
        share: the share of the texts in which it is found, from 0 to 1.
        finds: how many times it is found in 1,000 characters.
    """

    matches_empty: bool = False
    share: float = 0.0
    finds: float = 0.0

    @property
    def cost_class(self) -> str:
        """`RARE`, `COMMON` or `EVERYWHERE`."""
        if self.is_everywhere:
            return EVERYWHERE
        is_common = self.share >= COMMON_SHARE or self.finds >= COMMON_FINDS
        return COMMON if is_common else RARE

    @property
    def is_everywhere(self) -> bool:
        """Whether the pattern matches nearly everywhere."""
        return (
            self.matches_empty or self.share >= EVERYWHERE_SHARE or self.finds >= EVERYWHERE_FINDS
        )


_NOWHERE: Final = PatternCost()


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
    joinable = not (has_anchors(source) or needs_whole_text(source))
    if joinable and next(pattern.spans(_ALL, _ALL_BYTES), None) is None:
        return _NOWHERE
    return measure_in(pattern, _TEXTS)


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
