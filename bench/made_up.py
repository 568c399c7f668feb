"""Makes up values of each kind of data, with the check digits of their kind."""

from __future__ import annotations

import random
import string
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from pdp.detect.validators import VALIDATORS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Maker = Callable[[random.Random, str], str]
"""Makes up a value for a language."""

_MAX_TRIES: Final = 20_000
_CONSONANTS: Final = "CFGHJKLMNPRTVWXYZ"
_MBI: Final = "ACDEFGHJKMNPQRTUVWXY"


def number(generator: random.Random, form: str) -> str:
    """Fills a form: # is a digit, @ a letter, & one of German documents, ! one of Medicare ids."""
    filled = {
        "#": string.digits,
        "@": string.ascii_uppercase,
        "&": _CONSONANTS,
        "!": _MBI.replace("Q", ""),
    }
    return "".join(generator.choice(filled[each]) if each in filled else each for each in form)


def one_of(*forms: str, validator: str = "") -> Maker:
    """Returns a maker that fills one of the forms until the validator accepts the value."""

    def make(generator: random.Random, language: str) -> str:
        for _ in range(_MAX_TRIES):
            value = number(generator, generator.choice(forms))
            if not validator or VALIDATORS[validator](value):
                return value
        message = f"no value of {forms} passes {validator}"
        raise AssertionError(message)

    return make


def date_of_birth(generator: random.Random, language: str) -> str:
    """Returns a date in a form of the language."""
    year, month, day = (
        generator.randrange(1940, 2010),
        generator.randrange(1, 13),
        generator.randrange(1, 29),
    )
    forms = {
        "en": (
            f"{year}-{month:02}-{day:02}",
            f"{month:02}/{day:02}/{year}",
            f"{day} March {year}",
            f"May {day}, {year}",
        ),
        "de": (f"{day:02}.{month:02}.{year}", f"{day}. März {year}"),
        "fr": (f"{day:02}/{month:02}/{year}", f"{day} août {year}"),
        "es": (f"{day:02}/{month:02}/{year}", f"{day} de marzo de {year}"),
        "it": (f"{day:02}/{month:02}/{year}", f"{day} maggio {year}"),
        "nl": (f"{day:02}-{month:02}-{year}", f"{day} maart {year}"),
        "pl": (f"{day:02}.{month:02}.{year}", f"{day} października {year}"),
        "sv": (f"{year}-{month:02}-{day:02}", f"{day} maj {year}"),
        "pt": (f"{day:02}/{month:02}/{year}", f"{day} de março de {year}"),
        "ja": (f"{year}年{month}月{day}日", f"{year}/{month:02}/{day:02}"),
        "zh": (f"{year}年{month}月{day}日", f"{year}-{month:02}-{day:02}"),
        "ko": (f"{year}년 {month}월 {day}일", f"{year}.{month:02}.{day:02}"),
    }
    return generator.choice(forms[language])


def email_address(generator: random.Random, language: str) -> str:
    """Returns an address; the names of some languages have letters that are not ASCII."""
    names = {"de": "müller", "fr": "rené", "es": "muñoz", "pl": "łukasz", "sv": "åsa", "pt": "joão"}
    name = names.get(language, "jane.roe")
    return f"{name}{generator.randrange(100)}@example.com"


def _by_language(forms: Mapping[str, Sequence[str]], *default: str) -> Maker:
    def make(generator: random.Random, language: str) -> str:
        return number(generator, generator.choice(forms.get(language, default)))

    return make


_PASSPORT: Final = _by_language(
    {
        "de": ("C&#&##&##", "C01X00T##", "&########"),
        "fr": ("##@@#####",),
        "es": ("@@@######",),
        "it": ("YA#######", "@@#######"),
        "nl": ("NX#######", "NW#######"),
        "pl": ("@@#######",),
        "sv": ("########", "AA######"),
        "pt": ("@@######", "@######"),
        "ja": ("@@#######",),
        "zh": ("E########", "G########", "EA#######"),
        "ko": ("M########", "M###@####"),
    },
    "#########",
    "@########",
    "@@#######",
    "@@######",
)
_LICENCE: Final = _by_language(
    {
        "de": ("B###@@#@##5", "@##########"),
        "fr": ("############",),
        "es": ("########T",),
        "it": ("U1########", "MI########"),
        "nl": ("##########",),
        "pl": ("#####/##/####",),
        "sv": ("##########",),
        "pt": ("L-#######", "###########"),
        "ja": ("############",),
        "zh": ("##################", "############"),
        "ko": ("##-##-######-##",),
    },
    "@#######",
    "@###-####-####",
    "#########",
    "@@######",
    "MORGA657054SM9IJ",
)
_ACCOUNT: Final = _by_language(
    {
        "pl": ("##########################", "## #### #### #### #### #### ####"),
        "ja": ("#######",),
        "zh": ("6222###############",),
        "ko": ("###-###-######", "###-##-######"),
        "es": ("#### #### ## ##########",),
        "fr": ("###########",),
        "sv": ("####-#######",),
    },
    "########",
    "##########",
    "############",
)
_PHONE: Final = _by_language(
    {
        "de": ("030 #######", "0171 #######", "+49 151 ########", "089/#######"),
        "fr": ("06 ## ## ## ##", "+33 6 ## ## ## ##", "01.##.##.##.##"),
        "es": ("6## ### ###", "+34 6## ### ###", "91 ### ## ##"),
        "it": ("347 #######", "+39 06 #######", "02 ########"),
        "nl": ("06-########", "020 #######"),
        "pl": ("601 ### ###", "+48 601 ### ###"),
        "sv": ("070-### ## ##", "08-### ### ##"),
        "pt": ("912 ### ###", "(11) 9####-####"),
        "ja": ("03-####-####", "090-####-####"),
        "zh": ("138########", "010-########"),
        "ko": ("010-####-####", "02-###-####"),
    },
    "(212) 555-01##",
    "212-555-01##",
    "07700 900###",
    "2125550###",
)
_IDENTITY_CARD: Final = _by_language(
    {
        "de": ("L01X00T47",),
        "fr": ("############",),
        "es": ("12345678Z",),
        "it": ("CA#####AA", "AX#######"),
        "nl": ("IJ#######",),
        "pl": ("ABC######",),
        "sv": ("########",),
        "pt": ("########",),
        "ja": ("AB########CD",),
        "zh": ("3604261991010100##",),
        "ko": ("######-1######",),
    },
    "@########",
    "#########",
)

VALUES: Final[Mapping[str, Maker]] = {
    "AU_ABN": one_of("## ### ### ###", "###########", validator="au_abn"),
    "AU_MEDICARE": one_of("#### ##### #", "##########", validator="au_medicare"),
    "AU_TFN": one_of("### ### ###", "#########", validator="au_tfn"),
    "BANK_ACCOUNT": _ACCOUNT,
    "BE_NATIONAL_NUMBER": one_of("85.07.30-###.##", "850730#####", validator="be_nn"),
    "BR_CNPJ": one_of("##.###.###/0001-##", "########0001##", validator="br_cnpj"),
    "BR_CPF": one_of("###.###.###-##", "###########", validator="br_cpf"),
    "CARD_SECURITY_CODE": one_of("###", "####"),
    "CA_SIN": one_of("### ### ###", "#########", validator="ca_sin"),
    "CH_AHV": one_of("756.####.####.##", validator="ch_ahv"),
    "CN_RESIDENT_ID": one_of("36042619910101####", validator="cn_ric"),
    "CREDIT_CARD": one_of(
        "4### #### #### ####", "51##############", "37## ###### #####", validator="payment_card"
    ),
    "CRYPTO": one_of("0x" + "#a#b" * 10),
    "DATE_OF_BIRTH": date_of_birth,
    "DE_ID_CARD": one_of("L#########", "L&#&##&###", validator="de_id_card"),
    "DE_KVNR": one_of("@#########", validator="de_health_insurance"),
    "DE_PENSION_NUMBER": one_of("##150649@###", "## 150649 @ ###", validator="de_pension_number"),
    "DE_TAX_ID": one_of("## ### ### ###", "###########", validator="de_tax_id"),
    "DK_CPR": one_of("2110##-####", "2110######", validator="dk_cpr"),
    "EMAIL_ADDRESS": email_address,
    "ES_NIF": one_of("########@", "X#######@", validator="es_nif"),
    "FI_HETU": one_of("131052-###@", "131052A###@", validator="fi_hetu"),
    "FR_NIR": one_of("2951099126#####", "1 95 10 99 126 ### ##", validator="fr_nir"),
    "HEALTH_INSURANCE_ID": one_of("@@@#########", "##########", "A###-####"),
    "HK_HKID": one_of("@######(#)", "@#######", validator="hk_hkid"),
    "IE_PPS": one_of("#######@", "#######@A", validator="ie_pps"),
    "IN_AADHAAR": one_of("2### #### ####", "3###########", validator="in_aadhaar"),
    "IN_GSTIN": one_of("27AAPF@####F1Z#", "29AAPF@####F1Z@", validator="in_gstin"),
    "IN_PAN": one_of("AC@P@####R", validator="in_pan"),
    "IT_FISCAL_CODE": one_of("RCCMNL83S18D###@", validator="it_codice_fiscale"),
    "JP_MY_NUMBER": one_of("#### #### ####", "############", validator="jp_my_number"),
    "KR_BRN": one_of("###-##-#####", "##########", validator="kr_business_number"),
    "KR_FRN": one_of("911124-5######", "9111245######", validator="kr_foreigner_number"),
    "KR_RRN": one_of("971013-1######", "9710132######", validator="kr_rrn"),
    "MEDICAL_RECORD_NUMBER": one_of("########", "####-####", "MR######"),
    "MX_CURP": one_of("BOXW310820HNERXN##", validator="mx_curp"),
    "IDENTITY_CARD": _IDENTITY_CARD,
    "NL_BSN": one_of("#########", "####.##.###", validator="nl_bsn"),
    "NO_FODSELSNUMMER": one_of("151086#####", "151086 #####", validator="no_fodselsnummer"),
    "PASSPORT": _PASSPORT,
    "PHONE_NUMBER": _PHONE,
    "PL_NIP": one_of("###-###-##-##", "##########", validator="pl_nip"),
    "PL_PESEL": one_of("440514#####", validator="pl_pesel"),
    "PT_NIF": one_of("5########", "2## ### ###", validator="pt_nif"),
    "RU_INN": one_of("############", "77########", validator="ru_inn"),
    "RU_SNILS": one_of("###-###-### ##", "###########", validator="ru_snils"),
    "SE_ORGANISATION_NUMBER": one_of(
        "556###-####", "556#######", validator="se_organisation_number"
    ),
    "SE_PERSONNUMMER": one_of(
        "880320-####", "19880320####", "880320####", validator="se_personnummer"
    ),
    "SG_NRIC": one_of("S#######@", "F#######@", validator="sg_nric"),
    "TAX_NUMBER": _by_language(
        {"de": ("##/###/#####",), "fr": ("## ## ### ### ###",), "zh": ("91350100M########3",)},
        "#########",
        "########",
    ),
    "TH_TNIN": one_of("1-####-#####-##-#", "3############", validator="th_national_id"),
    "TR_KIMLIK": one_of("1##########", validator="tr_kimlik"),
    "UK_NHS": one_of("### ### ####", "##########", validator="uk_nhs"),
    "UK_NINO": one_of("JG######A", "AB ## ## ## C"),
    "US_DEA": one_of("AB#######", validator="us_dea"),
    "US_DRIVER_LICENSE": _LICENCE,
    "US_ITIN": one_of("9##-5#-####", "9##-7#-####", "9##65####", validator="us_itin"),
    "US_MBI": one_of("1!!#-!!#-!!##", "1!!#!!#!!##"),
    "US_NPI": one_of("1#########", validator="us_npi"),
    "US_ROUTING_NUMBER": one_of("11#######", "0########", validator="us_routing"),
    "US_SSN": one_of(
        "###-##-####", "#########", "###-######", "### ## ####", validator="us_ssn_issued"
    ),
    "VAT_NUMBER": one_of("DE#########", "DE ### ### ###", "PL##########", validator="eu_vat"),
    "ZA_ID": one_of("7503305###08#", validator="za_id"),
}
