"""The kinds of values that conditions know: those of JSON, and times."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from math import isfinite
from types import NoneType
from typing import Any, Final


class Kind(Enum):
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


_EXACT: Final[Mapping[type, Kind]] = {
    NoneType: Kind.NULL,
    bool: Kind.BOOLEAN,
    int: Kind.NUMBER,
    str: Kind.TEXT,
    list: Kind.LIST,
    tuple: Kind.LIST,
    dict: Kind.OBJECT,
}
_BASES: Final[tuple[tuple[type, Kind], ...]] = (
    (int, Kind.NUMBER),
    (str, Kind.TEXT),
    (list, Kind.LIST),
    (tuple, Kind.LIST),
    (Mapping, Kind.OBJECT),
)


def kind_of(value: Any) -> Kind:
    """Returns the kind of a value of a request.

    A float that is infinite or not a number is none that JSON knows, and is compared with nothing.
    """
    kind = _EXACT.get(type(value))
    if kind is not None:
        return kind
    if isinstance(value, float):
        return Kind.NUMBER if isfinite(value) else Kind.OTHER
    # A program that embeds the engine may pass an enum, or a mapping of its own.
    return next((kind for base, kind in _BASES if isinstance(value, base)), Kind.OTHER)
