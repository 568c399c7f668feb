"""The result of evaluating a request: outcomes, verdicts of layers, decisions."""

from __future__ import annotations

from enum import IntEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pdp.domain.request import Request


class Outcome(IntEnum):
    """The numbers are those of `Outcome` in decide.proto. Outcomes compare by `OUTCOMES`."""

    ALLOW = 1
    WARN = 2
    ALLOW_WITH_OVERRIDE = 3
    ROUTE_TO = 4
    REDACT = 5
    PROMPT = 6
    CANCEL = 7
    BLOCK = 8
    ESCALATE = 9

    @property
    def allowed(self) -> bool:
        """Whether the request may pass: all outcomes but PROMPT, ESCALATE, CANCEL and BLOCK."""
        return self < Outcome.PROMPT

    def __lt__(self, other: int) -> bool:
        """Whether this outcome is weaker."""
        return _STRENGTHS[self] < _STRENGTHS[other]

    def __le__(self, other: int) -> bool:
        """Whether this outcome is weaker or the same."""
        return _STRENGTHS[self] <= _STRENGTHS[other]

    def __gt__(self, other: int) -> bool:
        """Whether this outcome is stronger."""
        return _STRENGTHS[self] > _STRENGTHS[other]

    def __ge__(self, other: int) -> bool:
        """Whether this outcome is stronger or the same."""
        return _STRENGTHS[self] >= _STRENGTHS[other]


OUTCOMES: Final = (
    Outcome.ALLOW,
    Outcome.WARN,
    Outcome.ALLOW_WITH_OVERRIDE,
    Outcome.ROUTE_TO,
    Outcome.REDACT,
    Outcome.PROMPT,
    Outcome.ESCALATE,
    Outcome.CANCEL,
    Outcome.BLOCK,
)
"""All outcomes, from the weakest to the strongest."""

_STRENGTHS: Final[Mapping[int, int]] = {outcome: index for index, outcome in enumerate(OUTCOMES)}

HELD: Final = frozenset({Outcome.PROMPT, Outcome.ESCALATE})
"""The outcomes that hold a request until a person has answered."""


class ObligationType(IntEnum):
    """What an obligation requires; the numbers are those of decide.proto."""

    REDACT = 1
    ROUTE_TO = 2
    PROMPT = 3
    MASK_FIELDS = 4
    APPROVAL = 5


UNSTOPPED: Final = frozenset({ObligationType.ROUTE_TO, ObligationType.APPROVAL})
"""The obligations that a request which is stopped does not have."""


class Span(NamedTuple):
    """A range of code points in the text, or in the arguments at `path`.

    Attributes:
        path: JSON Pointer of a string or a number, or of the member whose key has the span; None
            for the text. The offsets in a number are those of its JSON text.
        in_key: whether the span is in the key of the member at `path`.
    """

    start: int
    end: int
    entity_type: str = ""
    path: str | None = None
    in_key: bool = False


class Redaction(NamedTuple):
    """A span that a policy redacts. `pdp.engine.text.redaction` merges those of all layers.

    Attributes:
        replacement: the text in its place. If `kind` is set, it is computed from the value.
        span: what is redacted.
        kind: `MASK`, `HASH` or `PLACEHOLDER` of `pdp.domain.redaction_kind`; empty for a fixed
            text.
        is_secret: whether the value is a secret: a mask shows nothing of it.
    """

    replacement: str
    span: Span
    kind: str = ""
    is_secret: bool = False


class Obligation(NamedTuple):
    """Something that the caller must do to comply with the decision.

    Attributes:
        kind: the kind of a redaction whose replacement depends on the value; see `Redaction`.
        approval_id: the approval that an APPROVAL waits for; empty for others.
        expires_at: when the token expires, in seconds since the epoch; None without one.
        token: lets the approved request pass, or the confirmed one for a PROMPT. Only the caller
            gets it: it is never stored.
        approval_state: the state of the approval; empty for other obligations.
    """

    type: ObligationType
    replacement: str | None = None
    spans: tuple[Span, ...] = ()
    model: str | None = None
    message: str | None = None
    fields: tuple[str, ...] = ()
    provider: str | None = None
    kind: str = ""
    approval_id: str = ""
    expires_at: float | None = None
    token: str = ""
    approval_state: str = ""


class Hold(NamedTuple):
    """A rule that holds a request until a person has answered.

    Attributes:
        outcome: PROMPT, which the user answers, or ESCALATE, which a second person does.
        layer, policy_id: the rule.
        name: the name of the rule.
        rule: the part of the policy, if it has several.
        message: what the person is asked.
        approvers: the groups and roles that may answer an ESCALATE.
        expires_s: after how many seconds an ESCALATE expires.
    """

    outcome: Outcome
    layer: str
    policy_id: str
    name: str = ""
    rule: str = ""
    message: str = ""
    approvers: tuple[str, ...] = ()
    expires_s: int = 0

    @property
    def key(self) -> str:
        """The rule, as `Request.passed` names it. A rule that asks somebody else is another one."""
        parts = (self.outcome.name, self.layer, self.policy_id, self.rule, *self.approvers)
        return "\n".join(parts)


def rule_of(key: str) -> tuple[str, str]:
    """Returns the layer and the policy's id that a `Hold.key` names."""
    _, layer, policy_id, *_ = key.split("\n")
    return layer, policy_id


class HeldPart(NamedTuple):
    """A part of a payload that rules hold.

    Attributes:
        request: the part, as a request.
        outcomes: how it is held: PROMPT, ESCALATE or both.
    """

    request: Request
    outcomes: frozenset[Outcome]


class HeldInput(NamedTuple):
    """What a confirmation or an approval is about.

    Attributes:
        hash: its hash: that of the request, or of the parts of a payload that are held so.
        tags: the tags of these (`pdp.decisions.input_hash.tag_of`).
    """

    hash: str
    tags: tuple[str, ...]


class Match(NamedTuple):
    """A policy that matched.

    Attributes:
        would_be: the name of the outcome that a policy in monitor mode would have given; empty if
            the policy is enforced. Such a match has no other effect.
        excepted_by: the ID of the exception that lifts the effect of the match; empty for none.
        scope: the place of `pdp.domain.placement.SCOPES` where the policy matched; empty if the
            policy does not look into the request.
        talk: whether the request only talks about what was found, so that the policy has its
            weaker action.
        pointer: the JSON Pointer of the part of a payload that the policy matched; empty if the
            request is no payload, or the policy does not look into it.
        approved_by: the ID of the approval or of the confirmation that lets the match pass; empty
            for none.
    """

    layer: str
    policy_id: str
    name: str
    action: str
    severity: str
    reason: str
    would_be: str = ""
    excepted_by: str = ""
    scope: str = ""
    talk: bool = False
    pointer: str = ""
    approved_by: str = ""


class PolicyWarning(NamedTuple):
    """A message of a policy that lets the request pass."""

    policy_id: str
    message: str


class RiskFactor(NamedTuple):
    """One part of a risk score."""

    layer: str
    id: str
    points: int


class Risk(NamedTuple):
    """A score from 0 to 100, its band, and the factors that add up to it before the cap."""

    score: int
    level: str
    factors: tuple[RiskFactor, ...] = ()


class TraceRow(NamedTuple):
    """One step of a decision."""

    layer: str
    reason: str
    matched: bool = False
    outcome: Outcome = Outcome.ALLOW
    policy_id: str = ""
    policy_name: str = ""
    rule_id: str = ""
    rule_name: str = ""
    sequence: int = 0


class Verdict(NamedTuple):
    """The result of one layer.

    Attributes:
        redactions: become one REDACT obligation and the redacted text when verdicts are combined.
        floors: minimum scores; only the highest floor of all layers counts (docs/decide.md, Risk).
        impacts: points that are added to the score.
        failures: errors of single policies, when the rest of the verdict is valid. Each makes the
            decision incomplete, like an exception of the whole layer.
        holds: the rules that hold the request.
    """

    outcome: Outcome = Outcome.ALLOW
    reason_code: str = ""
    message: str = ""
    status_hint: int = 200
    matches: tuple[Match, ...] = ()
    obligations: tuple[Obligation, ...] = ()
    redactions: tuple[Redaction, ...] = ()
    warnings: tuple[PolicyWarning, ...] = ()
    floors: tuple[RiskFactor, ...] = ()
    impacts: tuple[RiskFactor, ...] = ()
    pii_detected: bool = False
    frameworks: tuple[str, ...] = ()
    rows: tuple[TraceRow, ...] = ()
    retry_after_s: int | None = None
    failures: tuple[Exception, ...] = ()
    holds: tuple[Hold, ...] = ()


NO_VERDICT = Verdict()


class LayerResult(NamedTuple):
    """One layer's part in a decision, for simulations; also for a layer that did not run."""

    layer: str
    outcome: Outcome
    reason: str
    matches: tuple[Match, ...] = ()


class Fault(NamedTuple):
    """An error inside an evaluation, for the log; the caller never sees it."""

    layer: str
    error: BaseException


class PayloadResult(NamedTuple):
    """What a decision on a payload says of it.

    Attributes:
        format: the format of the payload.
        redacted: the body with the redactions in it; None if it has none.
        unjudged: JSON Pointers of what was not judged.
    """

    format: str
    redacted: str | None = None
    unjudged: tuple[str, ...] = ()


NO_INPUTS: Final[Mapping[Outcome, HeldInput]] = MappingProxyType({})


class Decision(NamedTuple):
    """The response to a request (docs/decide.md, DecideResponse).

    Attributes:
        trace: the steps of the evaluation; only if the request has `explain`.
        layers: one entry for each layer of the engine; only if the request has `explain`.
        faults: errors for the log.
        counted: whether limits count the request; false if the kill switch or a limit stopped it.
        plain: an ALLOW to which no layer added anything, as most decisions are.
        payload: what it says of the payload; None if the request was none.
        scan: what was found in the request (`pdp.engine.findings.Scan`), if its record can use it.
        unmatched: the request, if no pattern of its platform or tenant occurs in it, so that its
            record needs no search.
        holds: the rules that hold the request, whether or not others stop it.
        input_hash: identifies what was decided on (`pdp.decisions.input_hash`); empty if it was
            not computed.
        held: the parts of a payload that the holds are about; empty for other requests.
        inputs: what a confirmation (PROMPT) and an approval (ESCALATE) are about.
        policies_known_at: when the policies were last known to be in force, in seconds since the
            epoch, if they are stale (`Snapshot.known_at`); 0 if not.
    """

    decision_id: str
    request_id: str
    outcome: Outcome
    message: str
    reason_code: str
    status_hint: int
    risk: Risk
    revision: int
    obligations: tuple[Obligation, ...] = ()
    redacted_text: str | None = None
    redacted_arguments: Mapping[str, Any] | None = None
    warnings: tuple[PolicyWarning, ...] = ()
    matches: tuple[Match, ...] = ()
    pii_detected: bool = False
    frameworks: tuple[str, ...] = ()
    trace: tuple[TraceRow, ...] = ()
    incomplete: bool = False
    layers: tuple[LayerResult, ...] = ()
    faults: tuple[Fault, ...] = ()
    retry_after_s: int | None = None
    counted: bool = True
    plain: bool = False
    payload: PayloadResult | None = None
    holds: tuple[Hold, ...] = ()
    input_hash: str = ""
    held: tuple[HeldPart, ...] = ()
    inputs: Mapping[Outcome, HeldInput] = NO_INPUTS
    policies_known_at: float = 0.0
    scan: object | None = None
    unmatched: Request | None = None

    @property
    def allowed(self) -> bool:
        """Whether the request may pass."""
        return self.outcome.allowed
