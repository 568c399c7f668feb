"""Converts JSON values to the values of scalar fields."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from typing import TYPE_CHECKING, Any, Final

from pdp.jsonpb.fields import (
    Unsupported,
    enum_names,
    enum_prefix,
    integer_range,
    is_bool,
    is_number,
    is_text,
)
from pdp.strictjson.problems import InvalidValue, type_mismatch

if TYPE_CHECKING:
    from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor

ReadScalar = Callable[[Any], Any]
"""Takes a JSON value and returns the field's value; raises `InvalidValue`."""

_BOOLEAN: Final = "true or false"


def scalar_reader(field: FieldDescriptor) -> ReadScalar:
    """Returns the function that reads the values of a scalar field.

    Raises:
        Unsupported: its type has no JSON form.
    """
    if is_text(field):
        return read_string
    if is_bool(field):
        return read_bool
    if is_number(field):
        return read_number
    if field.enum_type is not None:
        return _enum_reader(field.enum_type)
    bounds = integer_range(field)
    if bounds is None:
        raise Unsupported(field, "its type")
    return _integer_reader(*bounds)


def read_string(value: Any) -> str:
    """Returns `value` if it is a string. Setting the field checks whether it is valid Unicode."""
    if type(value) is str:
        return value
    raise InvalidValue(type_mismatch("a string", value))


def read_bool(value: Any) -> bool:
    """Returns `value` if it is true or false."""
    if type(value) is bool:
        return value
    raise InvalidValue(type_mismatch(_BOOLEAN, value))


def read_number(value: Any) -> float:
    """Returns `value` if it is a number that a double can hold."""
    if type(value) is not float and type(value) is not int:
        raise InvalidValue(type_mismatch("a number", value))
    try:
        number = float(value)
    except OverflowError:
        number = float("inf")
    if not isfinite(number):
        raise InvalidValue("is out of range")
    return number


def _integer_reader(least: int, greatest: int) -> ReadScalar:
    def read(value: Any) -> int:
        if type(value) is float and value.is_integer():
            value = int(value)  # 3.0 and 1e3 are integers in JSON
        if type(value) is not int:
            if type(value) is float and isfinite(value):
                raise InvalidValue(f"must be an integer, not {value}")
            raise InvalidValue(type_mismatch("an integer", value))
        if not least <= value <= greatest:
            raise InvalidValue(f"must be between {least} and {greatest}")
        return value

    return read


def _enum_reader(enum: EnumDescriptor) -> ReadScalar:
    prefix = enum_prefix(enum)
    numbers = {name: number for number, name in enum_names(enum).items()}
    allowed = f"must be one of {', '.join(numbers)}"

    def read(value: Any) -> int:
        if type(value) is not str:
            raise InvalidValue(type_mismatch("a string", value))
        number = numbers.get(value.removeprefix(prefix))
        if number is None:
            raise InvalidValue(allowed)
        return number

    return read
