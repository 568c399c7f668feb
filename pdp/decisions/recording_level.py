"""Which decisions are recorded (docs/decide.md, Recording)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pdp.domain.decision import Outcome
from pdp.domain.org_policy import DEFAULT_ORG_POLICY, MINIMAL, STANDARD, levels_from
from pdp.domain.sampling import is_sampled

if TYPE_CHECKING:
    from pdp.domain.decision import Decision
    from pdp.engine.snapshot import Snapshot

_RISKY: Final = levels_from("medium")


def is_recorded(level: str, decision: Decision) -> bool:
    """Whether a decision is recorded at a logging level.

    A request that could not be evaluated and was allowed anyway is recorded at every level. So is
    one that waits for a second person, or that passes because a person has said so.
    """
    if decision.pii_detected or decision.outcome is Outcome.ESCALATE:
        return True
    if any(match.approved_by for match in decision.matches):
        return True
    if level == STANDARD:
        return (
            decision.risk.level in _RISKY
            or decision.outcome >= Outcome.PROMPT
            or any(match.would_be or match.excepted_by for match in decision.matches)
        )
    if level == MINIMAL:
        return decision.incomplete and decision.allowed
    return True


def sample_rate(snapshot: Snapshot | None, decision: Decision) -> float | None:
    """Returns the share of such decisions that is recorded, if this one is; None if it is not.

    The share is 0 if the level of the tenant records all of them.
    """
    level = (DEFAULT_ORG_POLICY if snapshot is None else snapshot.org).logging_level
    if is_recorded(level, decision):
        return 0.0
    rate = 0.0 if snapshot is None else snapshot.settings.sample_rate
    return rate if is_sampled(decision.decision_id, rate) else None
