"""The customer layer (seeds 001, 004): what a request's customer may do.

No customer can be registered yet, so every one that a request names is unknown; and a request
whose customer is unknown is not judged by that customer's policy, hence blocked (decide.md).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pdp.domain.decision import (
    NO_VERDICT,
    Match,
    Outcome,
    PolicyWarning,
    RiskFactor,
    TraceRow,
    Verdict,
)
from pdp.domain.layers import CUSTOMER

if TYPE_CHECKING:
    from pdp.domain.request import Request
    from pdp.engine.layers.base import Layer, Policies
    from pdp.engine.scan import Findings

UNKNOWN = "CUSTOMER_UNKNOWN"


@dataclass(frozen=True, slots=True)
class CustomerLayer:
    """Judges requests that name a customer."""

    unknown_outcome: Outcome
    unknown_points: int
    name: str = CUSTOMER
    patterns: dict[str, str] = field(default_factory=dict)

    def judge(self, request: Request, findings: Findings) -> Verdict:
        """Returns the verdict on an unknown customer."""
        customer = request.customer_id
        if not customer:
            return NO_VERDICT
        outcome = self.unknown_outcome
        action = "block" if outcome is Outcome.BLOCK else "warn"
        reason = f"customer {customer!r} is unknown"
        return Verdict(
            outcome=outcome,
            reason_code=UNKNOWN,
            message="The request names a customer that is not known.",
            status_hint=403 if outcome is Outcome.BLOCK else 200,
            matches=(Match(CUSTOMER, customer, customer, action, "high", reason),),
            warnings=() if action == "block" else (PolicyWarning(customer, reason),),
            floors=(RiskFactor(CUSTOMER, customer, self.unknown_points),),
            rows=(TraceRow(CUSTOMER, reason, True, outcome, customer, customer),),
        )


def build(policies: Policies) -> Layer:
    """Compiles the layer."""
    block = policies.settings.unknown_customer == "block"
    return CustomerLayer(
        unknown_outcome=Outcome.BLOCK if block else Outcome.WARN,
        unknown_points=policies.risk.unknown_customer,
    )
