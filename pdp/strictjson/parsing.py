"""Parses JSON strictly."""

from __future__ import annotations

import json
from typing import Any, Final, NoReturn

from pdp.errors import MalformedRequest, Violation
from pdp.strictjson.problems import InvalidValue, excerpt


def decode_json(raw: bytes | bytearray) -> object:
    """Returns the JSON value in `raw`.

    Stricter than `json.loads`: names must not repeat within an object, NaN and Infinity are not
    allowed, and the bytes must be UTF-8.

    Raises:
        MalformedRequest: it is not JSON; the violation has the reason and the position.
    """
    try:
        return parse(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise _malformed(f"byte {error.start} is not UTF-8") from None
    except InvalidValue as error:
        raise _malformed(str(error)) from None


def parse(text: str) -> object:
    """Returns the JSON value in `text`, parsed as strictly as `decode_json` does.

    Raises:
        InvalidValue: it is not JSON; the message is the reason, with the position.
    """
    try:
        value: object = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise InvalidValue(f"{_syntax_problem(error.msg)} at {place}") from None
    except RecursionError:
        raise InvalidValue("nested too deep") from None
    except ValueError as error:  # a repeated name, NaN or Infinity, or thousands of digits
        raise InvalidValue(_reason(error)) from None
    return value


_SYNTAX_PROBLEMS: Final = {
    "Expecting value": "expected a value",
    "Expecting property name": "expected a name in double quotes",
    "Expecting ':'": "expected a colon",
    "Expecting ','": "expected a comma or the end",
    "Illegal trailing comma": "a comma before the end",
    "Unterminated string": "a string without an end",
    "Invalid control character": "a control character in a string; escape it",
    "Invalid \\": "an invalid escape",
    "Extra data": "text after the value",
}
"""What is wrong, by the beginning of the message of `json`."""


def _syntax_problem(message: str) -> str:
    problems = (text for begin, text in _SYNTAX_PROBLEMS.items() if message.startswith(begin))
    return next(problems, "invalid syntax")


class _Forbidden(ValueError):
    """The JSON uses something that `json` accepts and this parser does not."""


def _malformed(reason: str) -> MalformedRequest:
    return MalformedRequest(f"the body is not JSON: {reason}", Violation("body", reason))


def _reason(error: ValueError) -> str:
    return str(error) if isinstance(error, _Forbidden) else "a number has too many digits"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise _Forbidden(f'the name "{excerpt(_repeated(pairs))}" occurs twice in one object')
    return value


def _repeated(pairs: list[tuple[str, Any]]) -> str:
    names: set[str] = set()
    for name, _ in pairs:
        if name in names:
            return name
        names.add(name)
    return ""


def _constant(word: str) -> NoReturn:
    raise _Forbidden(f"{word} is not a JSON number")


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant)
