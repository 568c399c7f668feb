"""Validators for tax numbers of persons and businesses, and for European VAT numbers."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from stdnum.at import uid
from stdnum.be import vat as be_vat
from stdnum.bg import vat as bg_vat
from stdnum.br import cnpj
from stdnum.cy import vat as cy_vat
from stdnum.cz import dic
from stdnum.de import vat as de_vat
from stdnum.dk import cvr
from stdnum.ee import kmkr
from stdnum.es import nif
from stdnum.fi import alv
from stdnum.fr import tva
from stdnum.gb import vat as gb_vat
from stdnum.gr import vat as gr_vat
from stdnum.hr import oib
from stdnum.hu import anum
from stdnum.ie import vat as ie_vat
from stdnum.it import iva
from stdnum.lt import pvm
from stdnum.lu import tva as lu_tva
from stdnum.lv import pvn
from stdnum.mt import vat as mt_vat
from stdnum.nl import btw
from stdnum.pl import nip
from stdnum.pt import nif as pt_nif_rule
from stdnum.ro import cf
from stdnum.ru import inn
from stdnum.se import orgnr
from stdnum.se import vat as se_vat
from stdnum.si import ddv
from stdnum.sk import dph

from pdp.detect.validators.common import MAX_LENGTH, digits_of, is_valid, letters_and_digits_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pdp.detect.validators.common import Validator

_RULES: Final[Mapping[str, Callable[[str], str]]] = MappingProxyType(
    {
        "AT": uid.validate,
        "BE": be_vat.validate,
        "BG": bg_vat.validate,
        "CY": cy_vat.validate,
        "CZ": dic.validate,
        "DE": de_vat.validate,
        "DK": cvr.validate,
        "EE": kmkr.validate,
        "EL": gr_vat.validate,
        "ES": nif.validate,
        "FI": alv.validate,
        "FR": tva.validate,
        "GB": gb_vat.validate,
        "HR": oib.validate,
        "HU": anum.validate,
        "IE": ie_vat.validate,
        "IT": iva.validate,
        "LT": pvm.validate,
        "LU": lu_tva.validate,
        "LV": pvn.validate,
        "MT": mt_vat.validate,
        "NL": btw.validate,
        "PL": nip.validate,
        "PT": pt_nif_rule.validate,
        "RO": cf.validate,
        "SE": se_vat.validate,
        "SI": ddv.validate,
        "SK": dph.validate,
        "XI": gb_vat.validate,
    }
)
"""The rule of each member state by its prefix. python-stdnum would import each at its first use."""

_WITHOUT_COUNTRY: Final = MappingProxyType({9: ("DE", "GB"), 11: ("IT",)})
"""The countries whose numbers are often written without the country, by the number of digits."""


def eu_vat(text: str) -> bool:
    """Whether `text` is a VAT number of a European country with a valid check digit.

    Without the country, a number of eleven digits is Italian, and one of nine is German or British.
    Source: the European Commission's VIES, and the tax authority of each state.
    """
    number = letters_and_digits_of(text[:MAX_LENGTH])
    if number.isdigit():
        rules = _WITHOUT_COUNTRY.get(len(number), ())
        return any(is_valid(_RULES[country], number, str.strip) for country in rules)
    rule = _RULES.get(number[:2])
    return rule is not None and is_valid(rule, number[2:], str.strip)


def br_cnpj(text: str) -> bool:
    """Whether `text` is a Brazilian company number with valid check digits.

    Source: Receita Federal's modulus 11.
    """
    return is_valid(cnpj.validate, text, letters_and_digits_of)


def ru_inn(text: str) -> bool:
    """Whether `text` is a Russian taxpayer number, of 10 or 12 digits, with valid check digits.

    Source: the Federal Tax Service.
    """
    digits = digits_of(text[:MAX_LENGTH])
    return len(set(digits)) > 1 and is_valid(inn.validate, digits, str.strip)


def pl_nip(text: str) -> bool:
    """Whether `text` is a Polish tax number with a valid check digit.

    Source: the Ministry of Finance, modulus 11.
    """
    digits = digits_of(text[:MAX_LENGTH])
    return len(set(digits)) > 1 and is_valid(nip.validate, digits, str.strip)


def pt_nif(text: str) -> bool:
    """Whether `text` is a Portuguese tax number with a valid check digit.

    Source: the Autoridade Tributária, modulus 11.
    """
    return is_valid(pt_nif_rule.validate, text, digits_of)


def se_organisation_number(text: str) -> bool:
    """Whether `text` is a Swedish organisation number with a valid check digit.

    Source: Bolagsverket, Luhn; the third digit is at least 2, unlike a month's.
    """
    digits = digits_of(text[:MAX_LENGTH])
    return digits[2:3] >= "2" and is_valid(orgnr.validate, digits, str.strip)


VALIDATORS: Final[tuple[Validator, ...]] = (
    eu_vat,
    br_cnpj,
    ru_inn,
    pl_nip,
    pt_nif,
    se_organisation_number,
)
