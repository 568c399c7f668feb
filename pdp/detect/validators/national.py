"""Validators for national identity, social security and tax numbers."""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING, Final

from stdnum.au import tfn
from stdnum.be import nn
from stdnum.br import cpf
from stdnum.ca import sin
from stdnum.ch import ssn as ahv
from stdnum.cn import ric
from stdnum.de import idnr as steuer_id
from stdnum.dk import cpr
from stdnum.es import nif
from stdnum.fi import hetu
from stdnum.fr import nir
from stdnum.ie import pps
from stdnum.in_ import aadhaar, pan
from stdnum.it import codicefiscale
from stdnum.kr import rrn
from stdnum.mx import curp
from stdnum.nl import bsn
from stdnum.no import fodselsnummer
from stdnum.pl import pesel
from stdnum.se import personnummer
from stdnum.tr import tckimlik
from stdnum.us import ein
from stdnum.za import idnr

from pdp.detect.validators.common import (
    MAX_LENGTH,
    digits_of,
    is_valid,
    last_word_of,
    letters_and_digits_of,
)

if TYPE_CHECKING:
    from pdp.detect.validators.common import Validator

_SSN: Final = re.compile(r"(?!000|666|9)[0-9]{3}(?!00)[0-9]{2}(?!0000)[0-9]{4}")
_VOID_SSN: Final = frozenset({"078051120", "457555462", "219099999"})
_ITIN: Final = re.compile(r"9\d{2}(?:5\d|6[0-5]|7\d|8[0-8]|9[0-24-9])\d{4}")
_SNILS: Final = re.compile(r"\d{11}")
_SNILS_MODULUS: Final = 101
_LAST_SNILS_WITHOUT_CHECK: Final = "001001998"
_PENSION: Final = re.compile(r"\d{2}(\d{2})(\d{2})(\d{2})[A-Z]\d{3}")
_PENSION_WEIGHTS: Final = (2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1)
_REPLACEMENT_DAYS: Final = 50
"""German pension numbers add it to the day if two numbers would be the same."""

_UNISSUED_NINO: Final = frozenset({"BG", "GB", "KN", "NK", "NT", "TN", "ZZ"})


def us_ssn(text: str) -> bool:
    """Whether `text` contains a social security number that can have been issued.

    Source: the Social Security Administration's rules for areas, groups and serials, and its list
    of numbers that are void because they were used in advertisements. Does the same as
    `stdnum.us.ssn` in a fifth of the time.
    """
    if len(text) > MAX_LENGTH:
        return False
    digits = digits_of(text)
    return _SSN.fullmatch(digits) is not None and digits not in _VOID_SSN


def us_ssn_issued(text: str) -> bool:
    """Whether `text` is a social security number that can have been issued, and no placeholder.

    Source: as for `us_ssn`. A number of one repeated digit is rejected.
    """
    return len(set(digits_of(text[:MAX_LENGTH]))) > 1 and us_ssn(text)


def us_itin(text: str) -> bool:
    """Whether `text` contains an individual taxpayer number whose group is in use.

    Source: IRS publication 1915 and the IRS notice of 2020: the groups 50 to 65, 70 to 88, 90 to 92
    and 94 to 99.
    """
    return _ITIN.fullmatch(digits_of(text[:MAX_LENGTH])) is not None


def us_ein(text: str) -> bool:
    """Whether `text` contains an employer number with a prefix that a campus assigns.

    Source: the IRS list of valid EIN prefixes.
    """
    return is_valid(ein.validate, text, digits_of)


def uk_nino(text: str) -> bool:
    """Whether `text` is a national insurance number whose prefix is issued.

    Source: HMRC manual NIM39110. The number has no check digit; its pattern checks the rest.
    """
    return len(text) <= MAX_LENGTH and text[:2].upper() not in _UNISSUED_NINO


def ca_sin(text: str) -> bool:
    """Whether `text` contains a Canadian social insurance number with a valid check digit.

    Source: Employment and Social Development Canada: Luhn, and first digits that are not issued.
    """
    return is_valid(sin.validate, text, digits_of)


def au_tfn(text: str) -> bool:
    """Whether `text` contains an Australian tax file number with a valid check digit.

    Source: the Australian Taxation Office's weighted modulus 11.
    """
    return is_valid(tfn.validate, text, digits_of)


def in_aadhaar(text: str) -> bool:
    """Whether `text` contains an Aadhaar number with a valid Verhoeff check digit.

    Source: the Unique Identification Authority of India.
    """
    return is_valid(aadhaar.validate, text, digits_of)


def in_pan(text: str) -> bool:
    """Whether the last word of `text` is an Indian permanent account number.

    Source: the Income Tax Department's description of its five parts.
    """
    return is_valid(pan.validate, text, last_word_of)


def br_cpf(text: str) -> bool:
    """Whether `text` contains a Brazilian CPF with valid check digits.

    Source: Receita Federal's modulus 11.
    """
    return is_valid(cpf.validate, text, digits_of)


def es_nif(text: str) -> bool:
    """Whether `text` is a Spanish DNI or NIE with a valid check letter.

    Source: the Spanish Ministry of the Interior, modulus 23.
    """
    return is_valid(nif.validate, text, letters_and_digits_of)


def fr_nir(text: str) -> bool:
    """Whether `text` is a French social security number with a valid key.

    Source: INSEE, modulus 97.
    """
    return is_valid(nir.validate, text, letters_and_digits_of)


def it_codice_fiscale(text: str) -> bool:
    """Whether the last word of `text` is an Italian tax code with a valid check letter.

    Source: the decree of 23 December 1976 that defines the code.
    """
    return is_valid(codicefiscale.validate, text, last_word_of)


def pl_pesel(text: str) -> bool:
    """Whether `text` contains a PESEL number with a valid date and check digit.

    Source: the Polish Ministry of Digital Affairs.
    """
    return is_valid(pesel.validate, text, digits_of)


def de_tax_id(text: str) -> bool:
    """Whether `text` contains a German tax identification number with a valid check digit.

    Source: ISO 7064 MOD 11,10, which the Bundeszentralamt für Steuern prescribes.
    """
    return is_valid(steuer_id.validate, text, digits_of)


def nl_bsn(text: str) -> bool:
    """Whether `text` is a Dutch citizen number. Source: the eleven test."""
    return is_valid(bsn.validate, text, digits_of)


def se_personnummer(text: str) -> bool:
    """Whether `text` is a Swedish personal number. Source: Skatteverket, Luhn and a real date."""
    return is_valid(personnummer.validate, text, str.strip)


def no_fodselsnummer(text: str) -> bool:
    """Whether `text` is a Norwegian birth number. Source: Skatteetaten, two check digits."""
    return is_valid(fodselsnummer.validate, text, digits_of)


def dk_cpr(text: str) -> bool:
    """Whether `text` is a Danish CPR number with a real date of birth. Source: CPR-kontoret."""
    return is_valid(cpr.validate, text, digits_of)


def fi_hetu(text: str) -> bool:
    """Whether `text` is a Finnish personal identity code. Source: the Digital Agency.

    Hospitals and registers give out temporary codes, from 900, which also stand for a person.
    """
    return is_valid(_hetu_or_temporary, text, str.strip)


def _hetu_or_temporary(code: str) -> str:
    return hetu.validate(code, allow_temporary=True)


def be_nn(text: str) -> bool:
    """Whether `text` is a Belgian national number. Source: the Rijksregister, modulus 97."""
    return is_valid(nn.validate, text, digits_of)


def ch_ahv(text: str) -> bool:
    """Whether `text` is a Swiss social security number. Source: the Zentrale Ausgleichsstelle."""
    return is_valid(ahv.validate, text, digits_of)


def cn_ric(text: str) -> bool:
    """Whether `text` is a Chinese resident number. Source: GB 11643-1999."""
    return is_valid(ric.validate, text, letters_and_digits_of)


def kr_rrn(text: str) -> bool:
    """Whether `text` is a Korean resident number. Source: the Ministry of the Interior."""
    return is_valid(rrn.validate, text, digits_of)


def mx_curp(text: str) -> bool:
    """Whether `text` is a Mexican population code. Source: RENAPO."""
    return is_valid(curp.validate, text, letters_and_digits_of)


def tr_kimlik(text: str) -> bool:
    """Whether `text` is a Turkish identification number. Source: the NVI's two check digits."""
    return is_valid(tckimlik.validate, text, digits_of)


def za_id(text: str) -> bool:
    """Whether `text` is a South African identity number. Source: Home Affairs, Luhn and a date."""
    return is_valid(idnr.validate, text, digits_of)


def ie_pps(text: str) -> bool:
    """Whether `text` is an Irish PPS number. Source: the Department of Social Protection."""
    return is_valid(pps.validate, text, letters_and_digits_of)


def ru_snils(text: str) -> bool:
    """Whether `text` is a Russian insurance account number with valid check digits.

    Source: the Pension Fund's rule: weights 9 to 1, modulus 101. Numbers up to 001-001-998 have no
    check digits and are rejected.
    """
    digits = digits_of(text[:MAX_LENGTH])
    if _SNILS.fullmatch(digits) is None or digits[:9] <= _LAST_SNILS_WITHOUT_CHECK:
        return False
    total = sum(int(digit) * (9 - at) for at, digit in enumerate(digits[:9]))
    return total % _SNILS_MODULUS % 100 == int(digits[9:]) and len(set(digits)) > 1


def de_pension_number(text: str) -> bool:
    """Whether `text` is a German pension insurance number with a real date and its check digit.

    Source: the Deutsche Rentenversicherung, VKVV section 2: the letter counts as two digits.
    """
    number = letters_and_digits_of(text[:MAX_LENGTH])
    match = _PENSION.fullmatch(number)
    if match is None:
        return False
    day, month, year = map(int, match.groups())
    try:
        date(2000 + year, month, day - _REPLACEMENT_DAYS if day > _REPLACEMENT_DAYS else day)
    except ValueError:
        return False
    letter = f"{ord(number[8]) - ord('A') + 1:02}"
    digits = f"{number[:8]}{letter}{number[9:11]}"
    products = (int(digit) * each for digit, each in zip(digits, _PENSION_WEIGHTS, strict=True))
    return sum(sum(divmod(product, 10)) for product in products) % 10 == int(number[11])


VALIDATORS: Final[tuple[Validator, ...]] = (
    us_ssn,
    us_ssn_issued,
    us_itin,
    us_ein,
    uk_nino,
    ca_sin,
    au_tfn,
    in_aadhaar,
    in_pan,
    br_cpf,
    es_nif,
    fr_nir,
    it_codice_fiscale,
    pl_pesel,
    de_tax_id,
    nl_bsn,
    se_personnummer,
    no_fodselsnummer,
    dk_cpr,
    fi_hetu,
    be_nn,
    ch_ahv,
    cn_ric,
    kr_rrn,
    mx_curp,
    tr_kimlik,
    za_id,
    ie_pps,
    ru_snils,
    de_pension_number,
)
