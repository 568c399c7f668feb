"""The layers of a decision, one file each.

To add one: its file, with a `build` function, and its place in `BUILDERS`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pdp.engine.layers import customer, static

if TYPE_CHECKING:
    from pdp.engine.layers.base import Builder

BUILDERS: Final[tuple[Builder, ...]] = (customer.build, static.build)
"""In the order of `pdp.domain.layers.LAYERS`."""
