"""JSON objects that a message holds as text, so that their numbers stay exact.

A Struct holds numbers as doubles. In a text, integers stay integers of any size that a double can
reach, and 1.0 differs from 1.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final

from pdp.domain.request import MAX_DEPTH
from pdp.strictjson.parsing import parse
from pdp.strictjson.problems import LONE_SURROGATE, InvalidValue, type_mismatch

TOO_DEEP: Final = f"nested more than {MAX_DEPTH} deep"
OUT_OF_RANGE: Final = "holds a number out of range"

_LARGEST: Final = sys.float_info.max


def _plain(value: object) -> dict[Any, Any]:
    """Returns a mapping as a dict: a program that embeds the engine can pass its own class."""
    if isinstance(value, Mapping):
        return dict(value)
    raise InvalidValue(f"holds a {type(value).__name__}, which JSON has no form for")


to_text: Final[Callable[[Any], str]] = json.JSONEncoder(
    ensure_ascii=False,
    check_circular=False,
    allow_nan=False,
    separators=(",", ":"),
    default=_plain,
).encode
"""Returns a value as compact JSON; raises `InvalidValue` if it has a value that is not JSON."""


def object_text(value: object) -> str:
    """Returns the JSON object `value` as text.

    Raises:
        InvalidValue: it is not an object, is nested too deep, or has a number out of range or a
            value that is not JSON.
    """
    if type(value) is not dict:
        raise InvalidValue(type_mismatch("an object", value))
    _check(value, 1)
    return to_text(value)


def read_object(text: str) -> dict[str, Any]:
    """Returns the JSON object in `text`, parsed as strictly as a body.

    Raises:
        InvalidValue: it is not a JSON object, is nested too deep, or has a number out of range or
            half of a surrogate pair.
    """
    value = parse(text)
    if type(value) is not dict:
        raise InvalidValue(type_mismatch("an object", value))
    _check(value, 1)
    if "\\ud" in text or "\\uD" in text:
        try:
            to_text(value).encode()
        except UnicodeEncodeError:
            raise InvalidValue(LONE_SURROGATE) from None
    return value


def _check(value: Any, depth: int) -> None:
    """Raises `InvalidValue` if an object or list is too deep, or has a number out of range."""
    if depth > MAX_DEPTH:
        raise InvalidValue(TOO_DEEP)
    for member in value.values() if type(value) is dict else value:
        kind = type(member)
        if kind is dict or kind is list:
            _check(member, depth + 1)
        elif (kind is int or kind is float) and not -_LARGEST <= member <= _LARGEST:
            raise InvalidValue(OUT_OF_RANGE)
