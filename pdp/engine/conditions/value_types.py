"""The types of values in conditions: the types of JSON, and times."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from math import isfinite
from types import NoneType
from typing import Any, Final


class ValueType(Enum):
    """The type of a value. The text of a member is its name in messages."""

    NULL = "null"
    BOOLEAN = "a boolean"
    NUMBER = "a number"
    TEXT = "a text"
    LIST = "a list"
    OBJECT = "an object"
    TIME = "a time"
    OTHER = "a non-JSON value"
    ANY = "anything"
    """The type depends on the request."""

    # Types are looked up often. Members are singletons, so the hash of `object` is right for them;
    # the hash of `Enum` is ten times slower.
    __hash__ = object.__hash__


_EXACT_TYPES: Final[Mapping[type, ValueType]] = {
    NoneType: ValueType.NULL,
    bool: ValueType.BOOLEAN,
    int: ValueType.NUMBER,
    str: ValueType.TEXT,
    list: ValueType.LIST,
    tuple: ValueType.LIST,
    dict: ValueType.OBJECT,
}
_BASE_TYPES: Final[tuple[tuple[type, ValueType], ...]] = (
    (int, ValueType.NUMBER),
    (str, ValueType.TEXT),
    (list, ValueType.LIST),
    (tuple, ValueType.LIST),
    (Mapping, ValueType.OBJECT),
)


def type_of(value: Any) -> ValueType:
    """Returns the type of a value of a request.

    JSON has no infinite float and no NaN, so they are `OTHER` and are never comparable.
    """
    value_type = _EXACT_TYPES.get(type(value))
    if value_type is not None:
        return value_type
    if isinstance(value, float):
        return ValueType.NUMBER if isfinite(value) else ValueType.OTHER
    # A program that embeds the engine can pass subclasses: an enum, or its own mapping.
    return next(
        (value_type for base, value_type in _BASE_TYPES if isinstance(value, base)),
        ValueType.OTHER,
    )
