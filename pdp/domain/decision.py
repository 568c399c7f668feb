"""What a request comes to: outcomes, verdicts of layers, decisions."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class Outcome(IntEnum):
    """From weakest to strongest; the numbers are those of `Outcome` in decide.proto."""

    ALLOW = 1
    WARN = 2
    ALLOW_WITH_OVERRIDE = 3
    ROUTE_TO = 4
    REDACT = 5
    PROMPT = 6
    CANCEL = 7
    BLOCK = 8


class ObligationType(IntEnum):
    """What an obligation asks for; the numbers are those of decide.proto."""

    REDACT = 1
    ROUTE_TO = 2
    PROMPT = 3
    MASK_FIELDS = 4


class Span(NamedTuple):
    """A run of code points in the text, or in the string of the arguments at `path`."""

    start: int
    end: int
    entity_type: str = ""
    path: str | None = None


class Redaction(NamedTuple):
    """What a policy takes out of a request. `pdp.engine.text.redaction` merges those of all layers."""

    replacement: str
    span: Span


class Obligation(NamedTuple):
    """Something that the caller must do for the decision to hold."""

    type: ObligationType
    replacement: str | None = None
    spans: tuple[Span, ...] = ()
    model: str | None = None
    message: str | None = None
    fields: tuple[str, ...] = ()


class Match(NamedTuple):
    """A policy that took part."""

    layer: str
    policy_id: str
    name: str
    action: str
    severity: str
    reason: str


class PolicyWarning(NamedTuple):
    """A message of a policy that lets the request pass."""

    policy_id: str
    message: str


class RiskFactor(NamedTuple):
    """One reason of a risk score."""

    layer: str
    id: str
    points: int


class Risk(NamedTuple):
    """A score from 0 to 100, its band, and factors that add up to it before the cap."""

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
    """What one layer says of a request.

    `redactions` become one REDACT obligation and the redacted text when the verdicts are combined.
    `floors` and `impacts` are what it adds to the risk: the highest floor of all layers counts,
    and every impact (decide.md, Risk). `unjudged` is what the layer could not judge though the rest
    stands: each makes the decision incomplete, as an exception of the whole layer does.
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
    unjudged: tuple[Exception, ...] = ()


NO_VERDICT = Verdict()


class LayerResult(NamedTuple):
    """One layer's part in a decision, for simulations: run or not."""

    layer: str
    outcome: Outcome
    reason: str
    matches: tuple[Match, ...] = ()


class Fault(NamedTuple):
    """What went wrong inside an evaluation, for the log; never shown to the caller."""

    layer: str
    error: BaseException


class Decision(NamedTuple):
    """The answer to a request (decide.md, DecideResponse).

    `layers` has one entry for each layer of the engine; it and `trace` are filled only for
    requests with `explain`. `faults` is for the log. `counted` is whether limits count it as a
    request: not where the kill switch or a limit stopped it. `plain` is an ALLOW that no layer has
    anything to say of, as most are.
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

    @property
    def allowed(self) -> bool:
        """Whether the request may pass: all outcomes but PROMPT, CANCEL and BLOCK."""
        return self.outcome < Outcome.PROMPT
