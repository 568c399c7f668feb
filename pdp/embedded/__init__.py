"""The engine inside a caller's own process."""

from pdp.embedded.engine import Engine

__all__ = ["Engine"]
