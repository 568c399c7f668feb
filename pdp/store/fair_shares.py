"""How the size of a log is shared between tenants: max-min fairness."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

FULL_SHARE: Final = 0.95
"""A log that exceeds its size limit shrinks to this share of the limit."""

LOWEST_SHARE: Final = 0.9
"""A tenant above its share keeps at least this part of the share."""


def excesses(holdings: Mapping[str, int], used: int, max_bytes: int) -> Mapping[str, int]:
    """Returns how many bytes each tenant above its share has to give back, the largest first.

    Args:
        holdings: how many bytes each tenant holds.
        used: the size of the log.
        max_bytes: the limit of the size.
    """
    # The log also has indexes and hashes: a byte of a record takes more than one of it.
    limit = sum(holdings.values()) * max_bytes / used
    share = fair_share(holdings, limit)
    above = {tenant: size for tenant, size in holdings.items() if size > share}
    within = sum(holdings.values()) - sum(above.values())
    level = fair_share(above, max(0.0, limit * FULL_SHARE - within))
    target = max(level, share * LOWEST_SHARE)
    largest_first = sorted(above.items(), key=lambda item: (-item[1], item[0]))
    return {tenant: max(1, round(size - target)) for tenant, size in largest_first}


def fair_share(holdings: Mapping[str, int], limit: float) -> float:
    """Returns the max-min fair share: what a tenant may hold if all together may hold `limit`.

    A tenant that holds less leaves the rest of its share to the others.
    """
    remaining = limit
    sizes = sorted(holdings.values())
    for position, size in enumerate(sizes):
        share = remaining / (len(sizes) - position)
        if size > share:
            return share
        remaining -= size
    return float("inf")
