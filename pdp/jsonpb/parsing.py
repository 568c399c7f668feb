"""Bytes to JSON values, strictly."""

from __future__ import annotations

import json
from typing import Any, Final, NoReturn

from pdp.errors import MalformedRequest, Violation
from pdp.jsonpb.refusal import shown


def decode_json(raw: bytes) -> object:
    """Returns the JSON value in `raw`.

    Stricter than `json.loads`: names may not repeat within an object, NaN and Infinity are no
    numbers, and the bytes must be UTF-8.

    Raises:
        MalformedRequest: it is not JSON; the violation says what is wrong, and where.
    """
    try:
        value: object = _DECODER.decode(raw.decode("utf-8"))
    except json.JSONDecodeError as error:
        raise _malformed(f"{error.msg} at line {error.lineno}, column {error.colno}") from None
    except UnicodeDecodeError as error:
        raise _malformed(f"byte {error.start} is not UTF-8") from None
    except RecursionError:
        raise _malformed("nested too deep") from None
    except ValueError as error:  # a name twice, a constant, or an integer of thousands of digits
        raise _malformed(_reason(error)) from None
    return value


class _Forbidden(ValueError):
    """Something that `json` takes and we do not."""


def _malformed(reason: str) -> MalformedRequest:
    return MalformedRequest(f"the body is not JSON: {reason}", Violation("body", reason))


def _reason(error: ValueError) -> str:
    return str(error) if isinstance(error, _Forbidden) else "a number has too many digits"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Forbidden(f'the name "{shown(_twice(pairs))}" stands twice in one object')
    return found


def _twice(pairs: list[tuple[str, Any]]) -> str:
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            return name
        seen.add(name)
    return ""


def _constant(word: str) -> NoReturn:
    raise _Forbidden(f"{word} is not a JSON number")


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant)
