"""Combines the verdicts of all layers into one decision.

The strongest outcome counts, all risk adds up, and there is one trace.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Final, TypeVar

from pdp.domain.decision import (
    HELD,
    NO_VERDICT,
    UNSTOPPED,
    Decision,
    LayerResult,
    Obligation,
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
from pdp.domain.named_tuples import new_tuple
from pdp.domain.request import NO_TARGET
from pdp.domain.risk import MAX_SCORE
from pdp.engine.text.pseudonyms import Pseudonyms, session_of
from pdp.engine.text.redaction import NOTHING_REDACTED, Redacted, redact

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pdp.domain.decision import Hold, Match, PolicyWarning, Redaction
    from pdp.domain.request import Request
    from pdp.engine.evaluation import EvaluationState
    from pdp.engine.snapshot import Snapshot

T = TypeVar("T")

ENGINE_ERROR: Final = "ENGINE_ERROR"
NOT_EVALUATED: Final = "The request could not be judged, so it is blocked to be safe."
_PASSED: Final = "Part of the request could not be judged; the tenant lets such requests pass."

_FAILED: Final = "failed; the server's log says why"
_NOT_SCANNED: Final = "could not look into the request: the scan failed"
_SCAN_LAYERS: Final = (STATIC, CHAIN, DLP)
"""The layers that need the findings of the scan."""

_NO_RISK: Final = Risk(0, "none")
_PLAIN_ALLOW: Final = Decision(
    decision_id="",
    request_id="",
    outcome=Outcome.ALLOW,
    message="",
    reason_code="",
    status_hint=NO_VERDICT.status_hint,
    risk=_NO_RISK,
    revision=0,
    plain=True,
)
_REVISION: Final = Decision._fields.index("revision")
_BEFORE_REVISION: Final = _PLAIN_ALLOW[2:_REVISION]
_AFTER_REVISION: Final = _PLAIN_ALLOW[_REVISION + 1 : -2]
_PERSONAL_CLASSIFICATIONS: Final = frozenset({"PII", "PHI"})

_IDLE_REASONS: Final = {
    KILL_SWITCH: "no model is switched off",
    LIMITS: "no limit applies",
    CUSTOMER: "the request names no customer",
    STATIC: "no policy's pattern was found",
    CHAIN: "no rule of a chain matched",
    DLP: "nothing that a rule looks for was found",
    ORG: "blocking by risk is off",
}


def combine(evaluation: EvaluationState) -> Decision:
    """Returns the decision that the verdicts and faults of `evaluation` give together."""
    snapshot, request, faults = evaluation.snapshot, evaluation.request, evaluation.faults
    verdicts = [each for each in evaluation.verdicts.values() if each is not NO_VERDICT]
    if faults:
        verdicts.insert(0, _fault_verdict(snapshot))
    strongest = max(verdicts, key=_outcome_of, default=NO_VERDICT)
    outcome = strongest.outcome
    redactions, obligations, warnings, matches, frameworks, holds = _parts(verdicts)
    redacted = _redacted(evaluation, redactions, outcome) if redactions else NOTHING_REDACTED
    if outcome >= Outcome.CANCEL:
        obligations = [each for each in obligations if each.type not in UNSTOPPED]
    return Decision(
        decision_id=evaluation.decision_id,
        request_id=request.request_id,
        outcome=outcome,
        message=strongest.message,
        reason_code=strongest.reason_code,
        status_hint=strongest.status_hint,
        risk=evaluation.risk or risk_of(evaluation),
        revision=snapshot.revision,
        obligations=(*redacted.obligations, *obligations),
        redacted_text=redacted.text,
        redacted_arguments=redacted.arguments,
        warnings=tuple(warnings),
        matches=tuple(matches),
        pii_detected=_is_personal(request) or any(each.pii_detected for each in verdicts),
        frameworks=tuple(dict.fromkeys(frameworks)) if frameworks else (),
        trace=_trace(evaluation) if request.explain else (),
        incomplete=bool(faults),
        layers=_layer_results(evaluation) if request.explain else (),
        faults=tuple(faults),
        retry_after_s=strongest.retry_after_s,
        counted=_counts_against_limits(evaluation),
        holds=tuple(holds) if outcome in HELD else (),
        unmatched=request if evaluation.unmatched else None,
        policies_known_at=snapshot.known_at,
        scan=evaluation.scan,
    )


_outcome_of: Final = attrgetter("outcome")


def _parts(
    verdicts: Iterable[Verdict],
) -> tuple[
    list[Redaction],
    list[Obligation],
    list[PolicyWarning],
    list[Match],
    list[str],
    list[Hold],
]:
    """Returns what all verdicts add, in their order."""
    redactions: list[Redaction] = []
    obligations: list[Obligation] = []
    warnings: list[PolicyWarning] = []
    matches: list[Match] = []
    frameworks: list[str] = []
    holds: list[Hold] = []
    for each in verdicts:
        redactions += each.redactions
        obligations += each.obligations
        warnings += each.warnings
        matches += each.matches
        frameworks += each.frameworks
        holds += each.holds
    return redactions, obligations, warnings, matches, frameworks, holds


def joined(own: Verdict, other: Verdict) -> Verdict:
    """Returns one verdict of a layer for two of its: the stronger one, with what both add.

    Args:
        own: the verdict on the request. Its trace and its failures are kept.
        other: the verdict on the same request to another model.
    """
    return max(own, other, key=lambda verdict: verdict.outcome)._replace(
        matches=_united(own.matches, other.matches),
        obligations=_united(own.obligations, other.obligations),
        redactions=_united(own.redactions, other.redactions),
        warnings=_united(own.warnings, other.warnings),
        floors=_united(own.floors, other.floors),
        impacts=_united(own.impacts, other.impacts),
        pii_detected=own.pii_detected or other.pii_detected,
        frameworks=_united(own.frameworks, other.frameworks),
        rows=own.rows,
        failures=own.failures,
        holds=_united(own.holds, other.holds),
    )


def _united(first: tuple[T, ...], second: tuple[T, ...]) -> tuple[T, ...]:
    return tuple(dict.fromkeys((*first, *second)))


def plain_allow(evaluation: EvaluationState) -> Decision:
    """Returns what `combine` returns if there is no verdict, no fault and no `explain`, but faster.

    Most decisions are made here.
    """
    request, snapshot = evaluation.request, evaluation.snapshot
    is_unmatched = evaluation.unmatched
    decision = new_tuple(
        Decision,
        (
            evaluation.decision_id,
            request.request_id,
            *_BEFORE_REVISION,
            snapshot.revision,
            *_AFTER_REVISION,
            None if is_unmatched else evaluation.scan,
            request if is_unmatched else None,
        ),
    )
    if request.target is not NO_TARGET and _is_personal(request):
        decision = decision._replace(pii_detected=True, plain=False)
    if snapshot.known_at:
        decision = decision._replace(policies_known_at=snapshot.known_at, plain=False)
    return decision


def risk_of(evaluation: EvaluationState) -> Risk:
    """Returns the risk so far: the highest floor plus every impact (decide.md, Risk)."""
    table = evaluation.snapshot.platform.risk
    floor: RiskFactor | None = None
    factors: list[RiskFactor] = []
    for verdict in evaluation.verdicts.values():
        for each in verdict.floors:
            if floor is None or each.points > floor.points:
                floor = each
        factors += verdict.impacts
    for fault in evaluation.faults:
        if floor is None or table.engine_error > floor.points:
            floor = RiskFactor(fault.layer, ENGINE_ERROR, table.engine_error)
    factors = [each for each in factors if each.points]
    if floor is not None:
        factors.insert(0, floor)
    if not factors:
        return _NO_RISK
    score = min(MAX_SCORE, sum([each.points for each in factors]))
    return Risk(score, table.level(score), tuple(factors))


def _counts_against_limits(evaluation: EvaluationState) -> bool:
    """Returns False if a gate or a limit stopped the request."""
    limits = evaluation.verdicts.get(LIMITS, NO_VERDICT)
    return not evaluation.stopped_by and limits.outcome is not Outcome.BLOCK


def _fault_outcome(snapshot: Snapshot) -> Outcome:
    """Returns the outcome that the tenant's `failure_mode` gives to an incomplete decision."""
    return Outcome.BLOCK if snapshot.settings.failure_mode == "closed" else Outcome.ALLOW


def _fault_verdict(snapshot: Snapshot) -> Verdict:
    outcome = _fault_outcome(snapshot)
    closed = outcome is Outcome.BLOCK
    return Verdict(
        outcome=outcome,
        reason_code=ENGINE_ERROR,
        message=NOT_EVALUATED if closed else _PASSED,
        status_hint=503 if closed else 200,
    )


def _is_personal(request: Request) -> bool:
    return not _PERSONAL_CLASSIFICATIONS.isdisjoint(request.target.classifications)


def _redacted(
    evaluation: EvaluationState, redactions: Sequence[Redaction], outcome: Outcome
) -> Redacted:
    """Applies the redactions of all layers. The result has no text if the request is stopped."""
    snapshot, request = evaluation.snapshot, evaluation.request
    pseudonyms = Pseudonyms(
        snapshot.platform.keys.redaction,
        snapshot.tenant_id,
        session_of(request.session_id, request.request_id),
    )
    return redact(request, redactions, carry=outcome < Outcome.CANCEL, pseudonyms=pseudonyms)


def _trace(evaluation: EvaluationState) -> tuple[TraceRow, ...]:
    """Returns the faults outside the layers, then at least one row for every layer."""
    outcome = _fault_outcome(evaluation.snapshot)
    failures = [TraceRow(fault.layer, _FAILED, outcome=outcome) for fault in evaluation.faults]
    rows = [row for row in failures if row.layer not in LAYERS]
    if any(fault.layer == ENGINE for fault in evaluation.faults):
        failures += (TraceRow(layer, _NOT_SCANNED, outcome=outcome) for layer in _SCAN_LAYERS)
    for layer in LAYERS:
        verdict = evaluation.verdicts.get(layer, NO_VERDICT)
        layer_rows = [*(row for row in failures if row.layer == layer), *verdict.rows]
        rows += layer_rows or [TraceRow(layer, _idle_reason(evaluation, layer))]
    return tuple(rows)


def _layer_results(evaluation: EvaluationState) -> tuple[LayerResult, ...]:
    """Returns one entry for every layer, in order, even for a layer that did not run."""
    failures = {fault.layer: _FAILED for fault in evaluation.faults}
    if ENGINE in failures:
        failures = dict.fromkeys(_SCAN_LAYERS, _NOT_SCANNED) | failures
    return tuple(_layer_result(evaluation, layer, failures.get(layer, "")) for layer in LAYERS)


def _layer_result(evaluation: EvaluationState, layer: str, failure: str) -> LayerResult:
    verdict = evaluation.verdicts.get(layer, NO_VERDICT)
    if failure:
        # The layer may have matches too: a fault can concern a part of the request only.
        outcome = max(_fault_outcome(evaluation.snapshot), verdict.outcome)
        return LayerResult(layer, outcome, failure, verdict.matches)
    reason = "; ".join(match.reason for match in verdict.matches) or _row_reason(verdict)
    reason = reason or _idle_reason(evaluation, layer)
    return LayerResult(layer, verdict.outcome, reason, verdict.matches)


def _row_reason(verdict: Verdict) -> str:
    """Returns the reason of the row that explains the whole verdict; empty if there is none.

    That is the only row, or a first row that belongs to no rule.
    """
    rows = verdict.rows
    return rows[0].reason if rows and (len(rows) == 1 or not rows[0].rule_id) else ""


def _idle_reason(evaluation: EvaluationState, layer: str) -> str:
    """Returns why a layer has no verdict."""
    gate = evaluation.stopped_by
    if gate and LAYERS.index(layer) > LAYERS.index(gate):
        return f"not asked: {gate} had stopped the request"
    return _IDLE_REASONS[layer]
