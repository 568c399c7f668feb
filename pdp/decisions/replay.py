"""Replays a recorded decision on other policies (docs/decide.md, Services).

A record holds no raw text. The findings of then are checked against the policies in question, and
new patterns run on the redacted text that the record keeps. If that is not enough, `replay` says so
instead of guessing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pdp.decisions.record_builder import sha256_of_arguments, sha256_of_text
from pdp.domain import dlp_rule, policy_exception, policy_pack, static_policy
from pdp.domain.approval import PROBLEM_CODES
from pdp.domain.decision import rule_of
from pdp.domain.layers import CHAIN, DLP, LIMITS, STATIC
from pdp.domain.placement import ARGUMENTS
from pdp.domain.request import NONE_PASSED, Entity, Request, Subject, Target, Usage
from pdp.engine.conditions.names import FIELDS
from pdp.engine.dlp.entities import EntityFinding
from pdp.engine.evaluate import evaluate
from pdp.engine.layers.chain import ChainLayer
from pdp.engine.layers.customer import CustomerLayer
from pdp.engine.rules.expressions import known_expression
from pdp.engine.scan import Findings, scan
from pdp.engine.text.locations import Location, Segment

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from pdp.domain.decision import Decision, Match
    from pdp.domain.decision_record import DecisionRecord
    from pdp.domain.detector import EntityDetector
    from pdp.domain.policy_exception import PolicyException
    from pdp.domain.policy_set import PolicySet
    from pdp.engine.rules.customers import Customer
    from pdp.engine.snapshot import Snapshot
    from pdp.engine.text.patterns import PatternDetector

PAYLOAD: Final = "payload: its texts and tool calls are judged as one request, not one by one"
NO_LIMITS: Final = "limits: how much of them had been used then is not recorded"
NO_APPROVALS: Final = "approvals: an approval or a token decided then, and not the policies"
NOT_EVALUATED: Final = "part of it could not be judged then either"
NO_CONTEXT: Final = "custom rules: the context that they read is not recorded"
NO_TEXT: Final = "new patterns: the text is not recorded, so they were not run"
REDACTED_TEXT: Final = (
    "new patterns: a part of the text is redacted or cut, so they were not run there"
)
NO_ARGUMENT_VALUES: Final = (
    "new patterns: the arguments are not recorded, so they were not run there"
)
REDACTED_ARGUMENTS: Final = (
    "new patterns: a part of the arguments is redacted or cut, so they were not run there"
)
NO_NAMES: Final = "expressions: what they read is not recorded, so policies with them do not match"
NO_MATCHED_EXPRESSION: Final = (
    "expressions: a policy matched, and what its expression reads is not recorded"
)
NO_PLACES: Final = (
    "scope: where a policy matched is not recorded, so its place is taken as the text"
)
CLOCK_OF_NOW: Final = "exceptions: whether they hold is judged by the time of the replay"
NO_VALUES: Final = "exceptions by value: the values are not recorded, so they lift nothing"
NO_EXCEPTED_VALUE: Final = "exceptions by value: the value that one lifted is not recorded"
NO_ARGUMENTS: Final = "sensitive fields: the arguments are not recorded, so their keys are not seen"

_PLACED_KINDS: Final = (
    static_policy.KIND,
    static_policy.OVERRIDE_KIND,
    dlp_rule.KIND,
    dlp_rule.CUSTOMISATION_KIND,
)

_UNRECORDED: Final = frozenset({"subject.attributes", "arguments"})
"""Names of fixed parts of a request that a record does not have, or not as they were."""


class Replayed(NamedTuple):
    """A record that was decided again.

    Attributes:
        decision: None if it cannot be replayed.
        obstacle: why it cannot be replayed; empty if it was.
        gaps: parts of the policies that could not be checked although it was replayed.
    """

    decision: Decision | None
    obstacle: str = ""
    gaps: tuple[str, ...] = ()


class Unseen(NamedTuple):
    """What records do not show of what the policies in question read.

    Attributes:
        new_patterns: whether the policies have patterns that did not run then.
        names: whether an expression reads what is not recorded.
        expressions: the ids of policies with such an expression.
        scoped: whether a policy looks only in some places.
        exceptions: whether there are exceptions.
        by_value: the ids of exceptions of values.
    """

    new_patterns: bool
    names: bool
    expressions: frozenset[str]
    scoped: bool
    exceptions: bool
    by_value: frozenset[str]


class _KnownPattern:
    """Stands for a pattern that matched then: it matches the whole text."""

    def spans(self, text: str, data: bytes) -> Iterator[tuple[int, int]]:
        """See `CompiledPattern`."""
        yield 0, len(text)

    def matches(
        self, text: str, data: bytes, ranges: object = None
    ) -> Iterator[tuple[int, int, int, int]]:
        """See `CompiledPattern`."""
        yield 0, len(text), 0, len(text)


_KNOWN: Final = _KnownPattern()


class RecordedFindings(Findings):
    """The findings of then, and those in the redacted text."""

    __slots__ = ("_by_detector", "_by_pattern", "_talk")

    def __init__(
        self,
        redacted: Findings,
        by_pattern: Mapping[str, Location],
        by_detector: Mapping[str, tuple[EntityFinding, ...]],
        snapshot: Snapshot,
        talk: Collection[str] = (),
    ) -> None:
        """Args:
        redacted: the findings in the redacted text.
        by_pattern: the patterns that matched then, each with a place.
        by_detector: the entities that were found then, by the id of their detector.
        snapshot: the policies that they are checked against.
        talk: the patterns that matched then what the request only talked about.
        """
        hits: dict[str, Any] = {**redacted.hits}
        for detector_id, entities in by_detector.items():
            pattern = _pattern_of(detector_id, snapshot)
            if pattern:  # else no layer asks for it
                hits.setdefault(pattern, (_KNOWN, (entities[0].location.segment,)))
        hits |= {pattern: (_KNOWN, (where.segment,)) for pattern, where in by_pattern.items()}
        super().__init__(hits, snapshot.platform.validators)
        self._by_pattern = by_pattern
        self._by_detector = by_detector
        self._talk = talk

    def talk_of(self, pattern: str) -> bool | None:
        """See `Findings.talk_of`."""
        return pattern in self._talk if pattern in self._by_pattern else None

    def locations(self, detector: PatternDetector) -> Iterator[Location]:
        """Yields the places at which `detector` matched."""
        where = self._by_pattern.get(detector.pattern)
        if where is None:
            yield from super().locations(detector)
        else:
            yield where

    def entities(self, detector: EntityDetector) -> tuple[EntityFinding, ...]:
        """Returns the entities that `detector` found."""
        entities = self._by_detector.get(detector.id)
        return entities if entities is not None else super().entities(detector)


def find_unseen(before: Snapshot, after: Snapshot) -> Unseen:
    """Returns what records do not show of what the policies read.

    Args:
        before: the tenant's policies as they are.
        after: the policies in question.
    """
    known = before.patterns.compiled.keys() | before.platform.patterns.compiled.keys()
    placed = [
        (policy_id, policy)
        for kind in _PLACED_KINDS
        for policy_id, policy in after.policies.of_kind(kind).items()
    ]
    exceptions: Mapping[str, PolicyException] = after.policies.of_kind(policy_exception.KIND)
    sources = {policy_id: str(policy.expression or "") for policy_id, policy in placed}
    rules: Mapping[str, policy_pack.PolicyRule] = after.policies.of_kind(policy_pack.RULE_KIND)
    for policy_id, rule in rules.items():
        sources[policy_id] = str(rule.conditions.get("expression") or "")
    for exception_id, exception in exceptions.items():
        sources[exception_id] = exception.expression
    expressions = frozenset(key for key, source in sources.items() if _is_unseen(source))
    chain = next((each for each in after.layers if isinstance(each, ChainLayer)), None)
    return Unseen(
        new_patterns=not known >= after.patterns.compiled.keys(),
        names=bool(expressions) or not all(map(_is_recorded, chain.names if chain else ())),
        expressions=expressions,
        scoped=any(policy.scope or policy.scope_actions for _, policy in placed),
        exceptions=bool(exceptions),
        by_value=frozenset(key for key, each in exceptions.items() if each.is_by_value),
    )


def replay(
    record: DecisionRecord, before: Snapshot, after: Snapshot, unseen: Unseen | None = None
) -> Replayed:
    """Decides a record again.

    Args:
        record: the record.
        before: the tenant's policies as they are, whose patterns ran then.
        after: the policies in question.
        unseen: what `find_unseen` returns for the policies; None to compute it.
    """
    unseen = unseen or find_unseen(before, after)
    obstacle = _obstacle(record, after, unseen)
    if obstacle:
        return Replayed(None, obstacle)
    request = recorded_request(record)
    layers = tuple(layer for layer in after.layers if layer.name != LIMITS)
    unlimited = replace(after, layers=layers, limits=None)
    findings = _findings(record, request, before, after)
    decision = evaluate(unlimited, request, record.decision_id, findings)
    return Replayed(decision, gaps=tuple(_gaps(record, decision, after, unseen)))


def recorded_request(record: DecisionRecord) -> Request:
    """Returns the request, as far as it is recorded; blanks stand for the text."""
    length = max(record.text_length, len(record.redacted_text or ""))
    return Request(
        text=" " * length,
        action=record.action,
        tool=record.tool,
        arguments=record.redacted_arguments,
        direction=record.direction,
        channel=record.channel,
        intent_complexity=record.intent_complexity,
        provider=record.provider,
        model=record.model,
        request_id=record.request_id,
        tenant_id=record.tenant_id,
        customer_id=record.customer_id,
        subject=Subject(*record.subject),
        target=Target(*record.target),
        timestamp=record.asked_at or record.time,
        entities=tuple(
            Entity(each.entity_type, each.confidence, each.start, each.end)
            for each in record.entities
            if not each.detector_id
        ),
        usage=Usage(record.tokens, record.cost_usd),
        session_id=record.session_id,
        passed=PassedThen.of(record),
    )


class PassedThen(Mapping[str, str]):
    """The rules that an approval or a confirmation has let pass: a replay takes them as passed.

    A record does not have whom a rule asks, so the rule itself counts.
    """

    def __init__(self, passed: Mapping[tuple[str, str], str]) -> None:
        """Takes the ids of approvals and confirmations, by the layer and the id of the rule."""
        self._passed = passed

    @classmethod
    def of(cls, record: DecisionRecord) -> Mapping[str, str]:
        """Returns the rules that a record shows as passed."""
        passed = {
            (match.layer, match.policy_id): match.approved_by
            for match in record.matches
            if match.approved_by
        }
        return cls(passed) if passed else NONE_PASSED

    def __getitem__(self, key: str) -> str:
        layer, policy_id = rule_of(key)
        return self._passed[layer, policy_id]

    def __iter__(self) -> Iterator[str]:
        return (policy_id for _, policy_id in self._passed)

    def __len__(self) -> int:
        return len(self._passed)


def _is_unseen(expression: str) -> bool:
    if not expression:
        return False
    return not all(map(_is_recorded, known_expression(expression).condition.names))


def _obstacle(record: DecisionRecord, after: Snapshot, unseen: Unseen) -> str:
    of_approval = record.reason_code in PROBLEM_CODES
    if of_approval or record.incomplete:
        return NO_APPROVALS if of_approval else NOT_EVALUATED
    if any(match.layer == LIMITS for match in record.matches):
        return NO_LIMITS
    if unseen.expressions and any(
        match.policy_id in unseen.expressions or match.excepted_by in unseen.expressions
        for match in record.matches
    ):
        return NO_MATCHED_EXPRESSION
    if unseen.by_value and any(match.excepted_by in unseen.by_value for match in record.matches):
        return NO_EXCEPTED_VALUE
    if record.customer_id and _reads_context(record.customer_id, after):
        return NO_CONTEXT
    return ""


def _customer(customer_id: str, after: Snapshot) -> Customer | None:
    layer = next((each for each in after.layers if isinstance(each, CustomerLayer)), None)
    return layer.customers.get(customer_id) if layer is not None else None


def _reads_context(customer_id: str, after: Snapshot) -> bool:
    customer = _customer(customer_id, after)
    if customer is None:
        return False
    names = {name for _, rule in customer.rules for name in rule.condition.names}
    return not all(_is_recorded(name) for name in names)


def _is_recorded(name: str) -> bool:
    return name in FIELDS and name not in _UNRECORDED


def _gaps(
    record: DecisionRecord, decision: Decision, after: Snapshot, unseen: Unseen
) -> Iterator[str]:
    if record.payload_format:
        yield PAYLOAD
    if unseen.new_patterns:
        yield from _pattern_gaps(record)
    if record.arguments_sha256 and record.redacted_arguments is None:
        customer = _customer(record.customer_id, after)
        if customer is not None and customer.sensitive_fields:
            yield NO_ARGUMENTS
    if unseen.names:
        yield NO_NAMES
    if unseen.scoped and any(
        match.layer in {STATIC, DLP} and not match.scope for match in record.matches
    ):
        yield NO_PLACES
    if unseen.by_value and (record.matches or record.entities):
        yield NO_VALUES
    if unseen.exceptions and any(
        match.excepted_by for match in (*record.matches, *decision.matches)
    ):
        yield CLOCK_OF_NOW


def _pattern_gaps(record: DecisionRecord) -> Iterator[str]:
    """Yields where patterns that did not run then could not run now."""
    if record.text_sha256:
        if record.redacted_text is None:
            yield NO_TEXT
        elif sha256_of_text(record.redacted_text) != record.text_sha256:
            yield REDACTED_TEXT
    if record.arguments_sha256:
        if record.redacted_arguments is None:
            yield NO_ARGUMENT_VALUES
        elif sha256_of_arguments(record.redacted_arguments) != record.arguments_sha256:
            yield REDACTED_ARGUMENTS


def _findings(
    record: DecisionRecord, request: Request, before: Snapshot, after: Snapshot
) -> RecordedFindings:
    # Places in the redacted text are not those of the text. They are within its length, so that a
    # redaction there counts as one.
    redacted = scan(
        after.pattern_sets,
        record.redacted_text or "",
        record.redacted_arguments,
        after.platform.validators,
    )
    whole = Location(Segment(None, request.text, b""), 0, len(request.text))
    in_arguments = Location(Segment("", request.text, b""), 0, len(request.text))
    by_pattern: dict[str, Location] = {}
    by_detector: dict[str, list[EntityFinding]] = {}
    talk: set[str] = set()
    for each in record.entities:
        if each.detector_id:
            place = whole if each.path is None else in_arguments
            where = place._replace(start=each.start, end=each.end)
            by_detector.setdefault(each.detector_id, []).append(
                EntityFinding(
                    each.detector_id, each.entity_type, each.category, each.confidence, where
                )
            )
    for match in record.matches:
        for pattern in _patterns_of(match, before.platform.policies, before.policies):
            by_pattern[pattern] = in_arguments if match.scope == ARGUMENTS else whole
            if match.talk:
                talk.add(pattern)
        for detector in _detectors_of(match, before):
            place = in_arguments if match.scope == ARGUMENTS else whole
            entity = EntityFinding(detector.id, detector.entity_type, detector.category, 1.0, place)
            by_detector.setdefault(detector.id, [entity])
    entities = {key: tuple(values) for key, values in by_detector.items()}
    return RecordedFindings(redacted, by_pattern, entities, after, talk)


def _pattern_of(detector_id: str, snapshot: Snapshot) -> str:
    """Returns a pattern by which layers find a detector; empty if the detector is gone."""
    detector = snapshot.platform.detectors.get(detector_id)
    if detector is not None:
        return detector.patterns[0]
    rule = snapshot.policies.of_kind(dlp_rule.KIND).get(detector_id)
    return str(rule.config_json.get("pattern") or "") if rule is not None else ""


def _patterns_of(match: Match, platform: PolicySet, own: PolicySet) -> Iterator[str]:
    """Yields the patterns by which a policy must have matched then."""
    policy: Any
    for policies in (own, platform):
        if match.layer == STATIC:
            policy = policies.of_kind(static_policy.KIND).get(match.policy_id)
            pattern = policy.pattern if policy else ""
        elif match.layer == CHAIN:
            policy = policies.of_kind(policy_pack.RULE_KIND).get(match.policy_id)
            pattern = str(policy.conditions.get("content_regex") or "") if policy else ""
        else:
            return
        if pattern:
            yield pattern
            return


def _detectors_of(match: Match, before: Snapshot) -> Iterator[EntityDetector]:
    """Yields the detectors of a DLP rule that matched then."""
    if match.layer != DLP:
        return
    for policies in (before.policies, before.platform.policies):
        rule = policies.of_kind(dlp_rule.KIND).get(match.policy_id)
        if rule is not None:
            detector = before.platform.detectors.get(rule.config_json.get("detector", ""))
            if detector is not None:
                yield detector
            return
