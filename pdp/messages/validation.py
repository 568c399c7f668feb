"""Bounds: every message is held against the rules in its contract before it is handled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import protovalidate

from pdp._gen.pdp.v1 import error_reason_pb2, options_pb2
from pdp.errors import (
    MAX_VIOLATIONS,
    InvalidAction,
    InvalidArgument,
    InvalidPattern,
    Violation,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from google.protobuf.descriptor import FieldDescriptor
    from google.protobuf.message import Message

LARGE: Final = 8 * 1024
LARGE_ITEM: Final = 512
"""Bytes above which a message, or one of many in another, is refused for its first fault alone: in
8 MiB there is room for millions, and gathering these would hold up all other calls for half a
minute."""

_VALIDATOR: Final = protovalidate.Validator()
_ERRORS: Final[dict[int, type[InvalidArgument]]] = {
    error_reason_pb2.ERROR_REASON_UNSPECIFIED: InvalidArgument,
    error_reason_pb2.ERROR_REASON_INVALID_PATTERN: InvalidPattern,
    error_reason_pb2.ERROR_REASON_INVALID_ACTION: InvalidAction,
}


def validate(message: Message, prefix: str = "") -> None:
    """Raises where `message` breaks a rule of its contract.

    Args:
        message: the message.
        prefix: put before the fields' paths, for a message that lies in another.

    Raises:
        InvalidArgument: or the error that the first field at fault asks for; it names the fields,
            up to `MAX_VIOLATIONS`, and of a large message the first alone.
    """
    large = message.ByteSize() > (LARGE_ITEM if prefix else LARGE)
    found = _VALIDATOR.collect_violations(message, fail_fast=large)
    if not found:
        return
    errors = [_error(message, each) for each in found]
    error = next((kind for kind in errors if kind is not InvalidArgument), InvalidArgument)
    # A field with an error of its own comes first, so that message and code are of one mind.
    ranked = sorted(zip(errors, found, strict=True), key=lambda pair: pair[0] is not error)
    violations = [
        Violation(prefix + _path(message, each), _reason(each))
        for _, each in ranked[:MAX_VIOLATIONS]
    ]
    raise error("; ".join(f"{field}: {reason}" for field, reason in violations), *violations)


def _elements(violation: protovalidate.Violation) -> Sequence[protovalidate.FieldPathElementPb]:
    path = violation.proto.field
    return path.elements if path else ()


def _path(message: Message, violation: protovalidate.Violation) -> str:
    """Returns the path of the field at fault as JSON has it."""
    steps: list[str] = []
    inside: Any = message.DESCRIPTOR
    for element in _elements(violation):
        field = inside.fields_by_name.get(element.field_name) if inside else None
        inside = field.message_type if field else None
        if field is not None and _rules(field).json == options_pb2.JSON_FORM_LIST:
            continue  # the list in it has the same name
        subscript = f"[{element.subscript.value!r}]" if element.subscript else ""
        steps.append(f"{element.field_name}{subscript}")
    return ".".join(steps)


def _rules(field: FieldDescriptor) -> options_pb2.FieldRules:
    rules: options_pb2.FieldRules = field.GetOptions().Extensions[options_pb2.field]
    return rules


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
    """Returns the error that the field at fault asks for in its contract."""
    reason = error_reason_pb2.ERROR_REASON_UNSPECIFIED
    inside: Any = message.DESCRIPTOR
    for element in _elements(violation):
        if inside is None:
            break
        field = inside.fields_by_name[element.field_name]
        reason = _rules(field).invalid
        inside = field.message_type
    return _ERRORS[reason]
