"""Imports structlog without rich, which it would load to draw tracebacks: a sixth of the time that
the server takes to start, for logs that are JSON. Imported before anything else that logs.
"""

from __future__ import annotations

import sys

_absent = "rich" not in sys.modules
if _absent:
    sys.modules["rich"] = None  # type: ignore[assignment] # the way to say "not installed"
try:
    import structlog
finally:
    if _absent:
        del sys.modules["rich"]

__all__ = ["structlog"]
