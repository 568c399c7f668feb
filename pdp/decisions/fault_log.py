"""Logs why a decision is incomplete."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pdp.errors import WorkLimitExceeded

if TYPE_CHECKING:
    import logging

    from pdp.decisions.decider import Observer
    from pdp.domain.decision import Decision


def log_faults(log: logging.Logger) -> Observer:
    """Returns a function that logs the faults of a decision, without any value of the request."""

    def observe(decision: Decision) -> None:
        for fault in decision.faults:
            # The error's own words may hold parts of the request, so only its type is logged.
            error = fault.error
            kind = error.bound if isinstance(error, WorkLimitExceeded) else type(error).__name__
            log.error("could not judge %s: %s in %s", decision.request_id, kind, fault.layer)

    return observe
