"""Characters that can hide a value: look-alikes of ASCII, combining marks, invisible characters."""

# ruff: noqa: RUF001 - the look-alikes are the data
from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable


def _codes(*ranges: tuple[int, int]) -> frozenset[int]:
    return frozenset(code for first, last in ranges for code in range(first, last + 1))


COMBINING_MARKS: Final = _codes(
    (0x0300, 0x036F),
    (0x0483, 0x0489),
    (0x1AB0, 0x1AFF),
    (0x1DC0, 0x1DFF),
    (0x20D0, 0x20FF),
    (0xFE00, 0xFE0F),  # variation selectors, which select for example the form of an emoji
    (0xFE20, 0xFE2F),
)
"""Marks on the character before them. A reader sees both as one character."""

INVISIBLE_CHARACTERS: Final = _codes(
    (0x00AD, 0x00AD),  # the soft hyphen
    (0x061C, 0x061C),
    (0x115F, 0x1160),
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x200B, 0x200F),  # zero-width space, joiners, direction marks
    (0x202A, 0x202E),
    (0x2060, 0x206F),
    (0x3164, 0x3164),
    (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0),
    (0xFFF9, 0xFFFB),
    (0x1D173, 0x1D17A),
    (0xE0000, 0xE001F),
    (0xE007F, 0xE0FFF),
)
"""Characters that are not displayed."""

TAG_CHARACTERS: Final = range(0xE0020, 0xE007F)
"""Unicode tag characters: they mirror ASCII and are not displayed."""

_TAG_OFFSET: Final = 0xE0000

_LOOK_ALIKES: Final = _codes(
    (0x00A0, 0x00FF),
    (0x017F, 0x017F),
    *((code, code) for code in (0x058A, 0x05BE, 0x1400, 0x1680, 0x1806)),  # dashes, and a space
    (0x2000, 0x200A),
    (0x2010, 0x2015),
    (0x202F, 0x202F),
    (0x205F, 0x205F),
    (0x2070, 0x209F),  # superscripts and subscripts
    (0x2100, 0x214F),  # letter-like symbols
    (0x2212, 0x2212),  # the minus sign
    (0x2460, 0x24FF),  # circled
    *((code, code) for code in (0x2E17, 0x2E1A, 0x2E3A, 0x2E3B, 0x2E40, 0x2E5D)),  # dashes
    (0x3000, 0x3000),
    *((code, code) for code in (0x301C, 0x3030, 0x30A0)),  # dashes
    (0xFE31, 0xFE32),
    (0xFE50, 0xFE6F),  # small forms
    (0xFF01, 0xFF5E),  # full-width forms
    (0x10EAD, 0x10EAD),
    (0x1D400, 0x1D7FF),  # mathematical letters and digits
    (0x1F100, 0x1F189),  # enclosed
    (0x1FBF0, 0x1FBF9),  # segmented digits
)

_ZEROS: Final = (
    *(0x660, 0x6F0, 0x7C0, 0x966, 0x9E6, 0xA66, 0xAE6, 0xB66, 0xBE6, 0xC66, 0xCE6, 0xD66, 0xDE6),
    *(0xE50, 0xED0, 0xF20, 0x1040, 0x1090, 0x17E0, 0x1810, 0x1946, 0x19D0, 0x1A80, 0x1A90, 0x1B50),
    *(0x1BB0, 0x1C40, 0x1C50, 0xA620, 0xA8D0, 0xA900, 0xA9D0, 0xA9F0, 0xAA50, 0xABF0),
    *(0x104A0, 0x10D30, 0x11066, 0x110F0, 0x11136, 0x111D0, 0x112F0, 0x11450, 0x114D0, 0x11650),
    *(0x116C0, 0x11730, 0x118E0, 0x11950, 0x11C50, 0x11D50, 0x11DA0, 0x16A60, 0x16AC0, 0x16B50),
    *(0x1E140, 0x1E2F0, 0x1E950),
)
"""The digit zero of each script that has its own digits."""


def _ascii_form(code: int) -> str:
    """Returns the printable ASCII character that a look-alike represents; empty if none."""
    character = chr(code)
    category = unicodedata.category(character)
    if category == "Zs":
        return " "
    if category == "Pd" or character == "\N{MINUS SIGN}":
        return "-"
    form = unicodedata.normalize("NFKC", character)
    return form if len(form) == 1 and " " < form < "\x7f" else ""


ASCII_FORMS: Final[dict[int, str]] = {
    **{code: form for code in sorted(_LOOK_ALIKES) if (form := _ascii_form(code))},
    **{code: chr(code - _TAG_OFFSET) for code in TAG_CHARACTERS},
    **{zero + value: str(value) for zero in _ZEROS for value in range(10)},
}
"""For each look-alike, by code point: the ASCII character that it represents."""

_CONFUSABLES: Final = (
    # Cyrillic
    ("асԁеһіјӏкмоԛрѕтуѵԝх", "acdehijlkmoqpstyvwx"),
    ("АВЕНІЈКМОРԚЅТУԜХ", "ABEHIJKMOPQSTYWX"),
    # Greek
    ("αγεικνορτυχωϲϳ", "ayeikvoptuxwcj"),
    ("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "ABEZHIKMNOPTYX"),
    # Armenian, and Latin letters of other alphabets and of phonetic notation
    ("հոսօցıɑɡ", "hnuogiag"),
    ("ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢ", "abcdefghijklmnoprstuvwyz"),
)

CONFUSABLES: Final[dict[int, str]] = {
    ord(letter): form
    for letters, forms in _CONFUSABLES
    for letter, form in zip(letters, forms, strict=True)
}
"""For letters of other alphabets, by code point: the ASCII letter that they look like. In a word of
their own alphabet they are what they are; beside an ASCII letter they can hide a word. The facts
are those of Unicode's confusables.txt."""

_INVISIBLE_CATEGORIES: Final = frozenset({"Mn", "Me", "Cf"})
_MARK: Final = "\N{COMBINING GRAVE ACCENT}"


def other_marks(characters: Iterable[str]) -> dict[int, str]:
    """Returns a translation table for the marks in `characters` that are not listed above.

    It replaces each mark and format character that is not in `COMBINING_MARKS` with one that is.
    Such a mark is a part of the word in its own script. Next to ASCII it can only hide a value.
    """
    return {
        code: _MARK
        for character in characters
        if (code := ord(character)) not in ASCII_FORMS
        and code not in INVISIBLE_CHARACTERS
        and code not in COMBINING_MARKS
        and unicodedata.category(character) in _INVISIBLE_CATEGORIES
    }
