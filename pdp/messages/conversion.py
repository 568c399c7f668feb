"""Converts DecideRequest to Request, and Decision to DecideResponse.

The engine works on domain values and does not depend on protobuf. Conversion and validation take
about 4 µs for each decision.
"""

from __future__ import annotations

import time
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from google.protobuf.timestamp_pb2 import Timestamp

from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp.domain.access import NO_CALLER
from pdp.domain.decision import Match, ObligationType
from pdp.domain.named_tuples import new_tuple
from pdp.domain.request import (
    MAX_DEPTH,
    Entity,
    JsonObject,
    Request,
    Subject,
    Target,
    Usage,
)
from pdp.errors import InvalidArgument, Violation
from pdp.messages.fast_validation import is_certainly_valid
from pdp.messages.validation import validate
from pdp.messages.value_count import CERTAINLY_FEW, check_values
from pdp.strictjson.objects import read_object, to_text
from pdp.strictjson.problems import InvalidValue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from google.protobuf.descriptor import FieldDescriptor
    from google.protobuf.struct_pb2 import ListValue, Struct, Value

    from pdp.domain.access import Caller
    from pdp.domain.decision import (
        Decision,
        Obligation,
        Outcome,
        PayloadResult,
        PolicyWarning,
        Risk,
        RiskFactor,
        Span,
    )

MAX_REVISION: Final = 1 << 53

_MAX_DOCUMENT: Final = 16_777_216
"""How many bytes the text of a document may have. No message of gRPC is as large."""


def to_request(
    message: pb.DecideRequest,
    tenant_id: str,
    request_id: str,
    prefix: str = "",
    size: int | None = None,
    *,
    caller: Caller = NO_CALLER,
    takes_payload: bool = False,
) -> Request:
    """Validates a message and returns it as a domain request.

    Args:
        message: the message.
        tenant_id: the tenant whose policies apply.
        request_id: the id of the request: its own or a generated one.
        prefix: the prefix of paths in errors, for a message within another.
        size: the size of the message in bytes; None if it is not known.
        caller: who asks.
        takes_payload: whether the caller reads the payload of the message; else it is refused.

    Raises:
        InvalidArgument: a value is out of bounds; it names all invalid fields.
    """
    if size is None:
        size = message.ByteSize()
    if size > CERTAINLY_FEW:
        _check_large(message, size, prefix)
    # To list the fields that are set takes a third of the time of reading each by its name.
    values = _UNSET.copy()
    for field, value in message.ListFields():
        index, convert = _FIELDS[field]
        values[index] = value if convert is None else convert(value, prefix)
    min_revision, payload = values.pop(), values.pop()
    if values[_ARGUMENTS] is not None:
        _check_form(message, "arguments", prefix)
    if values[_CONTEXT] is not None:
        _check_form(message, "context", prefix)
    if payload is not None:
        _check_alone(message, prefix, takes_payload=takes_payload)
    values[_REQUEST_ID], values[_TENANT_ID], values[_CALLER] = request_id, tenant_id, caller
    if model := values[_PROVIDER]:
        values[_PROVIDER], values[_MODEL] = model.provider, model.model
    if values[_TIMESTAMP] is None:
        values[_TIMESTAMP] = time.time()
    request = new_tuple(Request, values)  # `_make` counts the values first
    if not (is_certainly_valid(request, size) and 0 <= min_revision < MAX_REVISION):
        validate(message, prefix)
        _check_tokens(request, prefix)
    return request


def _check_tokens(request: Request, prefix: str) -> None:
    if request.tokens and request.without_approval:
        reason = "cannot be combined with without_approval; leave one of them out"
        raise InvalidArgument.of(Violation(f"{prefix}tokens", reason))


def _check_large(message: pb.DecideRequest, size: int, prefix: str) -> None:
    check_values(message, prefix)
    if size > _MAX_DOCUMENT:
        validate(message, prefix)


def _text(content: pb.Content, prefix: str) -> str:
    return content.text


def _arguments(struct: Struct, prefix: str) -> JsonObject:
    return _object(struct, f"{prefix}arguments")


def _context(struct: Struct, prefix: str) -> JsonObject:
    return _object(struct, f"{prefix}context")


def _arguments_json(text: str, prefix: str) -> JsonObject:
    return _parsed(text, f"{prefix}arguments_json")


def _context_json(text: str, prefix: str) -> JsonObject:
    return _parsed(text, f"{prefix}context_json")


def _check_form(message: Any, name: str, prefix: str) -> None:
    """Checks that a document that is set is either a Struct or text."""
    if message.HasField(name) and getattr(message, f"{name}_json"):
        reason = f"cannot be combined with {name}; set one of them"
        raise InvalidArgument.of(Violation(f"{prefix}{name}_json", reason))


_IN_PAYLOAD: Final = ("content", "arguments", "arguments_json", "action", "tool", "entities")
"""What a payload says itself."""


def _check_alone(message: pb.DecideRequest, prefix: str, *, takes_payload: bool) -> None:
    """Checks that a message may have a payload, and has nothing else that stands for it."""
    if not takes_payload:
        reason = "cannot be used here; send content, or tool and arguments"
        raise InvalidArgument.of(Violation(f"{prefix}payload", reason))
    given = {field.name for field, _ in message.ListFields()}
    violations = [
        Violation(f"{prefix}{name}", "cannot be combined with payload; set one of them")
        for name in _IN_PAYLOAD
        if name in given
    ]
    if violations:
        raise InvalidArgument.of(*violations)


def _timestamp(timestamp: Timestamp, prefix: str) -> float:
    return timestamp.seconds + timestamp.nanos / 1e9


def _entities(entities: Iterable[pb.Entity], prefix: str) -> tuple[Entity, ...]:
    return tuple(map(_entity, entities))


def _entity(message: pb.Entity) -> Entity:
    confidence = message.confidence if message.HasField("confidence") else 1.0
    return Entity(message.entity_type, confidence, message.start, message.end)


def _tokens(tokens: Iterable[str], prefix: str) -> tuple[str, ...]:
    return tuple(tokens)


def _usage(message: pb.Usage, prefix: str) -> Usage:
    return Usage(message.tokens, message.cost_usd)


def _subject(message: pb.Subject, prefix: str) -> Subject:
    has, groups = message.HasField, message.groups
    attributes: JsonObject | None = None
    if has("attributes"):
        _check_form(message, "attributes", f"{prefix}subject.")
        attributes = _object(message.attributes, f"{prefix}subject.attributes")
    elif text := message.attributes_json:
        attributes = _parsed(text, f"{prefix}subject.attributes_json")
    values = (
        message.user_id,
        tuple(groups[:]) if groups else (),  # a slice is one call, iteration one call for each item
        message.agent_id,
        message.risk_score if has("risk_score") else None,
        attributes,
    )
    return new_tuple(Subject, values)


def _target(message: pb.Target, prefix: str) -> Target:
    classifications, fields = message.classifications, message.fields
    values = (
        message.resource_type,
        message.resource_id,
        message.sensitivity_level if message.HasField("sensitivity_level") else None,
        tuple(classifications[:]) if classifications else (),
        tuple(fields[:]) if fields else (),
    )
    return new_tuple(Target, values)


_CONVERTERS: Final[Mapping[str, Callable[[Any, str], Any]]] = {
    "content": _text,
    "arguments": _arguments,
    "arguments_json": _arguments_json,
    "context": _context,
    "context_json": _context_json,
    "entities": _entities,
    "subject": _subject,
    "target": _target,
    "timestamp": _timestamp,
    "tokens": _tokens,
    "usage": _usage,
}
_RENAMED: Final = {
    "content": "text",
    "model": "provider",
    "arguments_json": "arguments",
    "context_json": "context",
}
"""Fields of the message whose name in the request differs."""

_index_of: Final = Request._fields.index
_REQUEST_ID: Final = _index_of("request_id")
_TENANT_ID: Final = _index_of("tenant_id")
_CALLER: Final = _index_of("caller")
_PROVIDER: Final = _index_of("provider")
_MODEL: Final = _index_of("model")
_TIMESTAMP: Final = _index_of("timestamp")
_ARGUMENTS: Final = _index_of("arguments")
_CONTEXT: Final = _index_of("context")

_UNSET: Final[list[Any]] = [*Request()._replace(timestamp=None), None, 0]  # type: ignore[arg-type]
"""The values of a request without any field set, its time still unknown; then `payload`, and last
`min_revision`."""

_BESIDE: Final = {"payload": -2, "min_revision": -1}
"""The fields that are no part of a request, with their indexes."""

_FIELDS: Final[Mapping[FieldDescriptor, tuple[int, Callable[[Any, str], Any] | None]]] = {
    field: (
        _BESIDE[field.name]
        if field.name in _BESIDE
        else _index_of(_RENAMED.get(field.name, field.name)),
        _CONVERTERS.get(field.name),
    )
    for field in pb.DecideRequest.DESCRIPTOR.fields
}
"""The index of each field in a request, and its conversion if it has one."""


def _parsed(text: str, field: str) -> JsonObject:
    try:
        return read_object(text)
    except InvalidValue as error:
        raise InvalidArgument.of(Violation(field, str(error))) from None


def _object(struct: Struct, field: str) -> JsonObject:
    return _members(struct, field, 1)


def _members(struct: Struct, field: str, depth: int) -> dict[str, Any]:
    if depth > MAX_DEPTH:
        raise InvalidArgument.of(Violation(field, f"nested more than {MAX_DEPTH} deep"))
    # A map has no order: it differs from one process to the next. A decision must not. To look each
    # value up takes half the time of reading the items.
    fields = struct.fields
    return {key: _value(fields[key], field, depth) for key in sorted(fields)}


def _items(values: ListValue, field: str, depth: int) -> list[Any]:
    if depth > MAX_DEPTH:
        raise InvalidArgument.of(Violation(field, f"nested more than {MAX_DEPTH} deep"))
    return [_value(value, field, depth) for value in values.values]


def _value(value: Value, field: str, depth: int) -> Any:
    match value.WhichOneof("kind"):
        case "string_value":
            return value.string_value
        case "number_value":
            number = value.number_value
            # A Struct holds doubles. Above 2^53 a whole number may be a rounded one.
            return int(number) if -_EXACT <= number <= _EXACT and number.is_integer() else number
        case "bool_value":
            return value.bool_value
        case "struct_value":
            return _members(value.struct_value, field, depth + 1)
        case "list_value":
            return _items(value.list_value, field, depth + 1)
        case _:
            return None


_EXACT: Final = float(1 << 53)

_ALLOWED: Final = pb.DecideResponse(
    outcome=pb.OUTCOME_ALLOW, allowed=True, status_hint=200, risk=pb.Risk(level="none")
).SerializeToString()
"""The most frequent response. Parsing it takes a third of the time of building it."""


def to_response(decision: Decision, request: pb.DecideRequest | None = None) -> pb.DecideResponse:
    """Returns the response message of a decision.

    Args:
        decision: the decision.
        request: the message of the request. If it has `arguments`, redacted arguments are a Struct
            like them; otherwise they are JSON text.
    """
    if decision.plain:
        response = pb.DecideResponse.FromString(_ALLOWED)
    else:
        response = _full(decision)
        if decision.redacted_arguments is not None:
            _set_redacted_arguments(response, decision.redacted_arguments, request)
    if decision.payload is not None:
        _set_payload(response, decision.payload)
    if decision.input_hash:
        response.input_hash = decision.input_hash
    response.decision_id = decision.decision_id
    response.request_id = decision.request_id
    response.revision = decision.revision
    return response


def _set_redacted_arguments(
    response: pb.DecideResponse, arguments: JsonObject, request: pb.DecideRequest | None
) -> None:
    if request is not None and request.HasField("arguments"):
        response.redacted_arguments.update(arguments)
    else:
        response.redacted_arguments_json = to_text(arguments)


def _set_payload(response: pb.DecideResponse, result: PayloadResult) -> None:
    response.payload_format = result.format
    if result.redacted is not None:
        response.redacted_payload = result.redacted
    response.unjudged.extend(result.unjudged)


@lru_cache(512)
def _frame(
    outcome: Outcome,
    reason_code: str,
    status_hint: int,
    risk: Risk,
    flags: tuple[bool, bool],
) -> bytes:
    """Returns a response with what most decisions for one reason have in common.

    Args:
        outcome: the outcome.
        reason_code: the reason.
        status_hint: the reason as an HTTP status.
        risk: the risk.
        flags: whether the decision is incomplete, and whether the request has personal data.
    """
    incomplete, pii_detected = flags
    return pb.DecideResponse(
        outcome=outcome,  # type: ignore[arg-type] # the numbers are the proto's
        allowed=outcome.allowed,
        reason_code=reason_code,
        status_hint=status_hint,
        incomplete=incomplete,
        pii_detected=pii_detected,
        risk=pb.Risk(level=risk.level, score=risk.score, factors=map(_factor, risk.factors)),
    ).SerializeToString()


def _full(decision: Decision) -> pb.DecideResponse:
    frame = _frame(
        decision.outcome,
        decision.reason_code,
        decision.status_hint,
        decision.risk,
        (decision.incomplete, decision.pii_detected),
    )
    response = pb.DecideResponse.FromString(frame)
    # Empty fields are not set: setting a field costs as much as reading ten.
    if decision.message:
        response.message = decision.message
    if decision.matches:
        response.matches.extend(map(to_match, decision.matches))
    if decision.obligations:
        response.obligations.extend(map(_obligation, decision.obligations))
    if decision.warnings:
        response.warnings.extend(map(_warning, decision.warnings))
    if decision.redacted_text is not None:
        response.redacted_text = decision.redacted_text
    if decision.frameworks:
        response.frameworks.extend(decision.frameworks)
    if decision.retry_after_s is not None:
        response.retry_after_s = decision.retry_after_s
    if decision.policies_known_at:
        response.stale = True
        response.policies_known_at.CopyFrom(_point_in_time(decision.policies_known_at))
    if decision.trace:
        response.trace.extend(pb.TraceRow(**row._asdict()) for row in decision.trace)
    return response


def _factor(factor: RiskFactor) -> pb.RiskFactor:
    return pb.RiskFactor(layer=factor.layer, id=factor.id, points=factor.points)


def _warning(warning: PolicyWarning) -> pb.PolicyWarning:
    return pb.PolicyWarning(policy_id=warning.policy_id, message=warning.message)


def to_match(match: Match) -> pb.Match:
    """Returns the message of a match."""
    message = pb.Match(
        layer=match.layer,
        policy_id=match.policy_id,
        name=match.name,
        action=match.action,
        severity=match.severity,
        reason=match.reason,
    )
    others = match[_FIRST_OTHER_FIELD:]
    if any(others):
        for name, value in zip(_OTHER_MATCH_FIELDS, others, strict=True):
            if value:
                setattr(message, name, value)
    return message


_FIRST_OTHER_FIELD: Final = Match._fields.index("reason") + 1
_OTHER_MATCH_FIELDS: Final = Match._fields[_FIRST_OTHER_FIELD:]
"""The fields that most matches do not have."""


def _obligation(obligation: Obligation) -> pb.Obligation:
    is_prompt = obligation.type is ObligationType.PROMPT
    return pb.Obligation(
        type=obligation.type,  # type: ignore[arg-type] # the numbers are the proto's
        replacement=obligation.replacement,
        spans=[_span(span) for span in obligation.spans],
        model=obligation.model,
        message=obligation.message,
        fields=obligation.fields,
        provider=obligation.provider or "",
        approval_id=obligation.approval_id,
        expires_at=_timestamp_of(obligation.expires_at),
        token="" if is_prompt else obligation.token,
        confirmation=obligation.token if is_prompt else "",
        approval_state=obligation.approval_state,
    )


def _timestamp_of(seconds: float | None) -> Timestamp | None:
    return None if seconds is None else _point_in_time(seconds)


def _point_in_time(seconds: float) -> Timestamp:
    timestamp = Timestamp()
    timestamp.FromNanoseconds(round(seconds * 1e6) * 1000)
    return timestamp


def _span(span: Span) -> pb.Span:
    return pb.Span(
        path=span.path,
        start=span.start,
        end=span.end,
        entity_type=span.entity_type,
        in_key=span.in_key,
    )
