"""What keeps records from being written, told in the log once in a while and when it is over."""

from __future__ import annotations

import logging
import time
from typing import Final

LOG_INTERVAL_S: Final = 10.0
"""Between two lines on the same trouble."""

_log: Final = logging.getLogger("pdp.audit")


class FailureLog:
    """The trouble there is.

    Attributes:
        reason: in words; empty where there is none.
    """

    def __init__(self) -> None:
        self.reason = ""
        self._logged_at = 0.0

    def met(self, reason: str, toll: str) -> None:
        """Notes that something could not be written, and what that has come to so far."""
        self.reason = reason
        now = time.monotonic()
        if now - self._logged_at >= LOG_INTERVAL_S:
            self._logged_at = now
            _log.error("decision records cannot be written: %s (%s)", reason, toll)

    def over(self, toll: str) -> None:
        """Notes that it is over, where there was any."""
        if self.reason:
            self.reason = ""
            self._logged_at = 0.0
            _log.info("decision records are written again (%s)", toll)
