"""Waits for what another thread or process does."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from tests.support.servers import TIMEOUT_S

if TYPE_CHECKING:
    from collections.abc import Callable

PAUSE_S: Final = 0.005


def wait_until(condition: Callable[[], object], what: str) -> None:
    """Waits until a condition is true.

    Args:
        condition: called again and again, with a short pause between the calls.
        what: what should become true, for the message.

    Raises:
        AssertionError: the condition was still false after `TIMEOUT_S` seconds.
    """
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline, f"not true after {TIMEOUT_S} s: {what}"
        time.sleep(PAUSE_S)
