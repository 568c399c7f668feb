"""Numbers and quoted texts, read from how they are written."""

from __future__ import annotations

import re
from math import isinf
from typing import Final

MAX_EXACT: Final = 1 << 53
"""Up to here every whole number is one that JSON's numbers can hold."""

_SIMPLE: Final = {"n": "\n", "r": "\r", "t": "\t"}
_SURROGATES: Final = re.compile("[\ud800-\udfff]")
_escapes: Final = re.compile(
    r"\\u([Dd][89ABab][0-9A-Fa-f]{2})\\u([Dd][C-Fc-f][0-9A-Fa-f]{2})"  # one beyond U+FFFF, in two
    r"|\\u([0-9A-Fa-f]{4})"
    r"|\\([nrt\\'\"])"
)


class Unreadable(Exception):
    """A literal that stands for no value; the message says why."""


def read_number(written: str) -> float:
    """Returns the number that is written; a whole one as an `int`.

    Raises:
        Unreadable: it is beyond what a double holds, or holds exactly.
    """
    if not written.isdecimal():
        number = float(written)
        if isinf(number):
            raise Unreadable("the number is too large")
        return number
    whole = int(written)
    if whole > MAX_EXACT:
        raise Unreadable(f"whole numbers go up to {MAX_EXACT}")
    return whole


def read_text(written: str) -> str:
    r"""Returns the text between the quotes that `written` begins and ends with.

    A quote is doubled or has a backslash before it; `\\`, `\n`, `\r`, `\t` and `\u00e9` are as in
    JSON. Before all else a backslash stands for itself, so that '\d+' needs no doubling.

    Raises:
        Unreadable: it holds half of a surrogate pair.
    """
    quote = written[0]
    text = "".join(_pieces(written[1:-1], quote))
    if _SURROGATES.search(text):
        raise Unreadable("the text holds half of a surrogate pair")
    return text


def _pieces(inner: str, quote: str) -> list[str]:
    """Reads what stands between escapes, and the escapes, piece by piece."""
    pieces: list[str] = []
    end = 0
    for found in _escapes.finditer(inner):
        pieces += [inner[end : found.start()].replace(quote * 2, quote), _meant(found)]
        end = found.end()
    return [*pieces, inner[end:].replace(quote * 2, quote)]


def _meant(found: re.Match[str]) -> str:
    high, low, code, simple = found.groups()
    if high:
        return chr(0x10000 + ((int(high, 16) - 0xD800) << 10) + int(low, 16) - 0xDC00)
    return chr(int(code, 16)) if code else _SIMPLE.get(simple, simple)
