"""The results of a client: decisions of its own types."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from pdp_client import enforcement
from pdp_client._gen.pdp.v1 import decide_pb2 as pb
from pdp_client.enforcement import APPROVED, Held, Permit, RequiredApproval, Route
from pdp_client.failures import UNAVAILABLE, Unavailable

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp

    from pdp_client._gen.pdp.v1 import simulate_pb2

_PASSING: Final = frozenset(
    {
        pb.OUTCOME_ALLOW,
        pb.OUTCOME_WARN,
        pb.OUTCOME_ALLOW_WITH_OVERRIDE,
        pb.OUTCOME_ROUTE_TO,
        pb.OUTCOME_REDACT,
    }
)

_STATUS_ALLOWED: Final = 200
_STATUS_UNAVAILABLE: Final = 503

_NAMES: Final = {
    number: name.removeprefix("OUTCOME_") for name, number in pb.Outcome.items() if number
}
"""The names of the outcomes."""


@dataclass(frozen=True, slots=True)
class RedactedSpan:
    """A place to redact, in code points.

    Attributes:
        start: the offset of the first code point.
        end: the offset after the last one.
        path: the JSON Pointer into the arguments or the payload; None for the text.
        entity_type: the type of what is there.
        in_key: whether it is in the key of the member at `path`, and not in the value.
    """

    start: int
    end: int
    path: str | None = None
    entity_type: str = ""
    in_key: bool = False


@dataclass(frozen=True, slots=True)
class Redaction:
    """Places that are replaced by one text.

    Attributes:
        spans: the places.
        replacement: the text.
    """

    spans: tuple[RedactedSpan, ...]
    replacement: str


@dataclass(frozen=True, slots=True)
class ConfirmationPrompt:
    """A question to the user.

    Attributes:
        message: the question.
        confirmation: lets the request pass after the user has confirmed. Keep it out of logs.
        expires_at: until when; None if the server gives no confirmation.
    """

    message: str
    confirmation: str = field(default="", repr=False)
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Obligations:
    """What a decision requires. `Decision.enforce` fulfils it.

    Attributes:
        redact: what must be replaced.
        mask_fields: the fields that must be masked.
        route: the model that the request must be sent to; None for the one that it names.
        prompts: what the user must confirm.
        approval: the approval of a second person that is missing; None for none.
        is_known: whether the client knows all obligations. If not, `enforce` denies.
    """

    redact: tuple[Redaction, ...] = ()
    mask_fields: tuple[str, ...] = ()
    route: Route | None = None
    prompts: tuple[ConfirmationPrompt, ...] = ()
    approval: RequiredApproval | None = None
    is_known: bool = True


@dataclass(frozen=True, slots=True)
class MatchedPolicy:
    """A policy that matched.

    Attributes:
        layer: its layer, for instance `static`.
        policy_id: its id.
        name: its name.
        action: its action.
        severity: its severity.
        reason: what it matched.
        pointer: the JSON Pointer of the part of the payload that it matched.
        would_be: the outcome that it would have given if it were not in monitor mode.
    """

    layer: str
    policy_id: str
    name: str
    action: str
    severity: str
    reason: str
    pointer: str = ""
    would_be: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """A decision. Send only what `enforce` returns; `allowed` does not say what must change first.

    Attributes:
        outcome: the outcome, for instance `ALLOW`, `REDACT` or `BLOCK`.
        allowed: whether the request may go out, after the obligations are fulfilled.
        message: explains the decision to the user. It is safe to show.
        reason_code: the machine-readable reason; `PDP_UNAVAILABLE` if there was no decision.
        decision_id: the id of the decision; empty if there was none.
        request_id: the id of the request.
        revision: the revision of the policies that the decision is based on.
        matches: the policies that matched.
        warnings: the messages to show to the user.
        obligations: what the decision requires.
        retry_after: the seconds until the request can pass, if a limit stops it; else None.
        input_hash: identifies what was decided on.
        status_hint: the HTTP status to answer with.
        request: the request that was decided.
        raw: the answer of the server.
        failure: why there was no decision; None if there was one.
        stale: whether the server decided by saved policies, because it could not read its database;
            `raw.policies_known_at` says when they were last known to be in force.
    """

    outcome: str
    allowed: bool
    message: str
    reason_code: str
    decision_id: str
    request_id: str
    revision: int
    matches: tuple[MatchedPolicy, ...]
    warnings: tuple[str, ...]
    obligations: Obligations
    retry_after: int | None
    input_hash: str
    status_hint: int
    request: pb.DecideRequest = field(repr=False)
    raw: pb.DecideResponse = field(repr=False)
    failure: Unavailable | None = None
    stale: bool = False

    @property
    def redacted(self) -> bool:
        """Whether something must be redacted or masked before the request goes out."""
        return bool(self.obligations.redact or self.obligations.mask_fields)

    @property
    def held(self) -> bool:
        """Whether the request waits for a person; see `resume`."""
        return self.outcome in {"PROMPT", "ESCALATE"} or bool(
            self.obligations.prompts or self.obligations.approval
        )

    def enforce(self, *, confirmed: bool = False) -> Permit:
        """Returns what may go out; see `pdp_client.enforce`.

        Raises:
            Denied: the request is stopped.
            Held: the user must confirm first, or a second person must approve the request.
        """
        if _answer_field.is_left_out(self) and enforcement.has_only_text(self.request):
            return enforcement.Permit(text=self.request.content.text)  # most decisions
        return enforcement.enforce(self.raw, self.request, confirmed=confirmed)

    def resume(self, *, confirmed: bool = False) -> pb.DecideRequest:
        """Returns the request as it is to be sent again, if a person must agree first.

        Raises:
            Denied: the request is stopped.
            ValueError: the request is not held, or there is nothing to send it again with.
        """
        try:
            self.enforce()
        except Held as held:
            return enforcement.resume(self.request, held, confirmed=confirmed)
        raise ValueError("the request is not held: send what `enforce` returns")


class _AnswerField:
    """`Decision.raw`, which is made when it is first read if `plain_decision` has left it out.

    Two threads that read it first at the same time may get one each. The two are equal.
    """

    def __init__(self, slot: Any) -> None:
        """Takes the descriptor that has the field so far."""
        self._read, self._write = slot.__get__, slot.__set__

    def __get__(self, decision: Decision | None, owner: type[Decision]) -> Any:
        if decision is None:
            return self
        answer = self._read(decision)
        if answer is _PLAIN:
            answer = _plain_answer(decision)
            self._write(decision, answer)
        return answer

    def __set__(self, decision: Decision, answer: pb.DecideResponse) -> None:
        self._write(decision, answer)

    def is_left_out(self, decision: Decision) -> bool:
        """Returns whether it is the answer of a plain decision that has not been read yet."""
        return self._read(decision) is _PLAIN


_PLAIN: Final[Any] = object()
"""The placeholder for the answer of a plain decision until it is read."""

_answer_field: Final = _AnswerField(vars(Decision)["raw"])
setattr(Decision, "raw", _answer_field)  # noqa: B010 - see the class


class _Draft:
    """A decision that is being made.

    The constructor of a frozen dataclass calls a function for each of its fields, which takes three
    times as long. So the fields are set here, and then the object becomes a `Decision`, which has
    the same ones.
    """

    __slots__ = tuple(each.name for each in fields(Decision))

    def __init__(
        self,
        *,
        outcome: str,
        allowed: bool,
        message: str,
        reason_code: str,
        decision_id: str,
        request_id: str,
        revision: int,
        matches: tuple[MatchedPolicy, ...],
        warnings: tuple[str, ...],
        obligations: Obligations,
        retry_after: int | None,
        input_hash: str,
        status_hint: int,
        request: pb.DecideRequest,
        raw: pb.DecideResponse,
        failure: Unavailable | None,
        stale: bool,
    ) -> None:
        self.outcome = outcome
        self.allowed = allowed
        self.message = message
        self.reason_code = reason_code
        self.decision_id = decision_id
        self.request_id = request_id
        self.revision = revision
        self.matches = matches
        self.warnings = warnings
        self.obligations = obligations
        self.retry_after = retry_after
        self.input_hash = input_hash
        self.status_hint = status_hint
        self.request = request
        self.raw = raw
        self.failure = failure
        self.stale = stale

    def finish(self) -> Decision:
        """Returns the decision that this object is from now on."""
        self.__class__ = Decision  # type: ignore[assignment] # it has the same slots
        return self  # type: ignore[return-value] # see above


@dataclass(frozen=True, slots=True)
class Simulation:
    """The result of a simulation. It has no effect, so nothing may go out by it.

    Attributes:
        decision: what would be decided.
        raw: the answer of the server, with the result of each layer; None if there was none.
    """

    decision: Decision
    raw: simulate_pb2.SimulateResponse | None = field(repr=False)

    @property
    def allowed(self) -> bool:
        """Whether the request would be allowed."""
        return self.decision.allowed


def decision_of(response: pb.DecideResponse, request: pb.DecideRequest) -> Decision:
    """Returns the decision that an answer holds.

    Raises:
        Unavailable: the answer has an unknown outcome, contradicts itself, or is for another
            request.
    """
    outcome = response.outcome
    name = _NAMES.get(outcome)
    if name is None:
        raise Unavailable(f"the answer has an outcome that is not known: {outcome}")
    if response.allowed != (outcome in _PASSING):
        raise Unavailable(f"the answer has allowed {response.allowed} with the outcome {name}")
    if request.request_id and response.request_id != request.request_id:
        raise Unavailable("the answer is for another request")
    return _decision(response, request)


def plain_decision(
    request: pb.DecideRequest, decision_id: str, request_id: str, revision: int, input_hash: str
) -> Decision:
    """Returns the ALLOW to which no policy added anything, as `decision_of` returns it.

    Its answer is made when it is read: to make it, and to read its fields, takes as long as to
    decide.

    Args:
        request: the request; it has no payload.
        decision_id: the id of the decision.
        request_id: the id of the request.
        revision: the revision of the policies.
        input_hash: identifies what was decided on; empty if it was not computed.
    """
    draft = _Draft.__new__(_Draft)  # to pass all fields by name takes as long as to set them
    draft.outcome = "ALLOW"
    draft.allowed = True
    draft.message = ""
    draft.reason_code = ""
    draft.decision_id = decision_id
    draft.request_id = request_id
    draft.revision = revision
    draft.matches = ()
    draft.warnings = ()
    draft.obligations = _NO_OBLIGATIONS
    draft.retry_after = None
    draft.input_hash = input_hash
    draft.status_hint = _STATUS_ALLOWED
    draft.request = request
    draft.raw = _PLAIN
    draft.failure = None
    draft.stale = False
    return draft.finish()


def _plain_answer(decision: Decision) -> pb.DecideResponse:
    return pb.DecideResponse(
        decision_id=decision.decision_id,
        request_id=decision.request_id,
        outcome=pb.OUTCOME_ALLOW,
        allowed=True,
        revision=decision.revision,
        input_hash=decision.input_hash,
        status_hint=_STATUS_ALLOWED,
        risk=pb.Risk(level="none"),
    )


def denial(request: pb.DecideRequest, failure: Unavailable) -> Decision:
    """Returns the decision for a request for which there is no decision: a denial."""
    response = pb.DecideResponse(
        request_id=request.request_id,
        outcome=pb.OUTCOME_BLOCK,
        allowed=False,
        message="The request could not be checked, so it was stopped. Please try again later.",
        reason_code=UNAVAILABLE,
        status_hint=_STATUS_UNAVAILABLE,
        incomplete=True,
    )
    return _decision(response, request, failure)


def _decision(
    response: pb.DecideResponse, request: pb.DecideRequest, failure: Unavailable | None = None
) -> Decision:
    retry_after = response.retry_after_s if response.HasField("retry_after_s") else None
    return _Draft(
        outcome=_NAMES[response.outcome],
        allowed=response.allowed,
        message=response.message,
        reason_code=response.reason_code,
        decision_id=response.decision_id,
        request_id=response.request_id,
        revision=response.revision,
        matches=tuple(map(_match, response.matches)),
        warnings=tuple(each.message for each in response.warnings),
        obligations=_obligations(response),
        retry_after=retry_after,
        input_hash=response.input_hash,
        status_hint=response.status_hint,
        request=request,
        raw=response,
        failure=failure,
        stale=response.stale,
    ).finish()


def _match(match: pb.Match) -> MatchedPolicy:
    return MatchedPolicy(
        match.layer,
        match.policy_id,
        match.name,
        match.action,
        match.severity,
        match.reason,
        match.pointer,
        match.would_be,
    )


_NO_OBLIGATIONS: Final = Obligations()


def _obligations(response: pb.DecideResponse) -> Obligations:
    if not response.obligations:
        return _NO_OBLIGATIONS
    redact: list[Redaction] = []
    fields: list[str] = []
    prompts: list[ConfirmationPrompt] = []
    route, approval, is_known = None, None, True
    for each in response.obligations:
        match each.type:
            case pb.OBLIGATION_TYPE_REDACT:
                redact.append(Redaction(tuple(map(_span, each.spans)), each.replacement))
            case pb.OBLIGATION_TYPE_MASK_FIELDS:
                fields += each.fields
            case pb.OBLIGATION_TYPE_ROUTE_TO:
                route = route or Route(each.model, each.provider)
            case pb.OBLIGATION_TYPE_PROMPT:
                expires_at = _time(each.expires_at) if each.HasField("expires_at") else None
                prompts.append(ConfirmationPrompt(each.message, each.confirmation, expires_at))
            case pb.OBLIGATION_TYPE_APPROVAL:
                approval = approval or _approval(each)
                is_known = is_known and approval is not None
            case _:
                is_known = False
    return Obligations(
        tuple(redact), tuple(dict.fromkeys(fields)), route, tuple(prompts), approval, is_known
    )


def _span(span: pb.Span) -> RedactedSpan:
    path = span.path if span.HasField("path") else None
    return RedactedSpan(span.start, span.end, path, span.entity_type, span.in_key)


def _approval(obligation: pb.Obligation) -> RequiredApproval | None:
    expires_at = _time(obligation.expires_at)
    if expires_at is None:
        return None
    return RequiredApproval(
        id=obligation.approval_id,
        message=obligation.message,
        expires_at=expires_at,
        is_given=obligation.approval_state == APPROVED,
        token=obligation.token,
    )


def _time(timestamp: Timestamp) -> datetime | None:
    try:
        return timestamp.ToDatetime(UTC)
    except (ValueError, OverflowError):
        return None
