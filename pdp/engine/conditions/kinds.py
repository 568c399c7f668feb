"""The kinds of values that conditions know: those of JSON, and times."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from math import isfinite
from types import NoneType
from typing import Any, Final


class ValueType(Enum):
    """What a value is; the text is what authors are told."""

    NULL = "null"
    BOOLEAN = "a boolean"
    NUMBER = "a number"
    TEXT = "a text"
    LIST = "a list"
    OBJECT = "an object"
    TIME = "a time"
    OTHER = "no JSON value"
    ANY = "anything"
    """Not known before the request is."""

    # Members are singletons; Enum's own hash is ten times slower, and kinds are looked up often.
    __hash__ = object.__hash__


_EXACT: Final[Mapping[type, ValueType]] = {
    NoneType: ValueType.NULL,
    bool: ValueType.BOOLEAN,
    int: ValueType.NUMBER,
    str: ValueType.TEXT,
    list: ValueType.LIST,
    tuple: ValueType.LIST,
    dict: ValueType.OBJECT,
}
_BASES: Final[tuple[tuple[type, ValueType], ...]] = (
    (int, ValueType.NUMBER),
    (str, ValueType.TEXT),
    (list, ValueType.LIST),
    (tuple, ValueType.LIST),
    (Mapping, ValueType.OBJECT),
)


def kind_of(value: Any) -> ValueType:
    """Returns the kind of a value of a request.

    A float that is infinite or not a number is none that JSON knows, and is compared with nothing.
    """
    kind = _EXACT.get(type(value))
    if kind is not None:
        return kind
    if isinstance(value, float):
        return ValueType.NUMBER if isfinite(value) else ValueType.OTHER
    # A program that embeds the engine may pass an enum, or a mapping of its own.
    return next((kind for base, kind in _BASES if isinstance(value, base)), ValueType.OTHER)
