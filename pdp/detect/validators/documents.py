"""Validators for numbers of documents and accounts that have a format, but mostly no check digit.

The pattern of such a number needs a label. The validators reject what else can follow the label: a
date, a placeholder, a word.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from stdnum.es import nif

from pdp.detect.validators.common import MAX_LENGTH, digits_of, is_valid, letters_and_digits_of

if TYPE_CHECKING:
    from pdp.detect.validators.common import Validator

_PASSPORT_LENGTHS: Final = range(6, 13)
_LICENCE_LENGTHS: Final = range(5, 21)
_ACCOUNT_LENGTHS: Final = range(7, 29)
_MAX_DOCUMENT_LENGTH: Final = 24
_MIN_PASSPORT_DIGITS: Final = 2
_MIN_DIGITS: Final = 4
_DATE: Final = re.compile(
    r"(?:19|20)\d\d[-./](?:0?[1-9]|1[0-2])[-./](?:0?[1-9]|[12]\d|3[01])(?:t?\d{0,2}|t[\d:]*)"
    r"|\d{1,2}[-./]\d{1,2}[-./](?:19|20)?\d\d"
    r"|(?:19|20)\d\d[-/](?:19|20)\d\d"
    r"|(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])",
    re.IGNORECASE,
)
_ICAO_WEIGHTS: Final = (7, 3, 1)
_GERMAN_CARD: Final = re.compile(r"[CFGHJKLMNPRTVWXYZT][0-9CFGHJKLMNPRTVWXYZ]{8}\d?")
_UK_LICENCE: Final = re.compile(
    r"(?P<name>[A-Z]{1,5})(?P<fill>9{0,4})\d(?:0[1-9]|1[0-2]|5[1-9]|6[0-2])"
    r"(?:0[1-9]|[12]\d|3[01])\d[A-Z9]{2}[0-9A-Z][A-Z]{2}(?:\d\d)?"
)
_UK_NAME_LENGTH: Final = 5


def passport_number(text: str) -> bool:
    """Whether `text` can be the number of a passport: 6 to 12 letters and digits, no date.

    Source: ICAO Doc 9303, part 4, for the characters; the lengths are those that states use.
    """
    number = letters_and_digits_of(text[:MAX_LENGTH])
    return (
        len(number) in _PASSPORT_LENGTHS
        and len(digits_of(number)) >= _MIN_PASSPORT_DIGITS
        and len(set(number)) > 1
        and not _DATE.fullmatch(text)
    )


def driving_licence(text: str) -> bool:
    """Whether `text` can be the number of a driving licence: at least four digits, and no date.

    Source: the formats of the US states, from the AAMVA, and of European licences.
    """
    number = letters_and_digits_of(text[:MAX_LENGTH])
    return (
        len(number) in _LICENCE_LENGTHS
        and len(digits_of(number)) >= _MIN_DIGITS
        and not _DATE.fullmatch(text)
    )


def uk_driving_licence(text: str) -> bool:
    """Whether `text` is a British driver number with a real month and day.

    Source: the DVLA's description of the driver number: five characters of the surname, filled with
    9, then the date of birth, in which 5 is added to the first digit of a woman's month.
    """
    match = _UK_LICENCE.fullmatch(letters_and_digits_of(text[:MAX_LENGTH]))
    return match is not None and len(match["name"] + match["fill"]) == _UK_NAME_LENGTH


def any_driving_licence(text: str) -> bool:
    """Whether `text` can be the number of a driving licence, of any state.

    Source: as for `driving_licence` and `uk_driving_licence`.
    """
    return driving_licence(text) or uk_driving_licence(text)


def account_number(text: str) -> bool:
    """Whether `text` can be the number of an account: 7 to 28 digits, no date, not all the same.

    Source: ISO 13616 for the longest national account number.
    """
    digits = digits_of(text[:MAX_LENGTH])
    return len(digits) in _ACCOUNT_LENGTHS and len(set(digits)) > 1 and not _DATE.fullmatch(text)


def document_number(text: str) -> bool:
    """Whether `text` can be the number of an identity card or of a taxpayer.

    It has at least five digits, or is a Spanish number with a valid check letter. A date, and a
    number of one repeated digit, are rejected. Source: the formats in python-stdnum.
    """
    number = letters_and_digits_of(text[:MAX_LENGTH])
    digits = digits_of(number)
    if not digits or len(number) > _MAX_DOCUMENT_LENGTH or len(set(number)) == 1:
        return False
    if _DATE.fullmatch(text):
        return False
    return len(digits) > _MIN_DIGITS or is_valid(nif.validate, number, str.strip)


def de_id_card(text: str) -> bool:
    """Whether `text` is the number of a German identity card or passport with its check digit.

    Source: ICAO Doc 9303, part 3: weights 7, 3, 1 over the nine characters; letters count from 10.
    Without a check digit, only the format is checked.
    """
    number = letters_and_digits_of(text[:MAX_LENGTH])
    if _GERMAN_CARD.fullmatch(number) is None or len(digits_of(number)) < _MIN_PASSPORT_DIGITS:
        return False
    serial, check = number[:9], number[9:]
    return not check or check == str(_icao_sum(serial) % 10)


def _icao_sum(text: str) -> int:
    return sum(int(each, 36) * _ICAO_WEIGHTS[at % 3] for at, each in enumerate(text))


VALIDATORS: Final[tuple[Validator, ...]] = (
    passport_number,
    any_driving_licence,
    account_number,
    document_number,
    de_id_card,
)
