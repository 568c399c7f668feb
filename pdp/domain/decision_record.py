"""Decision records: the subject, the request, the outcome, its reasons (docs/decide.md, Recording).

A record never has the raw text. It has the text's hash and length, and the text with the findings
of all detectors redacted. The log, exports and alerts use records and get nothing else.
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
"""The version of the JSON form. It rises when a field changes its meaning, not for new fields."""


class RecordedSubject(NamedTuple):
    """The subject of the request."""

    user_id: str = ""
    groups: tuple[str, ...] = ()
    agent_id: str = ""
    risk_score: float | None = None


class RecordedTarget(NamedTuple):
    """The resource of the action."""

    resource_type: str = ""
    resource_id: str = ""
    sensitivity_level: int | None = None
    classifications: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()


class RecordedEntity(NamedTuple):
    """A finding in the text or the arguments, or an entity that the caller sent; never its value.

    Attributes:
        entity_type: for instance `CREDIT_CARD`.
        category: `secret`, `pii`, `financial`, `medical` …; empty for the caller's entities.
        detector_id: the detector; empty for the caller's entities.
        confidence: from 0 to 1.
        start, end: offsets in code points, before redaction.
        path: JSON Pointer into the arguments; None for the text.
        in_key: whether it is in the key of the member at `path`.
    """

    entity_type: str
    category: str = ""
    detector_id: str = ""
    confidence: float = 1.0
    start: int = 0
    end: int = 0
    path: str | None = None
    in_key: bool = False


class LayerTime(NamedTuple):
    """The duration of a part of a decision: `scan` or a layer."""

    layer: str
    duration_us: float


NO_SUBJECT: Final = RecordedSubject()
NO_TARGET: Final = RecordedTarget()


class DecisionRecord(NamedTuple):
    """The record of one decision.

    Attributes:
        time: when the server decided, in seconds since the epoch.
        asked_at: the request's own timestamp, in seconds since the epoch.
        revision, policy_hash: the policies of the decision. The hash is the same for the same
            policies on any server. 0 and empty if the policies were not available.
        text_sha256: the hash of the text as UTF-8, in hex; empty if the request has no text.
        text_length: the length of the text in code points.
        redacted_text: the text without everything that a policy redacted or a detector found. None
            if it is not recorded: below level `full`, unless the decision redacts.
        arguments_sha256: the hash of the arguments as canonical JSON, in hex; empty without any.
        redacted_arguments: the arguments, redacted like the text.
        entities: the findings of detectors and models, and the entities that the caller sent.
        obligations: spans are offsets; no obligation has a value of the request.
        duration_us: from the snapshot to the decision.
        layers: the duration of each part; measured at level `full` and above.
        logging_level: the level at which the decision was recorded.
        session_id: the conversation or the run of an agent; empty if the request named none.
        sample_rate: the share of the decisions that the level does not record, of which this one
            was selected; 0 if the level records it.
        payload_format: the format of the payload that the request was; empty if it was none. The
            redacted arguments, or the redacted text of plain text, are then the document.
        input_hash: identifies what was decided on; empty in records of earlier releases.
        reported_by: the credential of the follower that decided; empty if the server did.
        policies_known_at: when stale policies were last known to be in force, in seconds since the
            epoch; 0 if they were not stale.
    """

    decision_id: str
    request_id: str
    time: float
    tenant_id: str
    outcome: Outcome
    risk: Risk
    revision: int = 0
    policy_hash: str = ""
    subject: RecordedSubject = NO_SUBJECT
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
    session_id: str = ""
    sample_rate: float = 0.0
    payload_format: str = ""
    input_hash: str = ""
    reported_by: str = ""
    policies_known_at: float = 0.0

    @property
    def allowed(self) -> bool:
        """Whether the request could pass: all outcomes but PROMPT, ESCALATE, CANCEL and BLOCK."""
        return self.outcome < Outcome.PROMPT

    def to_json(self) -> dict[str, Any]:
        """Returns the record as a JSON object with all fields, `null` if a field has no value.

        The fields in `_OPTIONAL` are left out if they are empty.
        """
        value: dict[str, Any] = {"version": VERSION, **self._asdict()}
        value["subject"], value["target"] = self.subject._asdict(), self.target._asdict()
        value["outcome"] = self.outcome.name
        value["allowed"] = self.allowed
        value["risk"] = risk = self.risk._asdict()
        risk["factors"] = [each._asdict() for each in self.risk.factors]
        for name in _LISTS:
            if items := value[name]:  # most lists of most records are empty
                names = items[0]._fields
                value[name] = [dict(zip(names, each, strict=True)) for each in items]
        for name in _OPTIONAL:
            if not value[name]:
                del value[name]
        for match in value["matches"]:
            for name in _OPTIONAL_IN_MATCH:
                if not match[name]:
                    del match[name]
        if self.obligations:
            value["obligations"] = [_obligation_to_json(each) for each in self.obligations]
        return value

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> DecisionRecord:
        """Returns the record of an object that `to_json` made. Unknown fields are ignored.

        Raises:
            KeyError, TypeError, ValueError: the object is not a record.
        """
        fields = {name: value[name] for name in cls._fields if name in value}
        risk = value["risk"]
        factors = tuple(_named_tuple(RiskFactor, each) for each in risk["factors"])
        fields["outcome"] = Outcome[value["outcome"]]
        fields["risk"] = Risk(risk["score"], risk["level"], factors)
        for name, kind in _PARTS.items():
            if name in fields:
                fields[name] = _named_tuple(kind, fields[name])
        for name, kind in _LISTS.items():
            fields[name] = tuple(_named_tuple(kind, each) for each in fields.get(name, ()))
        fields["obligations"] = tuple(map(_obligation_from_json, fields.get("obligations", ())))
        fields["frameworks"] = tuple(fields.get("frameworks", ()))
        return cls(**fields)


class Recorded(NamedTuple):
    """A record for exports and alerts, with the org policy under which it was made.

    Attributes:
        met_expressions: the expressions of the policy's alert rules that the request meets.
    """

    record: DecisionRecord
    policy: OrgPolicy
    met_expressions: frozenset[str] = frozenset()


_PARTS: Final = {"subject": RecordedSubject, "target": RecordedTarget}
_LISTS: Final = {
    "matches": Match,
    "warnings": PolicyWarning,
    "entities": RecordedEntity,
    "layers": LayerTime,
}

_OPTIONAL: Final = (
    "session_id",
    "sample_rate",
    "payload_format",
    "input_hash",
    "reported_by",
    "policies_known_at",
)
"""The fields of a record that are absent if they are empty."""

_OPTIONAL_IN_MATCH: Final = (
    "would_be",
    "excepted_by",
    "scope",
    "talk",
    "pointer",
    "approved_by",
)
"""The fields of a match that are absent if they are empty."""


def _named_tuple(kind: Any, value: Mapping[str, Any]) -> Any:
    """Returns a named tuple of class `kind` with the fields of `value`; lists become tuples."""
    return kind(
        **{
            name: tuple(field) if isinstance(field, list) else field
            for name, field in value.items()
            if name in kind._fields
        }
    )


def _obligation_to_json(obligation: Obligation) -> dict[str, Any]:
    """Returns the obligation as in a DecideResponse, without fields that are not set."""
    value: dict[str, Any] = {"type": obligation.type.name}
    for name in ("replacement", "model", "message", "provider"):
        if (field := getattr(obligation, name)) is not None:
            value[name] = field
    if obligation.spans:
        value["spans"] = [
            {
                name: field
                for name, field in each._asdict().items()
                if field is not None and field is not False
            }
            for each in obligation.spans
        ]
    if obligation.fields:
        value["fields"] = list(obligation.fields)
    for name in ("approval_id", "approval_state"):
        if field := getattr(obligation, name):
            value[name] = field
    if obligation.expires_at is not None:
        value["expires_at"] = obligation.expires_at
    return value


def _obligation_from_json(value: Mapping[str, Any]) -> Obligation:
    spans: Sequence[Mapping[str, Any]] = value.get("spans", ())
    return Obligation(
        ObligationType[value["type"]],
        value.get("replacement"),
        tuple(_named_tuple(Span, each) for each in spans),
        value.get("model"),
        value.get("message"),
        tuple(value.get("fields", ())),
        value.get("provider"),
        approval_id=value.get("approval_id", ""),
        approval_state=value.get("approval_state", ""),
        expires_at=value.get("expires_at"),
    )
