"""Builds decision records: which decisions are recorded, and what of them is kept.

docs/decide.md, Recording, has the rules.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pdp.decisions.input_hash import input_hash
from pdp.decisions.policy_hash import PolicyHasher
from pdp.decisions.record_redaction import WITHHELD, Cleaned, Redactor
from pdp.domain.decision import Decision, Obligation, Outcome
from pdp.domain.decision_counts import CountKey
from pdp.domain.decision_record import (
    DecisionRecord,
    LayerTime,
    Recorded,
    RecordedSubject,
    RecordedTarget,
)
from pdp.domain.entity_types import all_names_of
from pdp.domain.org_policy import (
    DEFAULT_ORG_POLICY,
    RECORD_ALL,
)
from pdp.domain.request import NO_TARGET
from pdp.engine.conditions.facts import KnownFacts
from pdp.engine.dlp.entity_detectors import DEFAULT_CONFIDENCE
from pdp.strictjson.canonical import canonical, with_written_floats

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pdp.domain.decision_record import RecordedEntity
    from pdp.domain.request import JsonObject, Request
    from pdp.engine.evaluation import Mark
    from pdp.engine.snapshot import Platform, Snapshot

MAX_TEXT: Final = 16_384
"""Characters of a redacted text, and of all strings of redacted arguments together, that are kept.
What is longer is cut, and the record says how many characters are missing; the hash and the length
are those of the whole."""

MAX_KEPT_VALUES: Final = 1_000
"""Values of redacted arguments that are kept. The values after them are cut off."""

_NO_TARGET: Final = RecordedTarget()


class PendingRecord(NamedTuple):
    """A decision that waits to be recorded: references only, nothing is computed yet.

    Attributes:
        snapshot: what the decision is based on; None if there was no snapshot.
        time: when it was made, in seconds since the epoch.
        duration_s: how long that took.
        marks: when its layers finished; empty if that was not measured.
        sample_rate: the share of such decisions that is recorded; 0 if the level records all.
    """

    snapshot: Snapshot | None
    request: Request
    decision: Decision
    time: float
    duration_s: float = 0.0
    marks: Sequence[Mark] = ()
    sample_rate: float = 0.0

    def count_key(self, *, written: bool, is_durable: bool) -> CountKey:
        """Returns as what the decision is counted.

        Args:
            written: whether it was recorded.
            is_durable: whether the answer is a BLOCK if it was not.
        """
        is_blocked = is_durable and not written and not self.sample_rate
        outcome = Outcome.BLOCK if is_blocked else self.decision.outcome
        return count_key(self.snapshot, self.request, outcome, recorded=written)


class ReportedDecision(NamedTuple):
    """A decision of a follower, with its record.

    Attributes:
        record: the record that the follower has made.
        snapshot: the tenant's policies here, as they are now.
    """

    record: DecisionRecord
    snapshot: Snapshot

    def count_key(self, *, written: bool, is_durable: bool) -> CountKey:
        """Returns as what the decision is counted; see `PendingRecord.count_key`."""
        record = self.record
        return CountKey(record.tenant_id, record.logging_level, record.outcome.name, written)


Recordable = PendingRecord | ReportedDecision
"""What the recorder takes."""


def count_key(
    snapshot: Snapshot | None, request: Request, outcome: Outcome, *, recorded: bool = False
) -> CountKey:
    """Returns as what a decision is counted."""
    policy = DEFAULT_ORG_POLICY if snapshot is None else snapshot.org
    return CountKey(request.tenant_id, policy.logging_level, outcome.name, recorded)


class RecordBuilder:
    """Builds records of decisions. Used by one thread: it caches what is expensive to compute."""

    def __init__(self) -> None:
        self._hasher = PolicyHasher()
        self._redactor: Redactor | None = None
        self._lineage: object = None
        self.withheld = 0
        """Records without a part, because that part could not be scanned for secrets."""

    def make(self, pending: Recordable, *, with_text: bool = False) -> Recorded:
        """Returns the record of a decision; parts that cannot be scanned are withheld.

        Args:
            pending: the decision.
            with_text: whether to keep the redacted text and arguments at every logging level.
        """
        if isinstance(pending, ReportedDecision):
            reported = self._without_secrets(pending.record, pending.snapshot)
            return Recorded(reported, pending.snapshot.org)
        snapshot = pending.snapshot
        policy = DEFAULT_ORG_POLICY if snapshot is None else snapshot.org
        withheld = self.withheld
        cleaned = self._cleaned(pending)
        keeps_text = (
            with_text
            or policy.logging_level in RECORD_ALL
            or any(each.spans or each.fields for each in pending.decision.obligations)
        )
        record = _record(
            pending,
            cleaned,
            policy_hash="" if snapshot is None else self._hasher.of(snapshot),
            logging_level=policy.logging_level,
            keeps_text=keeps_text,
        )
        request, rate = pending.request, pending.sample_rate
        hash_ = pending.decision.input_hash
        if not hash_ and snapshot is not None:  # a text in chunks
            hash_ = input_hash(snapshot.platform.keys.approval, request)
        known_at = pending.decision.policies_known_at
        if request.session_id or request.payload_format or rate or hash_ or known_at:
            record = record._replace(
                session_id=request.session_id,
                sample_rate=rate,
                payload_format=request.payload_format,
                input_hash=hash_,
                policies_known_at=known_at,
            )
        met = _met_expressions(pending, record.entities, is_known=self.withheld == withheld)
        return Recorded(self._without_secrets(record, snapshot), policy, met)

    def _cleaned(self, pending: PendingRecord) -> Cleaned:
        request = pending.request
        try:
            redactor = self._redactor_for(pending.snapshot)
            if redactor is not None:
                return redactor.clean(request, pending.decision, pending.snapshot)
        except Exception:  # after any error, a text that was not scanned is not kept
            self.withheld += 1
        return Cleaned(WITHHELD if request.text else None, None, ())

    def _redactor_for(self, snapshot: Snapshot | None) -> Redactor | None:
        """Returns the redactor of the snapshot's platform; without a snapshot, the last one."""
        platform: Platform | None = snapshot.platform if snapshot else None
        if platform is not None and platform.lineage is not self._lineage:
            self._redactor, self._lineage = Redactor(platform), platform.lineage
        return self._redactor

    def _without_secrets(self, record: DecisionRecord, snapshot: Snapshot | None) -> DecisionRecord:
        """Returns the record without secrets that a caller put into ids, names and keys."""
        names, places = _strings(record)
        try:
            redactor = self._redactor_for(snapshot)
            if redactor is not None:
                if not redactor.holds(names, places):
                    return record
                return DecisionRecord.from_json(_clean(record.to_json(), redactor))
        except Exception:  # see `_cleaned`
            self.withheld += 1
        return _bare(record)


def _met_expressions(
    pending: PendingRecord, entities: Sequence[RecordedEntity], *, is_known: bool
) -> frozenset[str]:
    """Returns the expressions of alert rules that a request meets.

    Args:
        pending: the decision on the request.
        entities: the findings in the request.
        is_known: whether the request could be searched for findings.
    """
    snapshot, request = pending.snapshot, pending.request
    if snapshot is None or not snapshot.alert_expressions:
        return frozenset()
    counted = [each for each in entities if each.confidence >= DEFAULT_CONFIDENCE]
    types = tuple(sorted(all_names_of(each.entity_type for each in counted)))
    places = {(each.path, each.in_key, each.start, each.end) for each in counted}
    facts = KnownFacts(
        tuple(sorted(snapshot.facts.groups.names_of(request.subject))),
        types if is_known else None,
        len(places) if is_known else None,
    )
    return frozenset(
        source
        for source, condition in snapshot.alert_expressions.items()
        if condition.evaluate(request, facts)
    )


def _record(
    pending: PendingRecord,
    cleaned: Cleaned,
    *,
    policy_hash: str,
    logging_level: str,
    keeps_text: bool,
) -> DecisionRecord:
    request, decision, text = pending.request, pending.decision, pending.request.text
    return DecisionRecord(
        decision_id=decision.decision_id,
        request_id=request.request_id,
        time=pending.time,
        tenant_id=request.tenant_id,
        outcome=decision.outcome,
        risk=decision.risk,
        revision=decision.revision,
        policy_hash=policy_hash,
        customer_id=request.customer_id,
        direction=request.direction,
        channel=request.channel,
        intent_complexity=request.intent_complexity,
        provider=request.provider,
        model=request.model,
        action=request.action,
        tool=request.tool,
        subject=RecordedSubject(*request.subject[:4]),
        target=_NO_TARGET if request.target is NO_TARGET else RecordedTarget(*request.target),
        asked_at=request.timestamp,
        text_sha256=sha256_of_text(text) if text else "",
        text_length=len(text),
        redacted_text=_cut(cleaned.text) if keeps_text else None,
        arguments_sha256=sha256_of_arguments(request.arguments) if request.arguments else "",
        redacted_arguments=_cut_arguments(cleaned.arguments) if keeps_text else None,
        entities=cleaned.entities,
        tokens=request.usage.tokens,
        cost_usd=request.usage.cost_usd,
        reason_code=decision.reason_code,
        message=decision.message,
        status_hint=decision.status_hint,
        matches=decision.matches,
        obligations=tuple(map(_without_token, decision.obligations)),
        warnings=decision.warnings,
        frameworks=decision.frameworks,
        pii_detected=decision.pii_detected,
        incomplete=decision.incomplete,
        duration_us=round(pending.duration_s * 1e6, 1),
        layers=_layer_times(pending.marks),
        logging_level=logging_level,
    )


def _without_token(obligation: Obligation) -> Obligation:
    """Returns an obligation as a record has it: a token is for the caller alone."""
    return obligation._replace(token="") if obligation.token else obligation


_OWN_FIELDS: Final = frozenset(
    {
        "decision_id",
        "tenant_id",
        "policy_hash",
        "text_sha256",
        "arguments_sha256",
        "input_hash",
        "reported_by",
    }
)
_APPROVAL_FIELDS: Final = frozenset({"approval_id", "approved_by"})
_CLEAN_FIELDS: Final = frozenset(
    {"redacted_text", "redacted_arguments", "outcome", "payload_format"}
)
"""Fields that are not scanned again: they are redacted already, or hold one of a few words."""

_PATH_FIELDS: Final = frozenset({"reason", "path", "pointer", "entity_type"})
"""Fields that name places in the arguments, and so their keys, or that the caller sets."""


def _strings(record: DecisionRecord) -> tuple[list[str], list[str]]:
    """Returns the texts of a record that are names, and those that name places.

    They are all texts that callers choose, and those that repeat them. `_clean` looks at every
    text of the record.
    """
    subject, target = record.subject, record.target
    names = [
        record.request_id, record.customer_id, record.provider, record.model, record.action,
        record.tool, record.session_id, record.message, subject.user_id, subject.agent_id,
        *subject.groups, target.resource_type, target.resource_id, *target.classifications,
        *target.fields,
    ]  # fmt: skip
    places: list[str] = []
    for match in record.matches:
        names += (match.policy_id, match.name)
        places += (match.reason, match.pointer)
    names += [factor.id for factor in record.risk.factors]
    for warning in record.warnings:
        names += (warning.policy_id, warning.message)
    for obligation in record.obligations:
        names += (obligation.message or "", obligation.model or "", *obligation.fields)
        places += [
            part for span in obligation.spans for part in (span.path or "", span.entity_type)
        ]
    places += [part for each in record.entities for part in (each.path or "", each.entity_type)]
    return [each for each in names if each], [each for each in places if each]


def _clean(value: Any, redactor: Redactor, name: str = "") -> Any:
    """Returns a record in JSON form without secrets."""
    if isinstance(value, str):
        if name in _OWN_FIELDS or name in _APPROVAL_FIELDS:
            return value
        return redactor.name(value, strictly=name in _PATH_FIELDS)
    if isinstance(value, dict):
        return {
            key: item if key in _CLEAN_FIELDS else _clean(item, redactor, key)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_clean(item, redactor, name) for item in value]
    return value


def _bare(record: DecisionRecord) -> DecisionRecord:
    """Returns the record without the caller's texts, because they could not be scanned."""
    fields = {
        name: getattr(record, name)
        for name in (*_OWN_FIELDS, "time", "outcome", "risk", "revision")
    }
    plain = (
        "reason_code",
        "status_hint",
        "pii_detected",
        "incomplete",
        "logging_level",
        "sample_rate",
        "payload_format",
        "policies_known_at",
    )
    fields |= {name: getattr(record, name) for name in plain}
    fields["risk"] = record.risk._replace(factors=())
    return DecisionRecord(**fields, request_id=WITHHELD, text_length=record.text_length)


def _layer_times(marks: Sequence[Mark]) -> tuple[LayerTime, ...]:
    return tuple(
        LayerTime(name, int((end - begin) * 1e7 + 0.5) / 10)  # four times as fast as `round`
        for (_, begin), (name, end) in pairwise(marks)
    )


def sha256_of_text(text: str) -> str:
    """Returns the SHA-256 of a text, in hex."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def sha256_of_arguments(arguments: JsonObject) -> str:
    """Returns the SHA-256 of arguments as canonical JSON, in hex."""
    return hashlib.sha256(canonical(with_written_floats(arguments))).hexdigest()


def _cut_arguments(arguments: JsonObject | None) -> JsonObject | None:
    cut: JsonObject | None = None if arguments is None else _Cutter().value(arguments)
    return cut


def _cut(text: str | None) -> str | None:
    return None if text is None else _Cutter().text(text)


class _Cutter:
    """Cuts a text, or the arguments of a request, to what a record keeps."""

    def __init__(self) -> None:
        self._characters = MAX_TEXT
        self._values = MAX_KEPT_VALUES

    def text(self, text: str) -> str:
        """Returns as much of a text as there is room for, and the number of other characters."""
        kept = text[: self._characters]
        self._characters -= len(kept)
        rest = len(text) - len(kept)
        return f"{kept}… ({rest} characters more)" if rest else text

    def value(self, value: Any) -> Any:
        """Returns as much of a JSON value as there is room for."""
        self._values -= 1
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {
                self.text(key): self.value(item) for key, item in value.items() if self._has_room()
            }
        if isinstance(value, (list, tuple)):
            return [self.value(item) for item in value if self._has_room()]
        return value

    def _has_room(self) -> bool:
        return self._values > 0 and self._characters > 0
