"""The cost classes of patterns, and their bounds (docs/dlp.md)."""

from __future__ import annotations

from typing import Final, NamedTuple

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
