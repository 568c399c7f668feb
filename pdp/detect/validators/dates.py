"""Validators for dates of birth, as they are written in several languages."""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING, Final

from pdp.detect.validators.common import MAX_LENGTH

if TYPE_CHECKING:
    from pdp.detect.validators.common import Validator

_PART: Final = re.compile(r"[0-9]+|[^\W\d_]{3,}")
_FIRST_YEAR: Final = 1900
_LAST_YEAR: Final = 2099
_CENTURY: Final = 100
_PARTS: Final = 3
_COMPACT_LENGTH: Final = 8
_MONTHS_OF_LANGUAGES: Final = (
    "jan feb mar apr may jun jul aug sep oct nov dec",  # English
    "jan feb mär apr mai jun jul aug sep okt nov dez",  # German
    "jan feb mae apr mei jun jul aug sep okt nov dec",  # German without umlauts, Swedish
    "jan feb maa apr mei jun jul aug sep okt nov dec",  # Dutch
    "jan fév mars avr mai juin juil aoû sep oct nov déc",  # French
    "jan fev mars avr mai juin juil aou sep oct nov dec",  # French without accents
    "ene feb mar abr may jun jul ago sep oct nov dic",  # Spanish
    "gen feb mar apr mag giu lug ago set ott nov dic",  # Italian
    "sty lut mar kwi maj cze lip sie wrz paź lis gru",  # Polish
    "sty lut mar kwi maj cze lip sie wrz paz lis gru",  # Polish without accents
    "jan fev mar abr mai jun jul ago set out nov dez",  # Portuguese
)
"""The first letters of the names of the months. Source: the Unicode CLDR."""

_MONTHS: Final = {
    name: number
    for names in _MONTHS_OF_LANGUAGES
    for number, name in enumerate(names.split(), start=1)
}
_LENGTHS: Final = (4, 3)
"""The lengths of the names in `_MONTHS`; `juin` and `juil` need four letters."""


def past_date(text: str) -> bool:
    """Whether `text` can be a date of birth, in one of the usual orders of day, month and year.

    A year of two digits can be of either century. Source: the Gregorian calendar, from 1900.
    """
    parts = _PART.findall(text[:MAX_LENGTH].lower())
    months = [month for part in parts if (month := _month(part))]
    numbers = [int(part) for part in parts if part.isdigit()]
    if len(parts) == 1 and len(parts[0]) == _COMPACT_LENGTH and parts[0].isdigit():
        digits = parts[0]
        years_first = (int(digits[:4]), int(digits[4:6]), int(digits[6:]))
        years_last = (int(digits[4:]), int(digits[2:4]), int(digits[:2]))
        month_first = (int(digits[4:]), int(digits[:2]), int(digits[2:4]))
        return any(_is_date(*each) for each in (years_first, years_last, month_first))
    if months:
        numbers.insert(1, months[0])
    if len(numbers) != _PARTS:
        return False
    first, second, third = numbers
    orders = ((first, second, third), (third, second, first), (third, first, second))
    return any(_is_date(*order) for order in orders)


def _month(part: str) -> int:
    """Returns the number of the month that a word names; 0 if it names none."""
    names = (_MONTHS.get(part[:length], 0) for length in _LENGTHS)
    return next((number for number in names if number), 0)


def _is_date(year: int, month: int, day: int) -> bool:
    if year < _CENTURY:
        year += _FIRST_YEAR
    try:
        return _FIRST_YEAR <= date(year, month, day).year <= _LAST_YEAR
    except (ValueError, OverflowError):
        return False


VALIDATORS: Final[tuple[Validator, ...]] = (past_date,)
