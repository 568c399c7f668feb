"""How cost grows: the curves of `python -m bench.growth`, by name."""

from __future__ import annotations

from bench.growth import admin, tenants
from bench.growth.row import Row

__all__ = ["CURVES", "Row"]

CURVES = {
    "admin": admin.rows,
    "tenants": tenants.rows,
}
"""What measures each group of curves. A function takes the largest x, and yields rows."""
