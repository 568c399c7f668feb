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
from pdp.domain.layers import (
    CHAIN,
    CUSTOMER,
    DLP,
    ENGINE,
    KILL_SWITCH,
    LAYERS,
    LIMITS,
    ORG,
    STATIC,
)
from pdp.domain.risk import MAX_SCORE, RiskTable
from pdp.engine.text.redaction import NOTHING_REDACTED, Redacted, redact

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pdp.domain.request import Request
    from pdp.engine.snapshot import Snapshot

ENGINE_ERROR: Final = "ENGINE_ERROR"
NOT_JUDGED: Final = "The request could not be judged, so it is blocked to be safe."
_PASSED: Final = "Part of the request could not be judged; the tenant lets such requests pass."

_FAILED: Final = "failed; the server's log says why"
_NOT_SCANNED: Final = "could not look into the request: the scan failed"
_SCANNED: Final = (STATIC, CHAIN, DLP)
"""The layers that a scan which failed leaves without findings."""

_NO_RISK: Final = Risk(0, "none")
_PERSONAL_CLASSIFICATIONS: Final = frozenset({"PII", "PHI"})

_IDLE: Final = {
    KILL_SWITCH: "no model is switched off",
    LIMITS: "no limit applies",
    CUSTOMER: "the request names no customer",
    STATIC: "no policy's pattern was found",
    CHAIN: "no rule of a chain matched",
    DLP: "nothing that a rule looks for was found",
    ORG: "blocking by risk is off",
}


def combine(
    snapshot: Snapshot,
    request: Request,
    decision_id: str,
    verdicts: dict[str, Verdict],
    faults: list[Fault],
    *,
    stopped_by: str = "",
) -> Decision:
    """Returns the decision, after the closers have been asked.

    Args:
        snapshot: what was decided on.
        request: what was asked.
        decision_id: the id of the decision.
        verdicts: by layer, of those that have something to say; the closers' are added.
        faults: what could not be judged; any makes the decision incomplete.
        stopped_by: the gate that ended the decision, so that nothing else is asked.
    """
    spoken = list(verdicts.values())
    if not stopped_by:
        _close(snapshot, request, verdicts, spoken, faults)
    return _combined(
        snapshot, request, decision_id, verdicts, faults, spoken=spoken, stopped_by=stopped_by
    )


def _combined(
    snapshot: Snapshot,
    request: Request,
    decision_id: str,
    verdicts: dict[str, Verdict],
    faults: list[Fault],
    *,
    spoken: list[Verdict],
    stopped_by: str,
) -> Decision:
    """Returns the decision, when all have spoken."""
    risk = _risk(spoken, faults, snapshot.platform.risk)
    if faults:
        spoken.insert(0, _fault_verdict(snapshot))
    safe = _safe_outcome(snapshot)
    strongest = max(spoken, key=lambda verdict: verdict.outcome, default=NO_VERDICT)
    outcome = strongest.outcome
    redacted = _redacted(request, spoken, outcome)
    return Decision(
        decision_id=decision_id,
        request_id=request.request_id,
        outcome=outcome,
        message=strongest.message,
        reason_code=strongest.reason_code,
        status_hint=strongest.status_hint,
        risk=risk,
        revision=snapshot.revision,
        obligations=(*redacted.obligations, *_obligations(spoken, outcome)),
        redacted_text=redacted.text,
        redacted_arguments=redacted.arguments,
        warnings=tuple(warning for verdict in spoken for warning in verdict.warnings),
        matches=tuple(match for verdict in spoken for match in verdict.matches),
        pii_detected=_personal(request) or any(verdict.pii_detected for verdict in spoken),
        frameworks=_frameworks(spoken),
        trace=_trace(verdicts, faults, safe, stopped_by) if request.explain else (),
        incomplete=bool(faults),
        layers=_results(verdicts, faults, safe, stopped_by) if request.explain else (),
        faults=tuple(faults),
        retry_after_s=strongest.retry_after_s,
        counted=not stopped_by and verdicts.get(LIMITS, NO_VERDICT).outcome is not Outcome.BLOCK,
    )


def _close(
    snapshot: Snapshot,
    request: Request,
    verdicts: dict[str, Verdict],
    spoken: list[Verdict],
    faults: list[Fault],
) -> None:
    """Asks the closers, each with the risk of what has been said before it."""
    for closer in snapshot.closers:
        risk = _risk(spoken, faults, snapshot.platform.risk)
        try:
            verdict = verdicts[closer.name] = closer.conclude(request, risk)
            spoken.append(verdict)
        except Exception as error:
            faults.append(Fault(closer.name, error))


def plain_allow(snapshot: Snapshot, request: Request, decision_id: str) -> Decision:
    """Returns the decision on a request that no layer has anything to say of."""
    personal = bool(request.target.classifications) and _personal(request)
    return Decision(
        decision_id,
        request.request_id,
        Outcome.ALLOW,
        "",
        "",
        NO_VERDICT.status_hint,
        _NO_RISK,
        snapshot.revision,
        pii_detected=personal,
        plain=not personal,
    )


def _frameworks(verdicts: list[Verdict]) -> tuple[str, ...]:
    """Every article once, in the order of the layers."""
    return tuple(dict.fromkeys(article for verdict in verdicts for article in verdict.frameworks))


def _safe_outcome(snapshot: Snapshot) -> Outcome:
    """What a request that cannot be judged comes to for this tenant."""
    return Outcome.BLOCK if snapshot.settings.failure_mode == "closed" else Outcome.ALLOW


def _personal(request: Request) -> bool:
    return not _PERSONAL_CLASSIFICATIONS.isdisjoint(request.target.classifications)


def _fault_verdict(snapshot: Snapshot) -> Verdict:
    outcome = _safe_outcome(snapshot)
    closed = outcome is Outcome.BLOCK
    return Verdict(
        outcome=outcome,
        reason_code=ENGINE_ERROR,
        message=NOT_JUDGED if closed else _PASSED,
        status_hint=503 if closed else 200,
    )


def _risk(verdicts: list[Verdict], faults: list[Fault], table: RiskTable) -> Risk:
    """The highest floor, named once, plus every impact (decide.md, Risk)."""
    floors = [floor for verdict in verdicts for floor in verdict.floors]
    floors += (RiskFactor(fault.layer, ENGINE_ERROR, table.engine_error) for fault in faults)
    factors = [impact for verdict in verdicts for impact in verdict.impacts if impact.points]
    if floors:
        factors.insert(0, max(floors, key=lambda floor: floor.points))
    if not factors:
        return _NO_RISK
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


def _redacted(request: Request, verdicts: list[Verdict], outcome: Outcome) -> Redacted:
    """What all layers redact together; what is stopped carries no text."""
    redactions = [each for verdict in verdicts for each in verdict.redactions]
    if not redactions:
        return NOTHING_REDACTED
    return redact(request, redactions, carry=outcome < Outcome.CANCEL)


def _trace(
    verdicts: Mapping[str, Verdict], faults: list[Fault], outcome: Outcome, stopped_by: str
) -> tuple[TraceRow, ...]:
    """At least one row for every layer, run or not; first what went wrong in none of them."""
    failed = [TraceRow(fault.layer, _FAILED, outcome=outcome) for fault in faults]
    rows = [row for row in failed if row.layer not in LAYERS]
    if any(fault.layer == ENGINE for fault in faults):
        failed += (TraceRow(layer, _NOT_SCANNED, outcome=outcome) for layer in _SCANNED)
    for layer in LAYERS:
        spoken = verdicts.get(layer, NO_VERDICT).rows
        own = [*(row for row in failed if row.layer == layer), *spoken]
        rows += own or [TraceRow(layer, _idle(layer, stopped_by))]
    return tuple(rows)


def _results(
    verdicts: Mapping[str, Verdict], faults: list[Fault], outcome: Outcome, stopped_by: str
) -> tuple[LayerResult, ...]:
    """One entry for every layer, run or not."""
    failed = {fault.layer: _FAILED for fault in faults}
    if ENGINE in failed:
        failed = dict.fromkeys(_SCANNED, _NOT_SCANNED) | failed
    found = []
    for layer in LAYERS:
        verdict = verdicts.get(layer, NO_VERDICT)
        if layer in failed:
            # What it could judge stands beside what it could not.
            strongest = max(outcome, verdict.outcome)
            found.append(LayerResult(layer, strongest, failed[layer], verdict.matches))
        else:
            found.append(_result(layer, verdict, _idle(layer, stopped_by)))
    return tuple(found)


def _idle(layer: str, stopped_by: str) -> str:
    """Why a layer has nothing to say."""
    if stopped_by and LAYERS.index(layer) > LAYERS.index(stopped_by):
        return f"not asked: {stopped_by} had stopped the request"
    return _IDLE[layer]


def _result(layer: str, verdict: Verdict, idle: str) -> LayerResult:
    reason = "; ".join(match.reason for match in verdict.matches)
    if not reason:
        # A row that stands alone says why nothing matched, and so does one that is about no rule.
        rows = verdict.rows
        reason = rows[0].reason if rows and (len(rows) == 1 or not rows[0].rule_id) else idle
    return LayerResult(layer, verdict.outcome, reason, verdict.matches)
