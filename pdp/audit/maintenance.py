"""What is done for the log besides appending: old records are removed."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Final

from pdp.errors import PdpError

if TYPE_CHECKING:
    from pdp.domain.audit_log import AuditLog, Retention

CHECKPOINT_S: Final = 1.0
"""How often the log is given time for its own upkeep."""

INTERVAL_S: Final = 60.0
"""How often it is looked whether anything is over."""

PAUSE_S: Final = 0.25
"""Between two steps of removing, each of which is short: others want to append."""

_log: Final = logging.getLogger("pdp.audit")


class Housekeeping:
    """Removes what is over, in short steps. On the recorder's thread."""

    def __init__(self, log: AuditLog, retention: Retention) -> None:
        self._log = log
        self._retention = retention
        self._due_at = time.monotonic() + PAUSE_S
        self._removed = 0

    def due_in(self) -> float:
        """Returns in how many seconds there may be something to do."""
        return max(0.0, self._due_at - time.monotonic())

    def work_if_due(self) -> None:
        """Does one step where it is time."""
        if time.monotonic() >= self._due_at:
            self.work()

    def work(self) -> None:
        """Does one step; says so when all that was over has gone."""
        try:
            removed = self._log.retain(self._retention, time.time())
        except PdpError as error:
            _log.error("old decision records cannot be removed: %s", error.message)
            removed = 0
        self._removed += removed
        self._due_at = time.monotonic() + (PAUSE_S if removed else INTERVAL_S)
        if not removed and self._removed:
            _log.info("%d old decision records were removed", self._removed)
            self._removed = 0


class Checkpoints:
    """Gives the log time for its upkeep, on a thread of its own: nobody waits for it."""

    def __init__(self, log: AuditLog) -> None:
        """Begins."""
        self._log = log
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pdp-audit-upkeep", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends, once what is under way is done."""
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        failing = False
        while not self._closing.wait(CHECKPOINT_S):
            try:
                self._log.checkpoint()
                failing = False
            except PdpError as error:
                if not failing:
                    _log.error("the log of records cannot be kept up: %s", error.message)
                failing = True
