"""Checks that a matched text really is the identifier its pattern took it for.

A pattern finds the shape of an identifier; check digits and issuing rules tell a card number from
an order number. The scan runs a validator only on text that its pattern matched, and a match counts
only if the validator accepts it. The arithmetic is python-stdnum's; this module strips what the
patterns let through, such as separators and the words in front of a number.

No validator raises, whatever the text. None is slow: a text longer than any identifier is refused
before it is looked at.
"""

import ipaddress
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import stdnum.iban
from stdnum.au import tfn
from stdnum.br import cpf
from stdnum.ca import sin
from stdnum.de import idnr
from stdnum.es import nif
from stdnum.exceptions import ValidationError
from stdnum.fr import nir
from stdnum.gb import nhs
from stdnum.in_ import aadhaar, pan
from stdnum.it import codicefiscale
from stdnum.pl import pesel
from stdnum.us import ein, itin, rtn, ssn

from pdp.detect.validators import contact, money, national, secret
from pdp.detect.validators.numbers import (
    MAX_LENGTH,
    accepts,
    digits_of,
    last_word_of,
    letters_and_digits_of,
    luhn_sum_is_valid,
    only_digits_and_separators,
)

__all__ = ["MAX_LENGTH", "VALIDATORS", "Validator"]

Validator = Callable[[str], bool]
"""Tells whether a matched text is a genuine identifier of its kind."""

_CARD_LENGTHS: Final = range(12, 20)  # ISO/IEC 7812: 12 digits for Maestro up to 19
_PHONE_LENGTHS: Final = range(7, 16)  # ITU-T E.164 allows 15; shorter than 7 is an extension
_NPI_LENGTH: Final = 10
_NPI_ISSUER: Final = "80840"  # the prefix under which CMS computes the provider's check digit
_UNISSUED_NINO: Final = frozenset({"BG", "GB", "KN", "NK", "NT", "TN", "ZZ"})


def luhn(text: str) -> bool:
    """Whether `text` is a payment card number: 12 to 19 digits with a valid Luhn check digit.

    Source: ISO/IEC 7812-1. A number of one repeated digit is refused: no issuer has given one out.
    """
    if len(text) > MAX_LENGTH or not only_digits_and_separators(text):
        return False
    digits = digits_of(text)
    return len(digits) in _CARD_LENGTHS and len(set(digits)) > 1 and luhn_sum_is_valid(digits)


def iban(text: str) -> bool:
    """Whether `text` is an IBAN: valid check digits and the account form of its country.

    Source: ISO 13616 and the SWIFT registry, as python-stdnum carries it. A short word behind a
    number in groups reads like its last group, so the text is tried without it as well.
    """
    if len(text) > MAX_LENGTH:
        return False
    text = text.strip()
    return _is_iban(text) or _is_iban(text.rpartition(" ")[0])


def us_ssn(text: str) -> bool:
    """Whether `text` holds a social security number that can have been issued.

    Source: the Social Security Administration's rules for areas, groups and serials, and its list
    of numbers that advertising has made void.
    """
    return accepts(ssn.validate, text, digits_of)


def us_itin(text: str) -> bool:
    """Whether `text` holds an individual taxpayer number with a group that is in use.

    Source: IRS publication 1915.
    """
    return accepts(itin.validate, text, digits_of)


def us_ein(text: str) -> bool:
    """Whether `text` holds an employer number with a prefix that a campus assigns.

    Source: the IRS list of valid EIN prefixes.
    """
    return accepts(ein.validate, text, digits_of)


def us_routing(text: str) -> bool:
    """Whether `text` holds a bank routing number with a valid check digit.

    Source: the American Bankers Association's routing number policy.
    """
    return accepts(rtn.validate, text, digits_of)


def us_npi(text: str) -> bool:
    """Whether `text` holds a national provider identifier with a valid check digit.

    Source: CMS, "NPI check digit": Luhn over the number with the issuer prefix 80840.
    """
    if len(text) > MAX_LENGTH:
        return False
    digits = digits_of(text)
    return len(digits) == _NPI_LENGTH and luhn_sum_is_valid(_NPI_ISSUER + digits)


def uk_nhs(text: str) -> bool:
    """Whether `text` holds an NHS number with a valid check digit.

    Source: the NHS data dictionary, modulus 11.
    """
    return accepts(nhs.validate, text, digits_of)


def uk_nino(text: str) -> bool:
    """Whether `text` is a national insurance number whose prefix is issued.

    Source: HMRC manual NIM39110. The number has no check digit; its pattern sees to the rest.
    """
    return len(text) <= MAX_LENGTH and text[:2].upper() not in _UNISSUED_NINO


def ca_sin(text: str) -> bool:
    """Whether `text` holds a Canadian social insurance number with a valid check digit.

    Source: Employment and Social Development Canada; Luhn, with first digits that are not issued.
    """
    return accepts(sin.validate, text, digits_of)


def au_tfn(text: str) -> bool:
    """Whether `text` holds an Australian tax file number with a valid check digit.

    Source: the Australian Taxation Office's weighted modulus 11.
    """
    return accepts(tfn.validate, text, digits_of)


def in_aadhaar(text: str) -> bool:
    """Whether `text` holds an Aadhaar number with a valid Verhoeff check digit.

    Source: the Unique Identification Authority of India.
    """
    return accepts(aadhaar.validate, text, digits_of)


def in_pan(text: str) -> bool:
    """Whether the last word of `text` is an Indian permanent account number.

    Source: the Income Tax Department's description of its five parts.
    """
    return accepts(pan.validate, text, last_word_of)


def br_cpf(text: str) -> bool:
    """Whether `text` holds a Brazilian CPF with valid check digits.

    Source: Receita Federal's modulus 11.
    """
    return accepts(cpf.validate, text, digits_of)


def es_nif(text: str) -> bool:
    """Whether `text` is a Spanish DNI or NIE with a valid check letter.

    Source: the Spanish Ministry of the Interior, modulus 23.
    """
    return accepts(nif.validate, text, letters_and_digits_of)


def fr_nir(text: str) -> bool:
    """Whether `text` is a French social security number with a valid key.

    Source: INSEE, modulus 97.
    """
    return accepts(nir.validate, text, letters_and_digits_of)


def it_codice_fiscale(text: str) -> bool:
    """Whether the last word of `text` is an Italian tax code with a valid check letter.

    Source: the decree of 23 December 1976 that defines the code.
    """
    return accepts(codicefiscale.validate, text, last_word_of)


def pl_pesel(text: str) -> bool:
    """Whether `text` holds a PESEL number with a valid date and check digit.

    Source: the Polish Ministry of Digital Affairs.
    """
    return accepts(pesel.validate, text, digits_of)


def de_tax_id(text: str) -> bool:
    """Whether `text` holds a German tax identification number with a valid check digit.

    Source: ISO 7064 MOD 11,10, as the Bundeszentralamt für Steuern prescribes it.
    """
    return accepts(idnr.validate, text, digits_of)


def public_ipv4(text: str) -> bool:
    """Whether `text` is an IPv4 address that is routed on the internet.

    Source: the IANA special-purpose address registry, as the standard library carries it.
    """
    if len(text) > MAX_LENGTH:
        return False
    try:
        return ipaddress.IPv4Address(text).is_global
    except ValueError:
        return False


def phone_length(text: str) -> bool:
    """Whether `text` holds as many digits as a telephone number can have.

    Source: ITU-T E.164.
    """
    return len(text) <= MAX_LENGTH and len(digits_of(text)) in _PHONE_LENGTHS


def _is_iban(text: str) -> bool:
    try:
        # The country modules check bank codes and are imported by name at run time: not here.
        return bool(stdnum.iban.validate(letters_and_digits_of(text), check_country=False))
    except ValidationError:
        return False


VALIDATORS: Final[Mapping[str, Validator]] = MappingProxyType(
    {
        check.__name__: check
        for check in (
            *(luhn, iban, us_ssn, us_itin, us_ein, us_routing, us_npi, uk_nhs, uk_nino, ca_sin),
            *(au_tfn, in_aadhaar, in_pan, br_cpf, es_nif, fr_nir, it_codice_fiscale, pl_pesel),
            *(de_tax_id, public_ipv4, phone_length),
            *contact.CHECKS,
            *money.CHECKS,
            *national.CHECKS,
            *secret.CHECKS,
        )
    }
)
"""Every validator by the name under which a policy asks for it."""
