"""Makes one decision of the layers' verdicts: the strongest outcome, all risk, one trace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pdp.domain.decision import (
    NO_VERDICT,
    Decision,
    Fault,
    LayerResult,
    Obligation,
    ObligationType,
    Outcome,
    Risk,
    RiskFactor,
    TraceRow,
    Verdict,
)
from pdp.domain.layers import CHAIN, CUSTOMER, DLP, KILL_SWITCH, LAYERS, LIMITS, ORG, STATIC
from pdp.domain.risk import MAX_SCORE, RiskTable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pdp.domain.request import Request
    from pdp.engine.snapshot import Snapshot

ENGINE_ERROR: Final = "ENGINE_ERROR"
NOT_JUDGED: Final = "The request could not be judged, so it is blocked to be safe."
_PASSED: Final = "Part of the request could not be judged; the tenant lets such requests pass."

_FAILED: Final = "failed; the server's log says why"
_NO_RISK: Final = Risk(0, "none")
_PERSONAL_CLASSIFICATIONS: Final = frozenset({"PII", "PHI"})

_IDLE: Final = {
    KILL_SWITCH: "no model is switched off",
    LIMITS: "no limits are set",
    CUSTOMER: "the request names no customer",
    STATIC: "no policy's pattern was found",
    CHAIN: "the chain is empty",
    DLP: "no rule is in force",
    ORG: "blocking by risk is off",
}


def combine(
    snapshot: Snapshot,
    request: Request,
    decision_id: str,
    verdicts: Mapping[str, Verdict],
    faults: tuple[Fault, ...],
) -> Decision:
    """Returns the decision.

    Args:
        snapshot: what was decided on.
        request: what was asked.
        decision_id: the id of the decision.
        verdicts: by layer, of those that have something to say.
        faults: what could not be judged; any makes the decision incomplete.
    """
    spoken = list(verdicts.values())
    table = snapshot.platform.risk
    if faults:
        spoken.insert(0, _fault_verdict(snapshot, table, faults))
    safe = _safe_outcome(snapshot)
    strongest = max(spoken, key=lambda verdict: verdict.outcome, default=NO_VERDICT)
    outcome = strongest.outcome
    return Decision(
        decision_id=decision_id,
        request_id=request.request_id,
        outcome=outcome,
        message=strongest.message,
        reason_code=strongest.reason_code,
        status_hint=strongest.status_hint,
        risk=_risk(spoken, table) if spoken else _NO_RISK,
        revision=snapshot.revision,
        obligations=_obligations(spoken, outcome),
        warnings=tuple(warning for verdict in spoken for warning in verdict.warnings),
        matches=tuple(match for verdict in spoken for match in verdict.matches),
        pii_detected=_personal(request) or any(verdict.pii_detected for verdict in spoken),
        frameworks=tuple(
            dict.fromkeys(article for verdict in spoken for article in verdict.frameworks)
        ),
        trace=_trace(verdicts, faults, safe) if request.explain else (),
        incomplete=bool(faults),
        layers=_results(verdicts, faults, safe) if request.explain else (),
        faults=faults,
    )


def plain_allow(snapshot: Snapshot, request: Request, decision_id: str) -> Decision:
    """Returns the decision on a request that no layer has anything to say of."""
    return Decision(
        decision_id,
        request.request_id,
        Outcome.ALLOW,
        "",
        "",
        NO_VERDICT.status_hint,
        _NO_RISK,
        snapshot.revision,
        pii_detected=bool(request.target.classifications) and _personal(request),
    )


def _safe_outcome(snapshot: Snapshot) -> Outcome:
    """What a request that cannot be judged comes to for this tenant."""
    return Outcome.BLOCK if snapshot.settings.failure_mode == "closed" else Outcome.ALLOW


def _personal(request: Request) -> bool:
    return not _PERSONAL_CLASSIFICATIONS.isdisjoint(request.target.classifications)


def _fault_verdict(snapshot: Snapshot, table: RiskTable, faults: tuple[Fault, ...]) -> Verdict:
    outcome = _safe_outcome(snapshot)
    closed = outcome is Outcome.BLOCK
    return Verdict(
        outcome=outcome,
        reason_code=ENGINE_ERROR,
        message=NOT_JUDGED if closed else _PASSED,
        status_hint=503 if closed else 200,
        floors=tuple(RiskFactor(fault.layer, ENGINE_ERROR, table.engine_error) for fault in faults),
    )


def _risk(verdicts: list[Verdict], table: RiskTable) -> Risk:
    """The highest floor, named once, plus every impact (decide.md, Risk)."""
    floors = [floor for verdict in verdicts for floor in verdict.floors]
    impacts = [impact for verdict in verdicts for impact in verdict.impacts if impact.points]
    factors = impacts
    if floors:
        factors = [max(floors, key=lambda floor: floor.points), *impacts]
    score = min(MAX_SCORE, sum(factor.points for factor in factors))
    return Risk(score, table.level(score), tuple(factors))


def _obligations(verdicts: list[Verdict], outcome: Outcome) -> tuple[Obligation, ...]:
    """All obligations; but what is stopped is routed nowhere."""
    stopped = outcome >= Outcome.CANCEL
    return tuple(
        obligation
        for verdict in verdicts
        for obligation in verdict.obligations
        if not (stopped and obligation.type is ObligationType.ROUTE_TO)
    )


def _trace(
    verdicts: Mapping[str, Verdict], faults: tuple[Fault, ...], outcome: Outcome
) -> tuple[TraceRow, ...]:
    """At least one row for every layer, run or not; first what went wrong in none of them."""
    failed = [TraceRow(fault.layer, _FAILED, outcome=outcome) for fault in faults]
    rows = [row for row in failed if row.layer not in LAYERS]
    for layer in LAYERS:
        spoken = verdicts.get(layer, NO_VERDICT).rows
        own = [*(row for row in failed if row.layer == layer), *spoken]
        rows += own or [TraceRow(layer, _IDLE[layer])]
    return tuple(rows)


def _results(
    verdicts: Mapping[str, Verdict], faults: tuple[Fault, ...], outcome: Outcome
) -> tuple[LayerResult, ...]:
    """One entry for every layer, run or not."""
    failed = {fault.layer for fault in faults}
    return tuple(
        LayerResult(layer, outcome, _FAILED)
        if layer in failed
        else _result(layer, verdicts.get(layer, NO_VERDICT))
        for layer in LAYERS
    )


def _result(layer: str, verdict: Verdict) -> LayerResult:
    reason = "; ".join(match.reason for match in verdict.matches) or _IDLE[layer]
    return LayerResult(layer, verdict.outcome, reason, verdict.matches)
