"""Validation of messages against the bounds in their contracts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import protovalidate

from pdp._gen.pdp.v1 import decide_pb2, error_reason_pb2, options_pb2
from pdp.domain.tenant import is_tenant_id
from pdp.errors import (
    MAX_VIOLATIONS,
    InvalidAction,
    InvalidArgument,
    InvalidCondition,
    InvalidPattern,
    Violation,
)
from pdp.messages.contracts import bounded_class

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from google.protobuf.descriptor import FieldDescriptor
    from google.protobuf.message import Message

LARGE: Final = 8 * 1024
"""Bytes of a message above which only its first violation is reported. A message of 8 MiB can have
millions of violations, and collecting them would block all other calls for half a minute."""
LARGE_ITEM: Final = 512
"""The same bound for a message that is one of many in another message."""

_MAX_ITEMS: Final = 1000
_MAX_ID: Final = 256
_MAX_TEXT: Final = 1_048_576 // 4  # a character has at most 4 bytes

_VALIDATOR: Final = protovalidate.Validator()
DECLARED_ERRORS: Final[dict[int, type[InvalidArgument]]] = {
    error_reason_pb2.ERROR_REASON_UNSPECIFIED: InvalidArgument,
    error_reason_pb2.ERROR_REASON_INVALID_PATTERN: InvalidPattern,
    error_reason_pb2.ERROR_REASON_INVALID_ACTION: InvalidAction,
    error_reason_pb2.ERROR_REASON_INVALID_CONDITION: InvalidCondition,
}
"""The errors that fields of the contracts declare for values out of their bounds."""


def validate(message: Message, prefix: str = "") -> None:
    """Raises an error if `message` violates a bound of its contract.

    Args:
        message: the message.
        prefix: is prepended to the paths of the fields, for a message that is part of another.

    Raises:
        InvalidArgument: or a subclass, if a violated field declares one in its contract. The error
            names at most `MAX_VIOLATIONS` fields, and only the first field of a large message.
    """
    is_certainly_valid = _FAST_CHECKS.get(type(message))
    if is_certainly_valid is not None and is_certainly_valid(message):
        return
    violations = collect_violations(message, LARGE_ITEM if prefix else LARGE)
    if not violations:
        return
    errors = [_error(message, each) for each in violations]
    error = next((kind for kind in errors if kind is not InvalidArgument), InvalidArgument)
    # A field that declares an error comes first, so that the message explains the error code.
    ranked = sorted(zip(errors, violations, strict=True), key=lambda pair: pair[0] is not error)
    named = [
        Violation(prefix + _path(message, each), _reason(each))
        for _, each in ranked[:MAX_VIOLATIONS]
    ]
    raise error("; ".join(f"{field}: {reason}" for field, reason in named), *named)


def collect_violations(message: Message, large: int = LARGE) -> list[protovalidate.Violation]:
    """Returns the violations of `message`.

    The classes of the stubs have no bounds, so this parses the message again, as the class that has
    them.

    Args:
        message: the message.
        large: if the message has more bytes than this, only the first violation is returned.
    """
    data = message.SerializeToString()
    bounded = bounded_class(message.DESCRIPTOR.full_name).FromString(data)
    return _VALIDATOR.collect_violations(bounded, fail_fast=len(data) > large)


def _is_valid_batch(message: decide_pb2.DecideBatchRequest) -> bool:
    """Whether a batch is within its bounds; its items are validated one by one."""
    tenant_id = message.tenant_id
    return len(message.requests) <= _MAX_ITEMS and (not tenant_id or is_tenant_id(tenant_id))


def _is_valid_chunk(message: decide_pb2.StreamChunk) -> bool:
    return len(message.stream_id) <= _MAX_ID and len(message.text) <= _MAX_TEXT


def _is_valid_stream_request(_message: decide_pb2.DecideStreamRequest) -> bool:
    """Returns True: the contract bounds neither field; both are validated when they are used."""
    return True


_FAST_CHECKS: Final[Mapping[type[Message], Callable[[Any], bool]]] = {
    decide_pb2.DecideBatchRequest: _is_valid_batch,
    decide_pb2.DecideStreamRequest: _is_valid_stream_request,
    decide_pb2.StreamChunk: _is_valid_chunk,
}
"""Checks that spare frequent or large messages the second parse. A check returns True only for a
message that has no violation. `pdp.messages.fast_validation` does the same for DecideRequest."""


def _elements(violation: protovalidate.Violation) -> Sequence[protovalidate.FieldPathElementPb]:
    path = violation.proto.field
    return path.elements if path else ()


def _path(message: Message, violation: protovalidate.Violation) -> str:
    """Returns the path of the violated field, as JSON names it."""
    steps: list[str] = []
    parent: Any = message.DESCRIPTOR
    for element in _elements(violation):
        field = parent.fields_by_name.get(element.field_name) if parent else None
        parent = field.message_type if field else None
        if field is not None and _options(field).json == options_pb2.JSON_FORM_LIST:
            continue  # the list in it has the same name
        subscript = f"[{element.subscript.value!r}]" if element.subscript else ""
        steps.append(f"{element.field_name}{subscript}")
    return ".".join(steps)


def _options(field: FieldDescriptor) -> options_pb2.FieldRules:
    options: options_pb2.FieldRules = field.GetOptions().Extensions[options_pb2.field]
    return options


def _reason(violation: protovalidate.Violation) -> str:
    rule = str(violation.proto.rule_id)
    message = str(violation.proto.message)
    if rule == "required":
        return "is required"
    if rule == "string.in":
        allowed = message.removeprefix("must be in list [").removesuffix("]").split(", ")
        return f"must be one of {', '.join(word for word in allowed if word)}"
    return message


def _error(message: Message, violation: protovalidate.Violation) -> type[InvalidArgument]:
    """Returns the error that the contract declares for the violated field."""
    reason = error_reason_pb2.ERROR_REASON_UNSPECIFIED
    parent: Any = message.DESCRIPTOR
    for element in _elements(violation):
        if parent is None:
            break
        field = parent.fields_by_name[element.field_name]
        reason = _options(field).invalid
        parent = field.message_type
    return DECLARED_ERRORS[reason]
