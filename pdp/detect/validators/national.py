"""Checks of numbers that states and their health systems give out: see `validators`."""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING, Final

import stdnum.imei
import stdnum.luhn
from stdnum.be import nn
from stdnum.ch import ssn as ahv
from stdnum.cn import ric
from stdnum.dk import cpr
from stdnum.fi import hetu
from stdnum.kr import rrn
from stdnum.mx import curp
from stdnum.nl import bsn
from stdnum.no import fodselsnummer
from stdnum.se import personnummer
from stdnum.tr import tckimlik
from stdnum.us import ssn
from stdnum.za import idnr

from pdp.detect.validators.numbers import MAX_LENGTH, accepts, digits_of, letters_and_digits_of

if TYPE_CHECKING:
    from collections.abc import Callable

_DEA: Final = re.compile(r"[ABCDEFGHJKLMPRSTUX][A-Z9]\d{7}")
_ICD10: Final = re.compile(r"[A-TV-Z]\d[0-9AB](?:\.[0-9A-Z]{1,4})?")
_VIN_VALUES: Final = dict(zip("ABCDEFGHJKLMNPRSTUVWXYZ", "12345678123457923456789", strict=True))
_VIN_WEIGHTS: Final = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)
_VIN_CHECK: Final = 8
_DATE: Final = re.compile(r"[0-9]+|[a-z]{3,}", re.IGNORECASE)
_MONTHS: Final = (
    *("jan", "feb", "mar", "apr", "may", "jun"),
    *("jul", "aug", "sep", "oct", "nov", "dec"),
)
_FIRST_YEAR: Final = 1900
_CENTURY: Final = 100
_DATE_PARTS: Final = 3


def us_ssn_issued(text: str) -> bool:
    """Whether `text` is a social security number that may have been issued, and is no filler.

    Source: the Social Security Administration's rules for areas, groups and serials, and its list
    of numbers that advertising has made void.
    """
    return len(set(digits_of(text[:MAX_LENGTH]))) > 1 and accepts(ssn.validate, text, digits_of)


def us_dea(text: str) -> bool:
    """Whether `text` is a DEA registration number with a valid check digit.

    Source: the Drug Enforcement Administration: the last digit is that of the sum of the first,
    third and fifth digit and twice the sum of the second, fourth and sixth.
    """
    number = letters_and_digits_of(text[:MAX_LENGTH])
    if _DEA.fullmatch(number) is None:
        return False
    digits = [int(digit) for digit in number[2:]]
    return (sum(digits[0:5:2]) + 2 * sum(digits[1:6:2])) % 10 == digits[6]


def icd10(text: str) -> bool:
    """Whether `text` has the form of an ICD-10-CM code. Source: CMS, the code's seven places."""
    return _ICD10.fullmatch(text) is not None


def nl_bsn(text: str) -> bool:
    """Whether `text` is a Dutch citizen number. Source: the eleven test."""
    return accepts(bsn.validate, text, digits_of)


def se_personnummer(text: str) -> bool:
    """Whether `text` is a Swedish personal number. Source: Skatteverket, Luhn and a real date."""
    return accepts(personnummer.validate, text, str.strip)


def no_fodselsnummer(text: str) -> bool:
    """Whether `text` is a Norwegian birth number. Source: Skatteetaten, two check digits."""
    return accepts(fodselsnummer.validate, text, digits_of)


def dk_cpr(text: str) -> bool:
    """Whether `text` is a Danish CPR number with a real date of birth. Source: CPR-kontoret."""
    return accepts(cpr.validate, text, digits_of)


def fi_hetu(text: str) -> bool:
    """Whether `text` is a Finnish personal identity code. Source: the Digital Agency."""
    return accepts(hetu.validate, text, str.strip)


def be_nn(text: str) -> bool:
    """Whether `text` is a Belgian national number. Source: the Rijksregister, modulus 97."""
    return accepts(nn.validate, text, digits_of)


def ch_ahv(text: str) -> bool:
    """Whether `text` is a Swiss social security number. Source: the Zentrale Ausgleichsstelle."""
    return accepts(ahv.validate, text, digits_of)


def cn_ric(text: str) -> bool:
    """Whether `text` is a Chinese resident number. Source: GB 11643-1999."""
    return accepts(ric.validate, text, letters_and_digits_of)


def kr_rrn(text: str) -> bool:
    """Whether `text` is a Korean resident number. Source: the Ministry of the Interior."""
    return accepts(rrn.validate, text, digits_of)


def mx_curp(text: str) -> bool:
    """Whether `text` is a Mexican population code. Source: RENAPO."""
    return accepts(curp.validate, text, letters_and_digits_of)


def tr_kimlik(text: str) -> bool:
    """Whether `text` is a Turkish identification number. Source: the NVI's two check digits."""
    return accepts(tckimlik.validate, text, digits_of)


def za_id(text: str) -> bool:
    """Whether `text` is a South African identity number. Source: Home Affairs, Luhn and a date."""
    return accepts(idnr.validate, text, digits_of)


def imei(text: str) -> bool:
    """Whether `text` is a device's IMEI with a valid check digit. Source: 3GPP TS 23.003."""
    return accepts(stdnum.imei.validate, text, digits_of)


def vin(text: str) -> bool:
    """Whether `text` is a vehicle's identification number. Source: 49 CFR 565, the check digit."""
    number = letters_and_digits_of(text[:MAX_LENGTH])
    if len(number) != len(_VIN_WEIGHTS) or number.isdigit():
        return False
    values = [_VIN_VALUES.get(each, each) for each in number]
    if not all(value.isdigit() for value in values):
        return False
    total = sum(int(value) * weight for value, weight in zip(values, _VIN_WEIGHTS, strict=True))
    return "0123456789X"[total % 11] == number[_VIN_CHECK]


def past_date(text: str) -> bool:
    """Whether `text` is a day, in one of the orders people write it, on which someone was born.

    A year of two digits may be of either century. Source: the Gregorian calendar, from 1900.
    """
    parts = _DATE.findall(text[:MAX_LENGTH].lower())
    words = [part for part in parts if part[0].isalpha() and part[:3] in _MONTHS]
    numbers = [int(part) for part in parts if part.isdigit()]
    if words:
        numbers.insert(1, _MONTHS.index(words[0][:3]) + 1)
    if len(numbers) != _DATE_PARTS:
        return False
    first, second, third = numbers
    orders = ((first, second, third), (third, second, first), (third, first, second))
    return any(_is_past(*order) for order in orders)


def _is_past(year: int, month: int, day: int) -> bool:
    if year < _CENTURY:
        year += _FIRST_YEAR
    try:
        return date(year, month, day).year >= _FIRST_YEAR
    except (ValueError, OverflowError):
        return False


CHECKS: Final[tuple[Callable[[str], bool], ...]] = (
    *(us_ssn_issued, us_dea, icd10, nl_bsn, se_personnummer, no_fodselsnummer, dk_cpr, fi_hetu),
    *(be_nn, ch_ahv, cn_ric, kr_rrn, mx_curp, tr_kimlik, za_id, imei, vin, past_date),
)
