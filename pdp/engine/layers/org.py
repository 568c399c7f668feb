"""The org layer: blocks requests by their risk, if the org policy says so.

It runs last, when the verdicts of all other layers have been added to the risk. Blocking is on if
`blocking_rules.enabled` is true or the logging level is `paranoid` (decide.md, Org policy).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pdp.domain.decision import NO_VERDICT, Match, Outcome, TraceRow, Verdict
from pdp.domain.layers import ORG
from pdp.domain.org_policy import DEFAULT_ORG_POLICY, ID, KIND, NAME, OrgPolicy, levels_from
from pdp.domain.placement import MONITOR
from pdp.engine.decision_facts import NO_FACT_SOURCE
from pdp.engine.findings import NOT_SCANNED
from pdp.engine.rules.exceptions import NO_EXCEPTIONS, that_hold, with_effect

if TYPE_CHECKING:
    from pdp.domain.decision import Risk
    from pdp.domain.request import Request
    from pdp.engine.decision_facts import FactSource
    from pdp.engine.layers.base import Closer, Policies
    from pdp.engine.rules.exceptions import Exceptions

RISK_BLOCK = "ORG_RISK_BLOCK"


@dataclass(frozen=True, slots=True)
class OrgCloser:
    """Blocks requests with a high risk.

    Attributes:
        block_on: the lowest risk level that is blocked.
        blocked: that level and all higher ones.
        facts: computes what the expressions of exceptions name besides the request.
        exceptions: those that lift the block.
        is_monitored: whether a block is recorded only.
    """

    block_on: str
    blocked: frozenset[str]
    facts: FactSource = NO_FACT_SOURCE
    exceptions: Exceptions = NO_EXCEPTIONS
    is_monitored: bool = False
    name: str = ORG

    def conclude(self, request: Request, risk: Risk) -> Verdict:
        """Returns a BLOCK if the risk is at or above `block_on`."""
        blocks = risk.level in self.blocked
        if not (blocks or request.explain):
            return NO_VERDICT
        relation = "at or above" if blocks else "below"
        reason = f"risk {risk.level} ({risk.score}) is {relation} {self.block_on}"
        holding = that_hold(self.exceptions, request, NOT_SCANNED, self.facts) if blocks else ()
        exception = holding[0].exception if holding else None
        has_effect = blocks and exception is None and not self.is_monitored
        outcome = Outcome.BLOCK if has_effect else Outcome.ALLOW
        reason = with_effect(reason, exception, is_monitored=blocks and self.is_monitored)
        rows = (TraceRow(ORG, reason, blocks, outcome, ID, NAME),) if request.explain else ()
        if not blocks:
            return NO_VERDICT._replace(rows=rows)
        match = Match(ORG, ID, NAME, "block", risk.level, reason)
        if exception is not None:
            match = match._replace(excepted_by=exception.id)
        if self.is_monitored:
            match = match._replace(would_be=Outcome.BLOCK.name)
        if not has_effect:
            return Verdict(matches=(match,), rows=rows)
        return Verdict(
            outcome=Outcome.BLOCK,
            reason_code=RISK_BLOCK,
            message=f"Blocked by the organization's policy: the risk is {risk.level}.",
            status_hint=403,
            matches=(match,),
            rows=rows,
        )


def build(policies: Policies) -> Closer | None:
    """Compiles the layer; returns None if blocking is off."""
    policy: OrgPolicy = policies.own.of_kind(KIND).get(ID, DEFAULT_ORG_POLICY)
    if not policy.blocks:
        return None
    return OrgCloser(
        policy.block_on,
        levels_from(policy.block_on),
        policies.facts,
        policies.exceptions.org_risk,
        policy.mode == MONITOR,
    )
