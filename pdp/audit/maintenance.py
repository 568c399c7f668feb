"""Maintenance of the log: the removal of expired records, and checkpoints."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from pdp.errors import PdpError

if TYPE_CHECKING:
    from pdp.audit.decision_counter import DecisionCounter
    from pdp.domain.audit_log import AuditLog, Retention

CHECKPOINT_S: Final = 1.0
"""The time between two checkpoints."""

INTERVAL_S: Final = 60.0
"""The time between two checks for expired records."""

PAUSE_S: Final = 0.25
"""The pause between two steps of a removal. Steps are short, so that appends do not wait long."""

RetentionSource = Callable[[], "Retention"]
"""Returns when records expire, each time that some may be removed."""

_log: Final = logging.getLogger("pdp.audit")


class RetentionTask:
    """Removes expired records in short steps, on the recorder's thread."""

    def __init__(self, log: AuditLog, retention: Retention | RetentionSource) -> None:
        """Takes the log, and when its records expire: fixed, or what a function returns then."""
        self._log = log
        self._retention = retention
        self._due_at = time.monotonic() + PAUSE_S
        self._removed = 0
        self.removed_early = 0
        """Records that were removed before their time since the start, because the log was full."""

    def due_in(self) -> float:
        """Returns the seconds until the next step."""
        return max(0.0, self._due_at - time.monotonic())

    def run_if_due(self) -> None:
        """Runs one step if it is due."""
        if time.monotonic() >= self._due_at:
            self.run()

    def run(self) -> None:
        """Runs one step. Logs the total after the last step of a removal."""
        try:
            retention = self._retention() if callable(self._retention) else self._retention
            removed, early = self._log.retain(retention, time.time())
        except PdpError as error:
            _log.error("expired decision records cannot be removed: %s", error.message)
            removed = early = 0
        if early and not self.removed_early:
            _log.error(
                "the audit log has reached its size: decision records are removed before their "
                "time. Raise PDP_AUDIT_MAX_MB, or lower PDP_AUDIT_RETENTION_DAYS"
            )
        self.removed_early += early
        self._removed += removed
        self._due_at = time.monotonic() + (PAUSE_S if removed else INTERVAL_S)
        if not removed and self._removed:
            _log.info("%d expired decision records were removed", self._removed)
            self._removed = 0


class CheckpointThread:
    """Runs the checkpoints of the log on a separate thread, so that no append waits for them.

    It also adds the counts of decisions to the log.
    """

    def __init__(self, log: AuditLog, counter: DecisionCounter) -> None:
        """Starts the thread."""
        self._log = log
        self._counter = counter
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pdp-audit-checkpoints", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stops the thread after the current checkpoint, and adds the last counts."""
        self._closing.set()
        self._thread.join()
        self._counter.flush(self._log)

    def _run(self) -> None:
        failing = False
        while not self._closing.wait(CHECKPOINT_S):
            self._counter.flush(self._log)
            try:
                self._log.checkpoint()
                failing = False
            except PdpError as error:
                if not failing:
                    _log.error("the audit log cannot be checkpointed: %s", error.message)
                failing = True
