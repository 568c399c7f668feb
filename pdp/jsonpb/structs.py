"""Free-form JSON: the messages Struct, ListValue and Value."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any, Final

from pdp.domain.request import MAX_DEPTH
from pdp.strictjson.problems import InvalidValue, type_mismatch

if TYPE_CHECKING:
    from google.protobuf.struct_pb2 import ListValue, Struct, Value

_EXACT: Final = float(2**53)


def fill_struct(message: Struct, value: object) -> None:
    """Sets `message` to the JSON object `value`.

    Raises:
        InvalidValue: it is not an object, is nested too deep, or has a number out of range.
        UnicodeEncodeError: it has half of a surrogate pair.
    """
    if type(value) is not dict:
        raise InvalidValue(type_mismatch("an object", value))
    _fill_object(message, value, 1)


def fill_list(message: ListValue, value: object) -> None:
    """Sets `message` to the JSON array `value`.

    Raises:
        InvalidValue: it is not an array, is nested too deep, or has a number out of range.
        UnicodeEncodeError: it has half of a surrogate pair.
    """
    if type(value) is not list:
        raise InvalidValue(type_mismatch("an array", value))
    _fill_array(message, value, 1)


def fill_value(message: Value, value: object) -> None:
    """Sets `message` to any JSON value.

    Raises:
        InvalidValue: it is nested too deep, or has a number out of range.
        UnicodeEncodeError: it has half of a surrogate pair.
    """
    _fill_any(message, value, 0)


def _fill_object(message: Struct, value: dict[str, Any], depth: int) -> None:
    if depth > MAX_DEPTH:
        raise InvalidValue(f"nested more than {MAX_DEPTH} deep")
    fields = message.fields
    for name, member in value.items():
        if type(member) is str:  # the most frequent type
            fields[name].string_value = member
        else:
            _fill_any(fields[name], member, depth)


def _fill_array(message: ListValue, value: list[Any], depth: int) -> None:
    if depth > MAX_DEPTH:
        raise InvalidValue(f"nested more than {MAX_DEPTH} deep")
    add = message.values.add
    for item in value:
        _fill_any(add(), item, depth)


def _fill_any(message: Value, value: Any, depth: int) -> None:
    if value is None:
        message.null_value = 0  # type: ignore[assignment] # NULL_VALUE
    elif type(value) is str:
        message.string_value = value
    elif type(value) is bool:
        message.bool_value = value
    elif type(value) is dict:
        message.struct_value.SetInParent()
        _fill_object(message.struct_value, value, depth + 1)
    elif type(value) is list:
        message.list_value.SetInParent()
        _fill_array(message.list_value, value, depth + 1)
    else:
        message.number_value = _number(value)


def _number(value: Any) -> float:
    try:
        number = float(value)
    except OverflowError:
        number = float("inf")
    if not isfinite(number):
        raise InvalidValue("holds a number out of range")
    return number


def struct_object(message: Struct) -> dict[str, Any]:
    """Returns the JSON object in `message`, sorted by name, since a map has no order."""
    fields = message.fields
    return {name: value_of(fields[name]) for name in sorted(fields)}


def list_array(message: ListValue) -> list[Any]:
    """Returns the JSON array in `message`."""
    return [value_of(item) for item in message.values[:]]


def value_of(message: Value) -> Any:
    """Returns the JSON value in `message`. Whole numbers become integers."""
    match message.WhichOneof("kind"):
        case "string_value":
            return message.string_value
        case "number_value":
            return _json_number(message.number_value)
        case "bool_value":
            return message.bool_value
        case "struct_value":
            return struct_object(message.struct_value)
        case "list_value":
            return list_array(message.list_value)
        case _:
            return None


def _json_number(number: float) -> int | float | None:
    if number.is_integer() and -_EXACT <= number <= _EXACT:
        return int(number)
    # NaN and infinities can only arrive over gRPC. JSON cannot express them.
    return number if isfinite(number) else None
