"""Counts decisions in the metrics, and logs what could not be decided."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from pdp.errors import WorkLimitExceeded

if TYPE_CHECKING:
    from pdp.domain.decision import Decision
    from pdp.transport.metrics import Metrics

_log = structlog.get_logger("pdp.decisions")


class DecisionObserver:
    """Called with every decision that the server answers."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def observe(self, decision: Decision) -> None:
        """Counts a decision, and logs its faults."""
        self._metrics.decision(decision.outcome, decision.reason_code)
        if decision.policies_known_at:
            self._metrics.stale_decisions += 1
        for match in decision.matches:
            if match.would_be:
                self._metrics.monitored(match.layer, match.would_be)
            else:
                self._metrics.match(match.layer, match.action)
        for fault in decision.faults:
            self._metrics.fault(fault.layer)
            # The error's own words may hold parts of the request, so only its type is logged.
            bound = (
                {"bound": fault.error.bound} if isinstance(fault.error, WorkLimitExceeded) else {}
            )
            _log.error(
                "could not judge",
                layer=fault.layer,
                error=type(fault.error).__name__,
                decision_id=decision.decision_id,
                request_id=decision.request_id,
                **bound,
            )
