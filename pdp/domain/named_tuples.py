"""How the named tuples of a decision are made."""

from __future__ import annotations

from typing import Final

new_tuple: Final = tuple.__new__
"""Makes a named tuple of its class and all its fields, in a third of the constructor's time."""
