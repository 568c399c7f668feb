"""Parses the literals of conditions: numbers and quoted texts."""

from __future__ import annotations

import re
from math import isinf
from typing import Final

MAX_WHOLE: Final = (1 << 64) - 1
"""The largest whole number. Ids have at most 64 bits, so a larger one is most likely a mistake."""

_SIMPLE_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t"}
_SURROGATES: Final = re.compile("[\ud800-\udfff]")
_escapes: Final = re.compile(
    r"\\u([Dd][89ABab][0-9A-Fa-f]{2})\\u([Dd][C-Fc-f][0-9A-Fa-f]{2})"  # a surrogate pair
    r"|\\u([0-9A-Fa-f]{4})"
    r"|\\([nrt\\'\"])"
)


class InvalidLiteral(Exception):
    """A literal has no value. The message gives the reason."""


def read_number(literal: str) -> float:
    """Returns the value of a number; an `int` if it is a whole number.

    Raises:
        InvalidLiteral: the number is too large for a double, or for a whole number.
    """
    if not literal.isdecimal():
        number = float(literal)
        if isinf(number):
            raise InvalidLiteral("the number is too large")
        return number
    whole = int(literal)
    if whole > MAX_WHOLE:
        raise InvalidLiteral(f"whole numbers go up to {MAX_WHOLE}")
    return whole


def read_text(literal: str) -> str:
    r"""Returns the value of a text in quotes.

    Inside the text, a quote is doubled or has a backslash before it. `\\`, `\n`, `\r`, `\t` and
    `\u00e9` are escapes as in JSON. Before any other character, a backslash is an ordinary
    character, so '\d+' needs no double backslash.

    Raises:
        InvalidLiteral: the text contains half of a surrogate pair.
    """
    quote = literal[0]
    text = "".join(_pieces(literal[1:-1], quote))
    if _SURROGATES.search(text):
        raise InvalidLiteral("the text contains half of a surrogate pair")
    return text


def _pieces(inner: str, quote: str) -> list[str]:
    """Returns the values of the escapes and of the pieces between them."""
    pieces: list[str] = []
    end = 0
    for escape in _escapes.finditer(inner):
        pieces += [inner[end : escape.start()].replace(quote * 2, quote), _unescaped(escape)]
        end = escape.end()
    return [*pieces, inner[end:].replace(quote * 2, quote)]


def _unescaped(escape: re.Match[str]) -> str:
    high, low, code, simple = escape.groups()
    if high:
        return chr(0x10000 + ((int(high, 16) - 0xD800) << 10) + int(low, 16) - 0xDC00)
    return chr(int(code, 16)) if code else _SIMPLE_ESCAPES.get(simple, simple)
