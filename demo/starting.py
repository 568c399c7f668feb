"""Waits until servers of others accept connections."""

from __future__ import annotations

import subprocess
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

START_TIMEOUT_S: Final = 60.0
_POLL_S: Final = 0.02


def starts(process: subprocess.Popen[bytes], accepts: Callable[[], bool]) -> bool:
    """Waits until a server accepts connections.

    Args:
        process: the server.
        accepts: returns whether it accepts a connection now.

    Returns:
        False if the server has ended, or accepts none within `START_TIMEOUT_S`.
    """
    end = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < end:
        if accepts():
            return True
        with suppress(subprocess.TimeoutExpired):
            process.wait(_POLL_S)
            return False
    return False
