"""Validators for numbers and codes of health systems."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from stdnum.gb import nhs

from pdp.detect.validators.common import (
    MAX_LENGTH,
    digits_of,
    is_valid,
    letters_and_digits_of,
    luhn_sum_is_valid,
)

if TYPE_CHECKING:
    from pdp.detect.validators.common import Validator

_NPI_LENGTH: Final = 10
_NPI_ISSUER: Final = "80840"  # the prefix with which CMS computes the check digit
_DEA: Final = re.compile(r"[ABCDEFGHJKLMPRSTUX][A-Z9]\d{7}")
_KVNR: Final = re.compile(r"[A-Z]\d{9}")
_ICD10: Final = re.compile(r"[A-TV-Z]\d[0-9AB](?:\.[0-9A-Z]{1,4})?")


def us_npi(text: str) -> bool:
    """Whether `text` contains a national provider identifier with a valid check digit.

    Source: CMS, "NPI check digit": Luhn over the number with the issuer prefix 80840.
    """
    if len(text) > MAX_LENGTH:
        return False
    digits = digits_of(text)
    return len(digits) == _NPI_LENGTH and luhn_sum_is_valid(_NPI_ISSUER + digits)


def us_dea(text: str) -> bool:
    """Whether `text` is a DEA registration number with a valid check digit.

    Source: the Drug Enforcement Administration. Add the first, third and fifth digit to twice the
    sum of the second, fourth and sixth digit; the check digit is the last digit of the result.
    """
    number = letters_and_digits_of(text[:MAX_LENGTH])
    if _DEA.fullmatch(number) is None:
        return False
    digits = [int(digit) for digit in number[2:]]
    return (sum(digits[0:5:2]) + 2 * sum(digits[1:6:2])) % 10 == digits[6]


def uk_nhs(text: str) -> bool:
    """Whether `text` contains an NHS number with a valid check digit.

    Source: the NHS data dictionary, modulus 11.
    """
    return is_valid(nhs.validate, text, digits_of)


def icd10(text: str) -> bool:
    """Whether `text` has the format of an ICD-10-CM code. Source: CMS, the seven code positions."""
    return _ICD10.fullmatch(text) is not None


def de_health_insurance(text: str) -> bool:
    """Whether `text` is the number of a person in German health insurance, with its check digit.

    Source: GKV-Spitzenverband: Luhn over the number in which the letter counts as two digits.
    """
    number = letters_and_digits_of(text[:MAX_LENGTH])
    if _KVNR.fullmatch(number) is None:
        return False
    digits = f"{ord(number[0]) - ord('A') + 1:02}{number[1:]}"
    return luhn_sum_is_valid(digits) and len(set(number[1:])) > 1


VALIDATORS: Final[tuple[Validator, ...]] = (us_npi, us_dea, uk_nhs, icd10, de_health_insurance)
