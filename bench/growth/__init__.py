"""How cost grows: the curves of `python -m bench.growth`, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bench.growth import admin, records, rules, tenants, texts, workers
from bench.growth.row import Row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["CURVES", "QUICK", "Row"]

CURVES: Final[Mapping[str, Callable[[int], Iterator[Row]]]] = {
    "texts": texts.rows,
    "rules": rules.rows,
    "tenants": tenants.rows,
    "workers": workers.rows,
    "admin": admin.rows,
    "records": records.rows,
}
"""What measures each group of curves. A function takes the largest x, and yields rows."""

QUICK: Final[Mapping[str, int]] = {
    "records": 10_000,
    "texts": 10_000,
    "rules": 1_000,
    "workers": 1_000,
}
"""The largest x of the quick form; 100 if a group is not named here."""
