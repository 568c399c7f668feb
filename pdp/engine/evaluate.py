"""Decides one request on one snapshot. Never raises: what cannot be judged is blocked."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

from pdp.domain.decision import (
    NO_VERDICT,
    Decision,
    Fault,
    Outcome,
    Risk,
    RiskFactor,
    Verdict,
)
from pdp.domain.layers import ENGINE, SCAN
from pdp.domain.risk import DEFAULT_RISK_TABLE
from pdp.engine.combine import ENGINE_ERROR, NOT_JUDGED, combine, plain_allow
from pdp.engine.findings import NOT_SCANNED
from pdp.engine.scan import Findings, scan

if TYPE_CHECKING:
    from pdp.domain.request import Request
    from pdp.engine.snapshot import Snapshot


Mark = tuple[str, float]
"""What has come to its end, and when, by `time.perf_counter`; the first has no name."""


def evaluate(
    snapshot: Snapshot,
    request: Request,
    decision_id: str,
    known: Findings | None = None,
    marks: list[Mark] | None = None,
) -> Decision:
    """Returns the decision on `request`.

    A layer that raises, and a scan that cannot be made, is a fault: the decision is then
    `incomplete`, and a BLOCK unless the tenant's `failure_mode` is open (decide.md, Fail closed).

    Args:
        snapshot: the tenant's policies.
        request: with its timestamp set.
        decision_id: the id of the decision.
        known: what is found in the request, where nothing is to be scanned for it.
        marks: is told when the scan and each layer have come to their end; None for nobody.
    """
    faults: list[Fault] = []
    verdicts: dict[str, Verdict] = {}
    stopped_by = _ask_gates(snapshot, request, verdicts, faults)
    if stopped_by:
        return _combined(snapshot, request, decision_id, verdicts, faults, stopped_by=stopped_by)
    findings = _findings(snapshot, request, faults) if known is None else known
    if marks is not None:
        marks.append((SCAN, perf_counter()))
    _ask_layers(snapshot, request, findings, verdicts, faults, marks=marks)
    if not (verdicts or faults or request.explain):
        # Most requests: nothing of what combining does applies to them.
        return plain_allow(snapshot, request, decision_id)
    return _combined(snapshot, request, decision_id, verdicts, faults)


def _ask_gates(
    snapshot: Snapshot, request: Request, verdicts: dict[str, Verdict], faults: list[Fault]
) -> str:
    """Returns the gate that stops the request; empty where none does."""
    for gate in snapshot.gates:
        try:
            verdict = gate.admit(request)
        except Exception as error:
            faults.append(Fault(gate.name, error))
            continue
        if verdict is not NO_VERDICT:
            verdicts[gate.name] = verdict
        if verdict.outcome is Outcome.BLOCK:
            return gate.name
    return ""


def _ask_layers(
    snapshot: Snapshot,
    request: Request,
    findings: Findings,
    verdicts: dict[str, Verdict],
    faults: list[Fault],
    *,
    marks: list[Mark] | None,
) -> None:
    """Adds to `verdicts` what the layers say, and to `faults` what they could not judge."""
    for layer in snapshot.layers:
        try:
            verdict = layer.judge(request, findings)
        except Exception as error:
            faults.append(Fault(layer.name, error))
        else:
            if verdict is not NO_VERDICT:
                verdicts[layer.name] = verdict
                faults += (Fault(layer.name, error) for error in verdict.unjudged)
        if marks is not None:
            marks.append((layer.name, perf_counter()))


def stopped(snapshot: Snapshot, request: Request) -> bool:
    """Whether a gate stops a request, so that nothing else is to be done for it."""
    try:
        return any(gate.admit(request).outcome is Outcome.BLOCK for gate in snapshot.gates)
    except Exception:  # `evaluate` meets it again, and tells of it
        return False


def _combined(
    snapshot: Snapshot,
    request: Request,
    decision_id: str,
    verdicts: dict[str, Verdict],
    faults: list[Fault],
    *,
    stopped_by: str = "",
) -> Decision:
    try:
        return combine(snapshot, request, decision_id, verdicts, faults, stopped_by=stopped_by)
    except Exception as error:
        # Redactions that cannot be made, for instance: what would be left of the text is not known.
        decision = unjudged(request.request_id, decision_id, fault=Fault(ENGINE, error))
        return decision._replace(revision=snapshot.revision)


def _findings(snapshot: Snapshot, request: Request, faults: list[Fault]) -> Findings:
    try:
        return scan(snapshot.shards, request.text, request.arguments, snapshot.platform.validators)
    except Exception as error:
        faults.append(Fault(ENGINE, error))
        return NOT_SCANNED


def unjudged(
    request_id: str,
    decision_id: str,
    *,
    reason_code: str = ENGINE_ERROR,
    message: str = NOT_JUDGED,
    status_hint: int = 503,
    fault: Fault | None = None,
) -> Decision:
    """Returns the BLOCK for a request that no snapshot could be asked about.

    Args:
        request_id: of the request.
        decision_id: the id of the decision.
        reason_code: why it could not be judged.
        message: the same for people.
        status_hint: the same as an HTTP status.
        fault: what went wrong, for the log.
    """
    points = DEFAULT_RISK_TABLE.engine_error
    return Decision(
        decision_id=decision_id,
        request_id=request_id,
        outcome=Outcome.BLOCK,
        message=message,
        reason_code=reason_code,
        status_hint=status_hint,
        risk=Risk(
            points, DEFAULT_RISK_TABLE.level(points), (RiskFactor(ENGINE, reason_code, points),)
        ),
        revision=0,
        incomplete=True,
        faults=(fault,) if fault else (),
    )
