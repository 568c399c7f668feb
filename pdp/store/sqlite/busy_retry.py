"""Waits for other connections to a file, where SQLite does not, or not well."""

from __future__ import annotations

import sqlite3
import time
from typing import TYPE_CHECKING, TypeVar

from pdp.store.sqlite.errors import is_busy

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def retry_while_busy(work: Callable[[], T], timeout_s: float, pause_s: float) -> T:
    """Does `work` once no other connection is in its way, and returns what it returns.

    Args:
        work: leaves nothing behind where it meets another connection.
        timeout_s: how long waiting makes sense.
        pause_s: how long to wait before each further attempt.

    Raises:
        sqlite3.OperationalError: others were in the way all the time, or it is another error.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            return work()
        except sqlite3.OperationalError as error:
            if not is_busy(error) or time.monotonic() >= deadline:
                raise
        time.sleep(pause_s)
