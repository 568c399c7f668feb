"""The package of the native front, as `make fast` builds it."""

from __future__ import annotations

from typing import Final

PACKAGE: Final = "pygrpc-native"

VERSION: Final = "0.5.0+pdp1"
"""The version that `tools.fast` gives its build. A published wheel has no limit on messages."""
