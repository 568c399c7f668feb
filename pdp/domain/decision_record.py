"""What is kept of a decision (decide.md, Recording): who, what was asked, what it came to and why.

Never the raw text: its hash and its length, and the text with everything redacted that any
detector has found. A record is what is stored, exported and alerted of; nobody behind it sees more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pdp.domain.decision import (
    Match,
    Obligation,
    ObligationType,
    Outcome,
    PolicyWarning,
    Risk,
    RiskFactor,
    Span,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pdp.domain.org_policy import OrgPolicy

VERSION: Final = 1
"""Of the JSON form; it rises when the meaning of a field changes, not when one is added."""


class RecordedSubject(NamedTuple):
    """Who asked."""

    user_id: str = ""
    groups: tuple[str, ...] = ()
    agent_id: str = ""
    risk_score: float | None = None


class RecordedTarget(NamedTuple):
    """The resource that an action was on."""

    resource_type: str = ""
    resource_id: str = ""
    sensitivity_level: int | None = None
    classifications: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()


class RecordedEntity(NamedTuple):
    """What was found in the text or the arguments, or told by the caller; never its value.

    Attributes:
        entity_type: what it is, for instance `CREDIT_CARD`.
        category: `secret`, `pii`, `financial`, `medical` …; empty for the caller's own.
        detector_id: what found it; empty for the caller's own.
        confidence: from 0 to 1.
        start, end: offsets in code points of what was asked, before it was redacted.
        path: JSON Pointer into the arguments; None for the text.
    """

    entity_type: str
    category: str = ""
    detector_id: str = ""
    confidence: float = 1.0
    start: int = 0
    end: int = 0
    path: str | None = None


class LayerTime(NamedTuple):
    """How long a part of a decision took: `scan` or a layer."""

    layer: str
    duration_us: float


NOBODY: Final = RecordedSubject()
NO_TARGET: Final = RecordedTarget()


class DecisionRecord(NamedTuple):
    """One decision, as it is kept.

    Attributes:
        time: when it was decided, in seconds since the epoch, by the server's clock.
        asked_at: the request's own timestamp, the same.
        revision, policy_hash: the policies that it was decided on; the hash is the same for the
            same policies, on any server. 0 and empty where there were none to ask.
        text_sha256: of the text as UTF-8, in hex; empty where there was none.
        text_length: of the text, in code points.
        redacted_text: the text without anything that a policy has redacted or a detector found;
            None where it is not kept: below `full`, unless the decision redacts.
        arguments_sha256: of the arguments as canonical JSON, in hex; empty where there were none.
        redacted_arguments: the same of the arguments.
        entities: what was found by any detector, told by the caller, or found by a model.
        obligations: spans are offsets; no obligation holds a value of the request.
        failed_open: the decision is incomplete, and the tenant lets such requests pass.
        duration_us: from the snapshot to the decision.
        layers: what took how long; measured from `full` up.
        logging_level: by which it is kept.
    """

    decision_id: str
    request_id: str
    time: float
    tenant_id: str
    outcome: Outcome
    risk: Risk
    revision: int = 0
    policy_hash: str = ""
    subject: RecordedSubject = NOBODY
    customer_id: str = ""
    direction: str = "input"
    channel: str = "interactive"
    intent_complexity: str = ""
    provider: str = ""
    model: str = ""
    action: str = ""
    tool: str = ""
    target: RecordedTarget = NO_TARGET
    asked_at: float = 0.0
    text_sha256: str = ""
    text_length: int = 0
    redacted_text: str | None = None
    arguments_sha256: str = ""
    redacted_arguments: Mapping[str, Any] | None = None
    entities: tuple[RecordedEntity, ...] = ()
    tokens: int = 0
    cost_usd: float = 0.0
    reason_code: str = ""
    message: str = ""
    status_hint: int = 200
    matches: tuple[Match, ...] = ()
    obligations: tuple[Obligation, ...] = ()
    warnings: tuple[PolicyWarning, ...] = ()
    frameworks: tuple[str, ...] = ()
    pii_detected: bool = False
    incomplete: bool = False
    duration_us: float = 0.0
    layers: tuple[LayerTime, ...] = ()
    logging_level: str = ""

    @property
    def allowed(self) -> bool:
        """Whether the request could pass: all outcomes but PROMPT, CANCEL and BLOCK."""
        return self.outcome < Outcome.PROMPT

    @property
    def failed_open(self) -> bool:
        """Whether part of it could not be judged and it passed all the same."""
        return self.incomplete and self.allowed

    def to_json(self) -> dict[str, Any]:
        """Returns the record as a JSON object; every field is there, `null` where it is unset."""
        value: dict[str, Any] = {"version": VERSION, **self._asdict()}
        for name in ("risk", "subject", "target"):
            value[name] = value[name]._asdict()
        value["outcome"] = self.outcome.name
        value["allowed"] = self.allowed
        value["risk"]["factors"] = [each._asdict() for each in self.risk.factors]
        for name in ("matches", "warnings", "entities", "layers"):
            value[name] = [each._asdict() for each in value[name]]
        value["obligations"] = [_obligation_to_json(each) for each in self.obligations]
        return value

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> DecisionRecord:
        """Returns the record that `to_json` made an object of; fields that it does not know go.

        Raises:
            KeyError, TypeError, ValueError: it is no such object.
        """
        given = {name: value[name] for name in cls._fields if name in value}
        risk = value["risk"]
        factors = tuple(_made(RiskFactor, each) for each in risk["factors"])
        given["outcome"] = Outcome[value["outcome"]]
        given["risk"] = Risk(risk["score"], risk["level"], factors)
        for name, kind in _PARTS.items():
            if name in given:
                given[name] = _made(kind, given[name])
        for name, kind in _LISTS.items():
            given[name] = tuple(_made(kind, each) for each in given.get(name, ()))
        given["obligations"] = tuple(map(_obligation_from_json, given.get("obligations", ())))
        given["frameworks"] = tuple(given.get("frameworks", ()))
        return cls(**given)


class Recorded(NamedTuple):
    """A record on its way to those who consume it, with the org policy that it was made under."""

    record: DecisionRecord
    policy: OrgPolicy


_PARTS: Final = {"subject": RecordedSubject, "target": RecordedTarget}
_LISTS: Final = {
    "matches": Match,
    "warnings": PolicyWarning,
    "entities": RecordedEntity,
    "layers": LayerTime,
}


def _made(kind: Any, value: Mapping[str, Any]) -> Any:
    """Returns the named tuple of `kind` that `value` has the fields of; lists become tuples."""
    return kind(
        **{
            name: tuple(field) if isinstance(field, list) else field
            for name, field in value.items()
            if name in kind._fields
        }
    )


def _obligation_to_json(obligation: Obligation) -> dict[str, Any]:
    """Returns the obligation as a DecideResponse has it: what it does not set is left out."""
    value: dict[str, Any] = {"type": obligation.type.name}
    for name in ("replacement", "model", "message"):
        if (field := getattr(obligation, name)) is not None:
            value[name] = field
    if obligation.spans:
        value["spans"] = [
            {name: field for name, field in each._asdict().items() if field is not None}
            for each in obligation.spans
        ]
    if obligation.fields:
        value["fields"] = list(obligation.fields)
    return value


def _obligation_from_json(value: Mapping[str, Any]) -> Obligation:
    spans: Sequence[Mapping[str, Any]] = value.get("spans", ())
    return Obligation(
        ObligationType[value["type"]],
        value.get("replacement"),
        tuple(_made(Span, each) for each in spans),
        value.get("model"),
        value.get("message"),
        tuple(value.get("fields", ())),
    )
