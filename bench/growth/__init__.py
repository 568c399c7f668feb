"""How cost grows: the curves of `python -m bench.growth`, by name."""

from __future__ import annotations

from bench.growth import tenants
from bench.growth.row import Row

__all__ = ["CURVES", "Row"]

CURVES = {
    "tenants": tenants.rows,
}
"""What measures each group of curves. A function takes the largest x, and yields rows."""
