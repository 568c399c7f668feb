"""Imports structlog without rich.

structlog would import rich to draw tracebacks. That takes a sixth of the time that the server needs
to start, and logs are JSON anyway. Import this module before any other module that logs.
"""

from __future__ import annotations

import sys

_hide_rich = "rich" not in sys.modules
if _hide_rich:
    sys.modules["rich"] = None  # type: ignore[assignment] # makes `import rich` fail
try:
    import structlog
finally:
    if _hide_rich:
        del sys.modules["rich"]

__all__ = ["structlog"]
