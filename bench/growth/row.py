"""One point of a curve."""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """A point of a curve.

    Attributes:
        curve: the name of the curve.
        x: the size at which it was measured, for example a number of tenants.
        y: what was measured.
        unit: the unit of `y`.
    """

    curve: str
    x: float
    y: float
    unit: str
