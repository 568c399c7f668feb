"""Samples of decisions: which ones are recorded, and what a sample says about all.

The interval is the score interval of Wilson for a proportion, applied to the number of decisions
that the records stand for: docs/replay.md has the formula.
"""

from __future__ import annotations

from hashlib import blake2b
from math import sqrt
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

Z: Final = 1.959964
"""The quantile of the normal distribution for an interval of 95%."""

_BYTES: Final = 8
_RANGE: Final = 1 << 8 * _BYTES


class Estimate(NamedTuple):
    """A number of decisions that was estimated from a sample.

    Attributes:
        value: the estimate.
        low, high: the interval that holds the number with a probability of 95%.
    """

    value: float
    low: float
    high: float


def is_sampled(decision_id: str, rate: float) -> bool:
    """Whether a decision belongs to a sample.

    The answer depends on nothing else, so it is the same in every process.

    Args:
        decision_id: the id of the decision.
        rate: the share of decisions in the sample, from 0 to 1.
    """
    if not rate:
        return False
    digest = blake2b(decision_id.encode("utf-8", "surrogatepass"), digest_size=_BYTES).digest()
    return int.from_bytes(digest, "big") < rate * _RANGE


def estimate(counts: Mapping[float, int]) -> Estimate:
    """Estimates how many decisions there are in all.

    Args:
        counts: how many decisions of the sample there are, by its rate. The rate is above 0; at 1,
            all decisions are in the sample.
    """
    value = below = above = 0.0
    for rate, count in counts.items():
        low, high = _interval(count, rate)
        value += count / rate
        below += (count / rate - low) ** 2
        above += (high - count / rate) ** 2
    return Estimate(
        value, max(value - sqrt(below), float(sum(counts.values()))), value + sqrt(above)
    )


def _interval(count: int, rate: float) -> tuple[float, float]:
    """Returns between which numbers a count is within `Z` standard deviations of its mean."""
    spread = Z * Z * (1 - rate)
    middle = 2 * count + spread
    half = sqrt(spread * (spread + 4 * count))
    return (middle - half) / (2 * rate), (middle + half) / (2 * rate)
