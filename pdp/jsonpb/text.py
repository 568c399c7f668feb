"""Converts text from a path or a query to the values of fields."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from pdp.jsonpb.fields import (
    TIMESTAMP,
    Unsupported,
    integer_range,
    is_bool,
    is_map,
    is_number,
    is_text,
)
from pdp.jsonpb.scalars import scalar_reader
from pdp.jsonpb.timestamps import fill_timestamp
from pdp.strictjson.problems import InvalidValue

if TYPE_CHECKING:
    from google.protobuf.descriptor import FieldDescriptor
    from google.protobuf.message import Message

_INTEGER: Final = re.compile(r"-?(0|[1-9][0-9]{0,19})", re.ASCII)
_NUMBER: Final = re.compile(
    r"-?(0|[1-9][0-9]{0,308})(\.[0-9]{1,400})?([eE][+-]?[0-9]{1,4})?", re.ASCII
)


def check_textual(field: FieldDescriptor) -> None:
    """Checks that a field can be written as text.

    Raises:
        Unsupported: it is a message (other than a timestamp) or a map.
    """
    if field.message_type is None:
        scalar_reader(field)
    elif is_map(field) or field.message_type.full_name != TIMESTAMP:
        raise Unsupported(field, "a message in a path or query")


def decode_text(text: str, message: Message, field: FieldDescriptor) -> None:
    """Sets a field of `message` from `text`, or adds a value if the field is repeated.

    Raises:
        InvalidValue: the text does not fit the field's type.
    """
    if field.message_type is not None:
        target = getattr(message, field.name)
        fill_timestamp(target.add() if field.is_repeated else target, text)
    elif field.is_repeated:
        getattr(message, field.name).append(_value(text, field))
    else:
        setattr(message, field.name, _value(text, field))


def _value(text: str, field: FieldDescriptor) -> Any:
    if is_text(field) or field.enum_type is not None:
        return scalar_reader(field)(text)
    if is_bool(field):
        if text not in {"true", "false"}:
            raise InvalidValue("must be true or false")
        return text == "true"
    if integer_range(field) is not None:
        if not _INTEGER.fullmatch(text):
            raise InvalidValue("must be an integer")
        return scalar_reader(field)(int(text))
    if is_number(field) and _NUMBER.fullmatch(text):
        return scalar_reader(field)(float(text))
    raise InvalidValue("must be a number")
