"""The layers of a decision, one module each.

To add a layer, write a module with a `build` function and add that to one of the lists below. Each
list is in the order of `pdp.domain.layers.LAYERS`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pdp.engine.layers import chain, customer, dlp, kill_switch, limits, org, static

if TYPE_CHECKING:
    from pdp.engine.layers.base import Builder, CloserBuilder, GateBuilder

GATES: Final[tuple[GateBuilder, ...]] = (kill_switch.build,)
"""Gates run before the scan. A BLOCK of one ends the decision."""

BUILDERS: Final[tuple[Builder, ...]] = (
    limits.build,
    customer.build,
    static.build,
    chain.build,
    dlp.build,
)
"""Layers run with the findings of the scan."""

CLOSERS: Final[tuple[CloserBuilder, ...]] = (org.build,)
"""Closers run last, when the risk is known."""
