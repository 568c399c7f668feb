"""Logs that records cannot be written: at intervals while it lasts, and once when it ends."""

from __future__ import annotations

import logging
import time
from typing import Final

LOG_INTERVAL_S: Final = 10.0
"""The shortest time between two log lines about a failure."""

_log: Final = logging.getLogger("pdp.audit")


class FailureLog:
    """Tracks whether records can be written.

    Attributes:
        reason: why they cannot be written; empty if they can.
    """

    def __init__(self) -> None:
        self.reason = ""
        self._logged_at = 0.0

    def failed(self, reason: str, totals: str) -> None:
        """Notes a failure. `totals` describes its effect so far."""
        self.reason = reason
        now = time.monotonic()
        if now - self._logged_at >= LOG_INTERVAL_S:
            self._logged_at = now
            _log.error("decision records cannot be written: %s (%s)", reason, totals)

    def recovered(self, totals: str) -> None:
        """Notes a success after failures. Does nothing if there was no failure."""
        if self.reason:
            self.reason = ""
            self._logged_at = 0.0
            _log.info("decision records are written again (%s)", totals)
