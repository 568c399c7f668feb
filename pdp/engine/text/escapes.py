r"""Decodes the escapes in a text: `%55`, `%u0055`, `\n`, `\x55`, `\u0055`, `&#85;`; and base64."""

from __future__ import annotations

import binascii
import re
from html.entities import html5
from typing import TYPE_CHECKING, Final

from pdp.engine.text.variants import VariantBuilder

if TYPE_CHECKING:
    from pdp.engine.text.locations import Segment

_ESCAPE: Final = re.compile(
    r"(?P<percent>%[0-9A-Fa-f]{2}(?:%[0-9A-Fa-f]{2})*+)"
    r"|%u(?P<wide>[0-9A-Fa-f]{4})"
    r"|\\u\{(?P<braces>[0-9A-Fa-f]{1,6})\}"
    r"|(?P<units>(?:\\u[0-9A-Fa-f]{4})++)"
    r"|\\x(?P<byte>[0-9A-Fa-f]{2})"
    r"|\\(?P<simple>[\"'/\\bfnrtv])"
    r"|&#(?P<decimal>\d{1,7});"
    r"|&#[xX](?P<hex>[0-9A-Fa-f]{1,6});"
    r"|&(?P<entity>[A-Za-z][A-Za-z0-9]{1,31});",
)
_ENCODED_WORD: Final = re.compile(
    r"(?<!\S)[^\s%]*+(?:%(?![0-9A-Fa-f]{2})[^\s%]*+)*+%[0-9A-Fa-f]{2}\S*+"
)
_PERCENT: Final = re.compile("%[0-9A-Fa-f]{2}")

_SIMPLE: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_ENTITY_SPACE: Final = "\N{NO-BREAK SPACE}"
_MAX_CODE: Final = 0x10FFFF

BACKSLASH_ESCAPE: Final = re.compile(r"\\(?:u[0-9A-Fa-f]{4}|x[0-9A-Fa-f]{2}|[\"'/\\bfnrtv])")
"""One escape of a string in JSON or in source code."""

MIN_BASE64: Final = 16
"""Shorter texts are not read as base64: most of them are words."""

MAX_BASE64: Final = 1 << 20

_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]{16,}+={0,2}+")
_TO_STANDARD: Final = str.maketrans("-_", "+/")
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f]")


def has_escapes(text: str) -> bool:
    """Returns whether a text may have escapes. Fast: most texts have none of the characters."""
    # A search for one character is much faster than a search for a set.
    return "%" in text or "\\" in text or "&" in text


def decode(segment: Segment) -> Segment | None:
    """Returns the variant without escapes; None if there is no escape."""
    text = segment.text
    escape = _ESCAPE.search(text) if has_escapes(text) else None
    if escape is None:
        return None
    if "+" in text and _PERCENT.search(text):
        # In form encoding, a plus sign encodes a space.
        text = _ENCODED_WORD.sub(lambda word: word[0].replace("+", " "), text)
    variant = VariantBuilder(segment)
    done = 0
    while escape is not None:
        begin, end = escape.span()
        variant.add(text[done:begin], done)
        _add_decoded(variant, escape, begin)
        done = end
        escape = _ESCAPE.search(text, done)
    variant.add(text[done:], done)
    return variant.build()


def _add_decoded(variant: VariantBuilder, escape: re.Match[str], begin: int) -> None:
    kind, source = escape.lastgroup, escape[0]
    if kind == "percent":
        _add_bytes(variant, source, begin)
    elif kind == "units":
        add_units(variant, source, begin)
    else:
        value = escape[kind] if kind else ""
        if kind == "simple":
            decoded = _SIMPLE.get(value, value)
        elif kind == "entity":
            decoded = html5.get(f"{value};", source)
        else:
            decoded = _character(int(value, 10 if kind == "decimal" else 16))
        decoded = " " if decoded == _ENTITY_SPACE else decoded
        variant.add(decoded, begin, len(source))


def _character(code: int) -> str:
    return chr(code) if 0 < code <= _MAX_CODE else "\N{REPLACEMENT CHARACTER}"


def _add_bytes(variant: VariantBuilder, escapes: str, begin: int) -> None:
    data = bytes.fromhex(escapes.replace("%", ""))
    try:
        characters, one_byte_each = data.decode(), False
    except UnicodeDecodeError:
        characters, one_byte_each = data.decode("latin-1"), True
    for character in characters:
        width = 3 if one_byte_each else 3 * len(character.encode())
        variant.add(character, begin, width)
        begin += width


def add_units(variant: VariantBuilder, escapes: str, begin: int) -> None:
    r"""Adds the characters of a run of `\uXXXX`, of which two can encode one character.

    Args:
        variant: the variant that is built.
        escapes: the run.
        begin: its start in the source.
    """
    data = bytes.fromhex(escapes.replace("\\u", ""))
    for character in data.decode("utf-16-be", "surrogatepass"):
        width = 12 if ord(character) > 0xFFFF else 6  # noqa: PLR2004 - beyond one UTF-16 unit
        variant.add(character, begin, width)
        begin += width


def may_be_base64(text: str) -> bool:
    """Returns whether a text may be base64 as a whole."""
    if len(text) < MIN_BASE64:
        return False
    body = text.strip()
    return " " not in body and _BASE64.fullmatch(body) is not None


def decode_base64(segment: Segment) -> Segment | None:
    """Returns the text that the whole segment is the base64 of; None if it is not base64 of text.

    A finding in it is located at the whole segment.
    """
    text = segment.text.strip()
    if len(text) > MAX_BASE64 or not may_be_base64(text):
        return None
    body = text.rstrip("=").translate(_TO_STANDARD)
    try:
        decoded = binascii.a2b_base64(body + "=" * (-len(body) % 4)).decode()
    except ValueError:
        return None
    if not decoded or _CONTROLS.search(decoded):
        return None
    variant = VariantBuilder(segment)
    variant.add(decoded, 0, len(segment.text))
    return variant.build()
