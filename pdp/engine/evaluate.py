"""Decides one request with one snapshot.

Never raises: a request that cannot be evaluated is blocked.
"""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from pdp.domain.decision import (
    NO_VERDICT,
    Decision,
    Fault,
    ObligationType,
    Outcome,
    Risk,
    RiskFactor,
)
from pdp.domain.layers import CHAIN, ENGINE, LIMITS, SCAN
from pdp.domain.risk import DEFAULT_RISK_TABLE
from pdp.engine.combine import (
    ENGINE_ERROR,
    NOT_EVALUATED,
    combine,
    joined,
    plain_allow,
    risk_of,
)
from pdp.engine.evaluation import EvaluationState
from pdp.engine.findings import NOT_SCANNED
from pdp.engine.scan import Findings, scan
from pdp.engine.work import NotLight
from pdp.errors import WorkLimitExceeded

if TYPE_CHECKING:
    from pdp.domain.request import Request
    from pdp.engine.evaluation import Mark
    from pdp.engine.snapshot import Snapshot
    from pdp.engine.work import WorkBudget

OVER_LIMIT: Final = "The request needs more work than one decision may do, so it is blocked."
OVER_LIMIT_STATUS: Final = 413


def evaluate(
    snapshot: Snapshot,
    request: Request,
    decision_id: str,
    known: Findings | None = None,
    marks: list[Mark] | None = None,
) -> Decision:
    """Returns the decision on `request`.

    A layer that raises is a fault, and so is a scan that fails. The decision is then `incomplete`,
    and it is a BLOCK unless the tenant's `failure_mode` is open (decide.md, Fail closed). A request
    that needs too much work is always a BLOCK: see `pdp.engine.work`.

    Args:
        snapshot: the tenant's policies.
        request: the request, with its timestamp set.
        decision_id: the ID of the decision.
        known: the findings in the request, if a scan is not needed.
        marks: if given, a mark is added when the scan and each layer finish.
    """
    return finish(begin(snapshot, request, decision_id, known, marks))


def begin(
    snapshot: Snapshot,
    request: Request,
    decision_id: str,
    known: Findings | None = None,
    marks: list[Mark] | None = None,
    *,
    work: WorkBudget | None = None,
) -> EvaluationState:
    """Runs the gates and the scan of a decision, which take a time that its size bounds.

    How long `finish` takes depends on what the scan found: see `EvaluationState.cost`. The
    arguments are those of `evaluate`; evaluations that are parts of one decision share `work`.
    """
    evaluation = EvaluationState(snapshot, request, decision_id, marks)
    _run_gates(evaluation)
    if not evaluation.stopped_by:
        if known is not None:
            evaluation.findings = known
        else:
            sets, validators = snapshot.pattern_sets, snapshot.platform.validators
            try:
                findings = scan(sets, request.text, request.arguments, validators, work)
            except WorkLimitExceeded as error:
                evaluation.over_limit, findings = error, NOT_SCANNED
            except Exception as error:
                evaluation.faults.append(Fault(ENGINE, error))
                findings = NOT_SCANNED
            else:
                evaluation.scanned = True
            evaluation.findings = findings
        if marks is not None:
            marks.append((SCAN, perf_counter()))
    return evaluation


def finish_if_light(evaluation: EvaluationState) -> Decision | None:
    """Returns what `finish` returns; None if that takes longer than an event loop should be held.

    Then the evaluation is as it was before, so that `finish` in a thread returns what it would have
    returned at once.
    """
    findings = evaluation.findings
    if findings is None or not findings.hits:  # then there is nothing to locate
        return finish(evaluation)
    state = evaluation.state()
    evaluation.bound_to_light()
    try:
        return finish(evaluation)
    except NotLight:
        evaluation.restore(state)
        evaluation.findings = findings.unread()
        return None


def finish(evaluation: EvaluationState) -> Decision:
    """Runs the layers of a decision that has begun, and returns it. Never raises otherwise.

    Raises:
        NotLight: `finish_if_light` has bounded its work.
    """
    try:
        if evaluation.findings is not None:
            _run_layers(evaluation, evaluation.findings)
            if not (evaluation.verdicts or evaluation.faults or evaluation.request.explain):
                # Most requests: there is nothing to combine.
                return plain_allow(evaluation)
        _run_closers(evaluation)
        return combine(evaluation)
    except NotLight:
        raise
    except WorkLimitExceeded as error:
        return _over_limit(evaluation, error)
    except Exception as error:
        # For instance a redaction failed: how much of the text may be shown is unknown.
        return _failed(evaluation, Fault(ENGINE, error))


def _failed(evaluation: EvaluationState, fault: Fault, **fields: Any) -> Decision:
    decision = failed_decision(
        evaluation.request.request_id, evaluation.decision_id, fault=fault, **fields
    )
    snapshot = evaluation.snapshot
    return decision._replace(revision=snapshot.revision, policies_known_at=snapshot.known_at)


def _over_limit(evaluation: EvaluationState, error: WorkLimitExceeded) -> Decision:
    """Returns the BLOCK for a request that needs too much work.

    It does not depend on `failure_mode`, because a caller can bring it about.
    """
    return _failed(
        evaluation,
        Fault(ENGINE, error),
        reason_code=error.reason,
        message=OVER_LIMIT,
        status_hint=OVER_LIMIT_STATUS,
    )


def _run_gates(evaluation: EvaluationState) -> None:
    """Runs the gates until one stops the request."""
    request = evaluation.request
    for gate in evaluation.snapshot.gates:
        try:
            verdict = gate.admit(request)
        except Exception as error:
            evaluation.faults.append(Fault(gate.name, error))
            continue
        if verdict is not NO_VERDICT:
            evaluation.verdicts[gate.name] = verdict
            if verdict.outcome is Outcome.BLOCK:
                evaluation.stopped_by = gate.name
                return


def _run_layers(evaluation: EvaluationState, findings: Findings) -> None:
    """Runs the layers on the findings.

    Raises:
        WorkLimitExceeded: the request needs more work than one decision may do.
    """
    snapshot, request, marks = evaluation.snapshot, evaluation.request, evaluation.marks
    if evaluation.over_limit is not None:
        raise evaluation.over_limit
    for layer in snapshot.layers:
        try:
            verdict = layer.evaluate(request, findings)
        except WorkLimitExceeded:
            raise
        except Exception as error:
            evaluation.faults.append(Fault(layer.name, error))
        else:
            if verdict is not NO_VERDICT:
                evaluation.verdicts[layer.name] = verdict
                evaluation.faults += (Fault(layer.name, error) for error in verdict.failures)
        if marks is not None:
            marks.append((layer.name, perf_counter()))
    if CHAIN in evaluation.verdicts:
        _judge_target(evaluation, findings)


def _judge_target(evaluation: EvaluationState, findings: Findings) -> None:
    """Adds what the other layers say of the model that a chain routes the request to.

    The chain layer itself has judged it. The gates need not: a route has no target that is switched
    off or unknown. A limit is the same for all models.
    """
    route = next(
        (
            each
            for each in evaluation.verdicts[CHAIN].obligations
            if each.type is ObligationType.ROUTE_TO
        ),
        None,
    )
    if route is None:
        return
    request = evaluation.request._replace(
        provider=route.provider or "", model=route.model or "", explain=False
    )
    for layer in evaluation.snapshot.layers:
        if layer.name in {CHAIN, LIMITS}:
            continue
        try:
            verdict = layer.evaluate(request, findings)
        except WorkLimitExceeded:
            raise
        except Exception as error:
            evaluation.faults.append(Fault(layer.name, error))
        else:
            own = evaluation.verdicts.get(layer.name, NO_VERDICT)
            if verdict not in (NO_VERDICT, own._replace(rows=())):
                evaluation.verdicts[layer.name] = joined(own, verdict)


def _run_closers(evaluation: EvaluationState) -> None:
    """Runs each closer with the risk so far. Does nothing if a gate stopped the request."""
    if evaluation.stopped_by:
        return
    for closer in evaluation.snapshot.closers:
        risk = evaluation.risk = risk_of(evaluation)
        try:
            verdict = closer.conclude(evaluation.request, risk)
        except Exception as error:
            evaluation.faults.append(Fault(closer.name, error))
            evaluation.risk = None
            continue
        evaluation.verdicts[closer.name] = verdict
        if verdict.floors or verdict.impacts:
            evaluation.risk = None


def stopped(snapshot: Snapshot, request: Request) -> bool:
    """Returns whether a gate stops a request, so that no other work is needed for it."""
    try:
        return any(gate.admit(request).outcome is Outcome.BLOCK for gate in snapshot.gates)
    except Exception:  # `evaluate` runs the gate again and reports the fault
        return False


def failed_decision(
    request_id: str,
    decision_id: str,
    *,
    reason_code: str = ENGINE_ERROR,
    message: str = NOT_EVALUATED,
    status_hint: int = 503,
    fault: Fault | None = None,
) -> Decision:
    """Returns the BLOCK for a request that could not be evaluated.

    Args:
        request_id: the ID of the request.
        decision_id: the ID of the decision.
        reason_code: the reason, for programs.
        message: the reason, for people.
        status_hint: the reason as an HTTP status.
        fault: the error, for the log.
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
