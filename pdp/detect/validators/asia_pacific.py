"""Validators for national numbers of Asia and the Pacific."""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING, Final

from stdnum.au import abn
from stdnum.in_ import gstin
from stdnum.jp import in_ as my_number
from stdnum.kr import brn
from stdnum.th import pin

from pdp.detect.validators.common import MAX_LENGTH, digits_of, is_valid, letters_and_digits_of

if TYPE_CHECKING:
    from pdp.detect.validators.common import Validator

_NRIC: Final = re.compile(r"[STFGM]\d{7}[A-Z]")
_NRIC_WEIGHTS: Final = (2, 7, 6, 5, 4, 3, 2)
_NRIC_LETTERS: Final = {
    **dict.fromkeys("ST", "JZIHGFEDCBA"),
    **dict.fromkeys("FG", "XWUTRQPNMLK"),
    "M": "XWUTRQPNJLK",
}
_NRIC_OFFSETS: Final = {"S": 0, "F": 0, "T": 4, "G": 4, "M": 3}

_HKID: Final = re.compile(r"([A-Z]{1,2})(\d{6})([0-9A])")
_HKID_SPACE: Final = 36  # the value of the place of a missing first letter

_FOREIGN_KOREAN: Final = frozenset("5678")
_RRN_LENGTH: Final = 13
_RRN_WEIGHTS: Final = (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)
_BORN_IN_THE_1900S: Final = frozenset("1256")

_BRN_WEIGHTS: Final = (1, 3, 7, 1, 3, 7, 1, 3, 5)

_MEDICARE_LENGTHS: Final = (10, 11)
_MEDICARE_WEIGHTS: Final = (1, 3, 7, 9, 1, 3, 7, 9)
_MEDICARE_FIRST: Final = frozenset("23456")


def jp_my_number(text: str) -> bool:
    """Whether `text` is a Japanese individual number with a valid check digit.

    Source: the Ministry of Internal Affairs' ordinance 85 of 2014, modulus 11.
    """
    digits = digits_of(text[:MAX_LENGTH])
    return len(set(digits)) > 1 and is_valid(my_number.validate, digits, str.strip)


def sg_nric(text: str) -> bool:
    """Whether `text` is a Singaporean NRIC or FIN with a valid check letter.

    Source: the Immigration and Checkpoints Authority; weighted modulus 11.
    """
    number = letters_and_digits_of(text[:MAX_LENGTH])
    if _NRIC.fullmatch(number) is None:
        return False
    series = number[0]
    total = _NRIC_OFFSETS[series] + sum(
        weight * int(digit) for weight, digit in zip(_NRIC_WEIGHTS, number[1:8], strict=True)
    )
    return _NRIC_LETTERS[series][total % 11] == number[8]


def hk_hkid(text: str) -> bool:
    """Whether `text` is a Hong Kong identity card number with a valid check digit.

    Source: the Immigration Department; modulus 11 over the letters and digits.
    """
    match = _HKID.fullmatch(letters_and_digits_of(text[:MAX_LENGTH]))
    if match is None:
        return False
    letters, digits, check = match.groups()
    values = [*(int(letter, 36) for letter in letters), *map(int, digits), int(check, 36)]
    if len(letters) == 1:
        values.insert(0, _HKID_SPACE)
    return (
        sum(value * weight for value, weight in zip(values, range(9, 0, -1), strict=True)) % 11 == 0
    )


def th_national_id(text: str) -> bool:
    """Whether `text` is a Thai identification number with a valid check digit.

    Source: the Department of Provincial Administration, modulus 11.
    """
    return is_valid(pin.validate, text, digits_of)


def kr_foreigner_number(text: str) -> bool:
    """Whether `text` is a Korean registration number of a foreigner with a valid check digit.

    Source: the Immigration Act's enforcement rule; the sum counts from 13 in place of 11.
    """
    digits = digits_of(text[:MAX_LENGTH])
    if len(digits) != _RRN_LENGTH or digits[6] not in _FOREIGN_KOREAN:
        return False
    century = "19" if digits[6] in _BORN_IN_THE_1900S else "20"
    try:
        date.fromisoformat(f"{century}{digits[:6]}")
    except ValueError:
        return False
    total = sum(int(digit) * weight for digit, weight in zip(digits, _RRN_WEIGHTS, strict=False))
    return (13 - total % 11) % 10 == int(digits[12])


def kr_business_number(text: str) -> bool:
    """Whether `text` is a Korean business number with a valid check digit.

    Source: the National Tax Service: weights 1, 3, 7 in turn, and 5 for the ninth digit, of whose
    product both digits count. python-stdnum checks the office and the kind of business.
    """
    digits = digits_of(text[:MAX_LENGTH])
    if not is_valid(brn.validate, digits, str.strip):
        return False
    total = sum(int(digit) * each for digit, each in zip(digits, _BRN_WEIGHTS, strict=False))
    return (total + int(digits[8]) * 5 // 10 + int(digits[9])) % 10 == 0


def au_abn(text: str) -> bool:
    """Whether `text` is an Australian business number with valid check digits.

    Source: the Australian Business Register, modulus 89.
    """
    return is_valid(abn.validate, text, digits_of)


def au_medicare(text: str) -> bool:
    """Whether `text` is an Australian Medicare number with a valid check digit.

    Source: Services Australia: modulus 10 over eight digits; then the issue, then the person.
    """
    digits = digits_of(text[:MAX_LENGTH])
    if len(digits) not in _MEDICARE_LENGTHS or digits[0] not in _MEDICARE_FIRST:
        return False
    pairs = zip(digits, _MEDICARE_WEIGHTS, strict=False)
    return sum(int(digit) * weight for digit, weight in pairs) % 10 == int(digits[8])


def in_gstin(text: str) -> bool:
    """Whether `text` is an Indian goods and services tax number with a valid check character.

    Source: the Goods and Services Tax Network; Luhn in base 36.
    """
    return is_valid(gstin.validate, text, letters_and_digits_of)


VALIDATORS: Final[tuple[Validator, ...]] = (
    jp_my_number,
    sg_nric,
    hk_hkid,
    th_national_id,
    kr_foreigner_number,
    kr_business_number,
    au_abn,
    au_medicare,
    in_gstin,
)
