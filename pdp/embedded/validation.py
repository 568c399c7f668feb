"""Validates a `Request` of this process against the bounds of its contract, DecideRequest.

The bounds are written once, in `decide.proto`. If fast validation cannot accept a request, it is
converted to that message, without its documents, and validated like a request from the network.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import TYPE_CHECKING, Any, Final

from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp.domain.request import MAX_DEPTH, MAX_VALUES, NO_SUBJECT, NO_TARGET, NO_USAGE
from pdp.errors import InvalidArgument, Violation
from pdp.messages.fast_validation import is_certainly_valid
from pdp.messages.validation import validate
from pdp.messages.value_count import TOO_MANY

if TYPE_CHECKING:
    from pdp.domain.request import Request, Subject, Target


def check(request: Request) -> None:
    """Checks that `request` is within the bounds of DecideRequest.

    Raises:
        InvalidArgument: the error names the fields, as the contract calls them.
        TypeError: a field has another type than `Request` says.

    """
    if not is_certainly_valid(request):
        try:
            message = _message(request)
        except UnicodeEncodeError:
            raise _not_unicode("request") from None
        validate(message)
    _check_text(request.text, "content.text")
    left = MAX_VALUES
    for field, document in (
        ("arguments", request.arguments),
        ("context", request.context),
        ("subject.attributes", request.subject.attributes),
    ):
        if document is not None:
            left = _check_document(document, field, 1, left)
    if not isfinite(request.timestamp):
        raise InvalidArgument.of(Violation("timestamp", "must be finite"))


_TEXT_FIELDS: Final = (
    "customer_id",
    "direction",
    "channel",
    "intent_complexity",
    "action",
    "tool",
    "session_id",
)


def _message(request: Request) -> pb.DecideRequest:
    message = pb.DecideRequest(
        request_id=request.request_id,
        tenant_id=request.tenant_id,
        content=pb.Content(text=request.text),
    )
    # Empty fields are not set: setting a field costs more than reading it.
    for field in _TEXT_FIELDS:
        value = getattr(request, field)
        if value:
            setattr(message, field, value)
    if request.provider or request.model:
        message.model.provider, message.model.model = request.provider, request.model
    if request.subject is not NO_SUBJECT:
        message.subject.CopyFrom(_subject(request.subject))
    if request.target is not NO_TARGET:
        message.target.CopyFrom(_target(request.target))
    if request.usage is not NO_USAGE:
        message.usage.tokens, message.usage.cost_usd = request.usage
    if request.entities:
        message.entities.extend(pb.Entity(**entity._asdict()) for entity in request.entities)
    if request.tokens:
        message.without_approval = request.without_approval
        message.tokens.extend(request.tokens)
    return message


def _subject(subject: Subject) -> pb.Subject:
    return pb.Subject(
        user_id=subject.user_id,
        groups=subject.groups,
        agent_id=subject.agent_id,
        risk_score=subject.risk_score,
    )


def _target(target: Target) -> pb.Target:
    return pb.Target(
        resource_type=target.resource_type,
        resource_id=target.resource_id,
        sensitivity_level=target.sensitivity_level,
        classifications=target.classifications,
        fields=target.fields,
    )


def _check_document(value: Any, field: str, depth: int, left: int) -> int:
    """Checks a document: a value that is not JSON would not be scanned, so it is refused.

    Args:
        value: the document, or a value within it.
        field: the field that holds the document, for errors.
        depth: how deep the value is nested, from 1.
        left: how many values it may have.

    Returns:
        How many values may follow it.

    Raises:
        InvalidArgument: the value is not JSON, or there are too many or they are nested too deep.
    """
    left -= 1
    if left < 0:
        raise InvalidArgument.of(Violation(field, TOO_MANY))
    if isinstance(value, str):
        _check_text(value, field)
    elif isinstance(value, Mapping):
        _check_depth(field, depth)
        for key, member in value.items():
            if not isinstance(key, str):
                raise InvalidArgument.of(Violation(field, "must have strings for names"))
            _check_text(key, field)
            left = _check_document(member, field, depth + 1, left)
    elif isinstance(value, (list, tuple)):
        _check_depth(field, depth)
        for item in value:
            left = _check_document(item, field, depth + 1, left)
    elif not (value is None or isinstance(value, (bool, int, float))):
        kind = type(value).__name__
        raise InvalidArgument.of(Violation(field, f"holds a {kind}, which JSON has no form for"))
    return left


def _check_depth(field: str, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise InvalidArgument.of(Violation(field, f"nested more than {MAX_DEPTH} deep"))


def _check_text(text: str, field: str) -> None:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise _not_unicode(field) from None


def _not_unicode(field: str) -> InvalidArgument:
    return InvalidArgument.of(Violation(field, "holds half of a surrogate pair"))
