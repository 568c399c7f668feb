"""Decides a payload: each part by itself, and one decision of all.

    parts → requests → evaluate each → combine → redact the payload

The strongest outcome counts, and the risk is that of the riskiest part. Limits count a payload
once, and it has one record.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from pdp.decisions.input_hash import with_input_hash
from pdp.domain.decision import (
    HELD,
    UNSTOPPED,
    Decision,
    Fault,
    HeldPart,
    Obligation,
    ObligationType,
    Outcome,
    PayloadResult,
    PolicyWarning,
    Redaction,
    Risk,
    Span,
)
from pdp.domain.layers import ENGINE
from pdp.domain.ner import NerFindings
from pdp.domain.placement import ARGUMENTS, SYSTEM, TOOL_RESULT
from pdp.domain.request import MCP_SERVER
from pdp.engine.dlp.named_entities import texts_of
from pdp.engine.evaluate import begin, failed_decision, finish
from pdp.engine.text.redaction import redact
from pdp.engine.work import NotLight, WorkBudget
from pdp.payloads.payload import PayloadPart
from pdp.payloads.pointers import member
from pdp.payloads.redaction import BLOCKED, PartChange, places_in, redacted_body

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pdp.domain.decision import Hold, Match, TraceRow
    from pdp.domain.request import Request
    from pdp.engine.evaluation import EvaluationState
    from pdp.engine.snapshot import Snapshot
    from pdp.payloads.payload import Payload

LATEST: Final = "latest"
"""The `history` with which what stands before the last answer does not stop a request."""

MAX_TRACE: Final = 1000
"""Rows of a trace."""

UNJUDGED_CONTENT: Final = "UNJUDGED_CONTENT"
HISTORY_BLOCKED: Final = "HISTORY_BLOCKED"
UNJUDGED_POLICY: Final = "unjudged"

_UNJUDGED: Final = "The payload has images, audio or files, which no policy has looked into."
_HISTORY: Final = "Earlier parts of the conversation were replaced by [BLOCKED]."
_NOT_SHOWN: Final = "[MEDIA]"
_FORBIDDEN: Final = 403
_NOTHING: Final = PayloadPart("")

T = TypeVar("T")


class Asked(NamedTuple):
    """A part of a payload, as a request to one model."""

    part: PayloadPart
    request: Request


class _Judged(NamedTuple):
    """A part, the decision on it, and the outcome that counts."""

    part: PayloadPart
    request: Request
    decision: Decision
    outcome: Outcome


def with_model(request: Request, payload: Payload) -> Request:
    """Returns a request for the model that it names, else for the one that the payload names."""
    session_id = request.session_id or payload.session_id
    request = request._replace(session_id=session_id)
    if request.model:
        return request
    return request._replace(provider=request.provider or payload.provider, model=payload.model)


def questions_of(snapshot: Snapshot, request: Request, payload: Payload) -> list[Asked]:
    """Returns the requests that the parts of a payload are: if two models are named, for each.

    Args:
        snapshot: the tenant's policies, which say what action a tool call is.
        request: what the caller says beside the payload; see `with_model`.
        payload: the payload. One without parts, or with earlier parts only, has an empty part.
    """
    parts = payload.parts
    if all(each.is_earlier for each in parts):
        parts = (*parts, _NOTHING)
    models = _models(request, payload)
    return [
        Asked(part, _request(snapshot, model, payload, part)) for part in parts for model in models
    ]


def _models(request: Request, payload: Payload) -> Sequence[Request]:
    """Returns the request to the model that it names, and to another that the payload names."""
    other = request._replace(
        provider=payload.provider or ("" if payload.model else request.provider),
        model=payload.model or request.model,
    )
    same_model = not payload.model or payload.model == request.model
    same_provider = not payload.provider or payload.provider == request.provider
    return (request,) if same_model and same_provider else (request, other)


def _request(snapshot: Snapshot, base: Request, payload: Payload, part: PayloadPart) -> Request:
    if part.scope == ARGUMENTS and not part.is_wrapped and part.values is not None:
        return base._replace(
            text=part.text,
            arguments=part.values,
            tool=part.tool,
            action=snapshot.tool_actions.action_of(part.tool, part.server or _server_of(base)),
            direction="input",  # a call goes to a tool, also if a model asks for it
        )
    return base._replace(
        text=part.text,
        arguments=part.values,
        direction="output" if payload.is_output else "input",
        place=part.scope if part.values is not None or part.scope in {SYSTEM, TOOL_RESULT} else "",
    )


def _server_of(request: Request) -> str:
    """Returns the MCP server that a request is for: its messages do not name it."""
    target = request.target
    return target.resource_id if target.resource_type == MCP_SERVER else ""


def texts_for_models(questions: Sequence[Asked]) -> list[tuple[str | None, str]]:
    """Returns the texts of all parts for models that find named entities, each with its place."""
    texts: list[tuple[str | None, str]] = []
    seen: set[int] = set()
    for index, (part, request) in enumerate(questions):
        if id(part) not in seen:
            seen.add(id(part))
            texts += ((f"{index} {path or ''}", text) for path, text in texts_of(request))
    return texts


def with_entities(questions: Sequence[Asked], findings: NerFindings) -> list[Asked]:
    """Returns the questions with what models found in the texts of `texts_for_models`."""
    by_part: dict[int, list[Any]] = {}
    for entity in findings.entities:
        index, _, path = (entity.path or "").partition(" ")
        own = by_part.setdefault(id(questions[int(index)].part), [])
        own.append(entity._replace(path=path or None))
    return [
        each._replace(
            request=each.request._replace(
                ner=NerFindings(tuple(by_part.get(id(each.part), ())), findings.missing)
            )
        )
        for each in questions
    ]


def with_requests(questions: Sequence[Asked], requests: Sequence[Request]) -> list[Asked]:
    """Returns the questions with other requests, in the same order."""
    return [
        each._replace(request=request) for each, request in zip(questions, requests, strict=True)
    ]


def begin_all(
    snapshot: Snapshot, questions: Sequence[Asked], decision_id: str
) -> list[EvaluationState]:
    """Runs the gates and the scans of all parts; see `pdp.engine.evaluate.begin`.

    The parts share the work that one decision may do.
    """
    now = time.time() if snapshot.needs_clock else None
    work = WorkBudget()
    return [
        begin(
            snapshot,
            each.request if now is None else each.request._replace(server_time=now),
            decision_id,
            work=work,
        )
        for each in questions
    ]


def judge_if_light(
    snapshot: Snapshot,
    questions: Sequence[Asked],
    payload: Payload,
    begun: Sequence[EvaluationState],
    history: str = "",
) -> Decision | None:
    """Returns what `judge` returns; None if that takes longer than an event loop should be held.

    Then the evaluations must begin anew, in a thread: see `judge_aside`.
    """
    for each in begun:
        each.bound_to_light()
    try:
        return judge(snapshot, questions, payload, begun, history)
    except NotLight:
        return None


def judge(
    snapshot: Snapshot,
    questions: Sequence[Asked],
    payload: Payload,
    begun: Sequence[EvaluationState],
    history: str = "",
) -> Decision:
    """Returns the decision on a payload. Never raises otherwise.

    Args:
        snapshot: the tenant's policies.
        questions: the parts as requests; see `questions_of`.
        payload: the payload.
        begun: the evaluations of the questions; see `begin_all`.
        history: `LATEST`, or empty.

    Raises:
        NotLight: `judge_if_light` has bounded its work.
    """
    try:
        judged = [
            _judged(asked, finish(evaluation), history)
            for asked, evaluation in zip(questions, begun, strict=True)
        ]
        decision = _combined(snapshot, judged, payload)
        requests = [each.request for each in questions]
        return with_input_hash(snapshot, requests[0], decision, requests)
    except NotLight:
        raise
    except Exception as error:  # for instance a redaction failed: how much may be shown is unknown
        ids = questions[0].request.request_id, begun[0].decision_id
        decision = failed_decision(*ids, fault=Fault(ENGINE, error))
        return decision._replace(revision=snapshot.revision)


def judge_aside(
    snapshot: Snapshot,
    questions: Sequence[Asked],
    payload: Payload,
    decision_id: str,
    history: str = "",
) -> Decision:
    """Returns the decision on a payload, in a thread beside the event loop; see `judge`."""
    begun = begin_all(snapshot, questions, decision_id)
    for each in begun:
        each.yield_to_others()
    return judge(snapshot, questions, payload, begun, history)


def _judged(asked: Asked, decision: Decision, history: str) -> _Judged:
    outcome = decision.outcome
    if history == LATEST and asked.part.is_earlier:
        if not decision.allowed:
            outcome = Outcome.REDACT
        elif outcome in {Outcome.WARN, Outcome.ALLOW_WITH_OVERRIDE}:
            outcome = Outcome.ALLOW
    return _Judged(asked.part, asked.request, decision, outcome)


def _combined(snapshot: Snapshot, judged: Sequence[_Judged], payload: Payload) -> Decision:
    unjudged = _unjudged(snapshot, payload)
    first = judged[0].decision
    if unjudged is None and all(each.decision.plain for each in judged):
        return first._replace(scan=None, unmatched=None, payload=PayloadResult(payload.format))
    deciding = max(judged, key=lambda each: (each.outcome, each.decision.risk.score))
    outcome, decision = _deciding(deciding, unjudged)
    decisions = [each.decision for each in judged]
    held = [each for each in judged if each.outcome in HELD] if outcome in HELD else []
    redacted = None
    if outcome < Outcome.CANCEL:
        changes = _changes(judged)
        redacted = redacted_body(payload, changes) if changes else None
    warnings = [each.warnings for each in decisions if each.outcome is not Outcome.BLOCK]
    if unjudged is not None:
        warnings.append(unjudged.warnings)
    return decision._replace(
        outcome=outcome,
        risk=_riskiest(decisions),
        obligations=_obligations(payload, judged, outcome),
        redacted_text=None,
        redacted_arguments=None,
        warnings=_united(warnings),
        matches=_first_matches(judged),
        pii_detected=any(each.pii_detected for each in decisions),
        frameworks=_united(each.frameworks for each in decisions),
        trace=_trace(judged, deciding),
        incomplete=any(each.incomplete for each in decisions),
        faults=_united(each.faults for each in decisions),
        counted=all(each.counted for each in decisions),
        plain=False,
        payload=PayloadResult(payload.format, redacted, payload.unjudged),
        holds=_united(each.decision.holds for each in held),
        held=tuple(HeldPart(each.request, _outcomes(each.decision.holds)) for each in held),
        scan=None,
        unmatched=None,
    )


def _outcomes(holds: Iterable[Hold]) -> frozenset[Outcome]:
    return frozenset(each.outcome for each in holds)


def _deciding(deciding: _Judged, unjudged: Decision | None) -> tuple[Outcome, Decision]:
    """Returns the outcome of a payload, and a decision with its reasons.

    Args:
        deciding: the part that decides.
        unjudged: what the tenant's settings say of media; None if the payload has none.
    """
    decision = deciding.decision
    if deciding.outcome is Outcome.REDACT and not decision.allowed:
        decision = decision._replace(
            message=_HISTORY, reason_code=HISTORY_BLOCKED, status_hint=200, retry_after_s=None
        )
    if deciding.outcome is Outcome.ALLOW and decision.outcome is not Outcome.ALLOW:
        decision = decision._replace(message="", reason_code="", status_hint=200)
    if unjudged is None or unjudged.outcome <= deciding.outcome:
        return deciding.outcome, decision
    return unjudged.outcome, decision._replace(
        message=unjudged.message,
        reason_code=unjudged.reason_code,
        status_hint=unjudged.status_hint,
    )


def _unjudged(snapshot: Snapshot, payload: Payload) -> Decision | None:
    """Returns what the tenant's settings say of media; None if the payload has none."""
    if not payload.unjudged:
        return None
    blocks = snapshot.settings.unjudged == "block"
    return Decision(
        decision_id="",
        request_id="",
        outcome=Outcome.BLOCK if blocks else Outcome.WARN,
        message=_UNJUDGED,
        reason_code=UNJUDGED_CONTENT,
        status_hint=_FORBIDDEN if blocks else 200,
        risk=Risk(0, "none"),
        revision=0,
        warnings=() if blocks else (PolicyWarning(UNJUDGED_POLICY, _UNJUDGED),),
    )


def _united(groups: Iterable[Iterable[T]]) -> tuple[T, ...]:
    """Returns all items, each once, in order."""
    return tuple(dict.fromkeys(item for group in groups for item in group))


def _riskiest(decisions: Sequence[Decision]) -> Risk:
    return max((each.risk for each in decisions), key=lambda risk: risk.score)


def _first_matches(judged: Sequence[_Judged]) -> tuple[Match, ...]:
    """Returns the first match of each policy in each scope, with the pointer of its part.

    So a long conversation has no more matches than a short one.
    """
    matches: dict[Match, Match] = {}
    for part, _, decision, _ in judged:
        for each in decision.matches:
            match = each._replace(pointer=part.pointer) if each.scope else each
            matches.setdefault(each._replace(reason=""), match)
    return tuple(matches.values())


def _trace(judged: Sequence[_Judged], deciding: _Judged) -> tuple[TraceRow, ...]:
    """Returns the trace of the part that decides, then what matched in the others."""
    rows = list(deciding.decision.trace)
    for each in judged:
        if each is not deciding and len(rows) < MAX_TRACE:
            rows += (row for row in each.decision.trace if row.matched)
    return tuple(rows[:MAX_TRACE])


def _changes(judged: Sequence[_Judged]) -> list[PartChange]:
    changes: dict[int, PartChange] = {}
    redacting: dict[int, list[_Judged]] = {}
    for each in judged:
        decision = each.decision
        if not decision.allowed and each.outcome is Outcome.REDACT:
            changes[id(each.part)] = PartChange(each.part, is_blocked=True)
        elif decision.redacted_text is not None or decision.redacted_arguments is not None:
            redacting.setdefault(id(each.part), []).append(each)
    for key, several in redacting.items():
        if key not in changes:
            changes[key] = _change(several)
    return list(changes.values())


def _change(several: Sequence[_Judged]) -> PartChange:
    """Returns a part with the redactions for each model that is asked for."""
    part, request, decision, _ = several[0]
    if len(several) == 1:
        return PartChange(part, decision.redacted_text, decision.redacted_arguments)
    redactions = [
        Redaction(obligation.replacement or "", span)
        for each in several
        for obligation in each.decision.obligations
        if obligation.type is ObligationType.REDACT
        for span in obligation.spans
    ]
    redacted = redact(request, redactions)
    return PartChange(part, redacted.text, redacted.arguments)


def _obligations(
    payload: Payload, judged: Sequence[_Judged], outcome: Outcome
) -> tuple[Obligation, ...]:
    """Returns the obligations of all parts, without ROUTE_TO and APPROVAL if it is stopped.

    A request can go to one model only: the first ROUTE_TO counts.
    """
    spans: dict[tuple[str | None, str], dict[Span, None]] = {}
    others: dict[Obligation, None] = {}
    stopped = outcome >= Outcome.CANCEL
    has_route = False
    for each in judged:
        if not each.decision.allowed and each.outcome is Outcome.REDACT:
            length = len(each.part.text)
            whole = Span(0, length, path=each.part.pointer)
            spans.setdefault((BLOCKED, ""), {})[whole] = None
            continue
        for obligation in each.decision.obligations:
            if obligation.type is ObligationType.REDACT:
                own = spans.setdefault((obligation.replacement, obligation.kind), {})
                own.update(dict.fromkeys(_spans(payload, each.part, obligation.spans)))
            elif not (stopped and obligation.type in UNSTOPPED):
                is_route = obligation.type is ObligationType.ROUTE_TO
                if not (is_route and has_route):
                    others[obligation] = None
                has_route = has_route or is_route
    redactions = (
        Obligation(ObligationType.REDACT, replacement, tuple(own), kind=kind)
        for (replacement, kind), own in spans.items()
    )
    return (*redactions, *others)


def _spans(payload: Payload, part: PayloadPart, spans: Sequence[Span]) -> list[Span]:
    """Returns spans in a part as spans in the payload."""
    if isinstance(payload.document, str):
        return list(spans)
    found = places_in(
        payload, part, [(each.path, each.start, each.end, each.in_key) for each in spans]
    )
    return [
        each._replace(path=place.pointer, start=place.start, end=place.end, in_key=place.in_key)
        for each, place in zip(spans, found, strict=True)
    ]


def request_to_record(
    snapshot: Snapshot, request: Request, payload: Payload, decision: Decision
) -> Request:
    """Returns what `record_request` does; the request as it is if the decision is not recorded."""
    if decision.plain and not snapshot.records_plain:
        return request
    return record_request(request, payload)


def record_request(request: Request, payload: Payload) -> Request:
    """Returns a payload as one request, for its record: the document stands for its arguments."""
    document = payload.document
    request = request._replace(
        direction="output" if payload.is_output else "input", payload_format=payload.format
    )
    calls = [each for each in payload.parts if each.scope == ARGUMENTS and not each.is_earlier]
    if len(calls) == 1:
        request = request._replace(tool=calls[0].tool)
    if isinstance(document, str):
        return request._replace(text=document)
    shown = _without(document, frozenset(payload.unjudged), "")
    return request._replace(arguments=shown if isinstance(shown, Mapping) else {"": shown})


def _without(value: Any, media: frozenset[str], pointer: str) -> Any:
    """Returns a document without its media."""
    if not media:
        return value
    if pointer in media:
        return _NOT_SHOWN
    if isinstance(value, dict):
        return {key: _without(item, media, member(pointer, key)) for key, item in value.items()}
    if isinstance(value, list):
        return [_without(item, media, f"{pointer}/{index}") for index, item in enumerate(value)]
    return value
