"""General names of entity types, such as `NATIONAL_ID`, and the detector types that they cover.

Policies name national ids and secrets; detectors distinguish a Danish CPR from a Polish PESEL. A
name that is not listed here covers only itself and its aliases.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pdp.domain.detector import entity_aliases

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_KEYS: Final = frozenset(
    {
        "AI_PROVIDER_KEY",
        "ANTHROPIC_KEY",
        "AUTHORIZATION_HEADER",
        "AWS_ACCESS_KEY",
        "AWS_SECRET_KEY",
        "AZURE_CLIENT_SECRET",
        "AZURE_SAS",
        "AZURE_STORAGE_KEY",
        "GCP_API_KEY",
        "GCP_SERVICE_ACCOUNT_KEY",
        "GENERIC_SECRET",
        "GITHUB_TOKEN",
        "GITLAB_TOKEN",
        "GOOGLE_OAUTH",
        "JWT",
        "MESSAGING_KEY",
        "OPENAI_KEY",
        "PACKAGE_REGISTRY_TOKEN",
        "PLATFORM_TOKEN",
        "SLACK_TOKEN",
        "STRIPE_KEY",
    }
)
_NATIONAL_IDS: Final = frozenset(
    {
        "AU_TFN",
        "BE_NATIONAL_NUMBER",
        "BR_CPF",
        "CA_SIN",
        "CH_AHV",
        "CN_RESIDENT_ID",
        "DE_ID_CARD",
        "DE_PENSION_NUMBER",
        "DE_TAX_ID",
        "DK_CPR",
        "ES_NIF",
        "FI_HETU",
        "FR_NIR",
        "HK_HKID",
        "IDENTITY_CARD",
        "IE_PPS",
        "IN_AADHAAR",
        "IT_FISCAL_CODE",
        "IT_IDENTITY_CARD",
        "JP_MY_NUMBER",
        "KR_FRN",
        "KR_RRN",
        "MX_CURP",
        "NL_BSN",
        "NO_FODSELSNUMMER",
        "PL_PESEL",
        "RU_SNILS",
        "SE_PERSONNUMMER",
        "SG_NRIC",
        "TH_TNIN",
        "TR_KIMLIK",
        "UK_NINO",
        "US_ITIN",
        "US_SSN",
        "ZA_ID",
    }
)
_TAX_IDS: Final = frozenset(
    {
        "AU_ABN",
        "AU_TFN",
        "BR_CNPJ",
        "BR_CPF",
        "DE_TAX_ID",
        "ES_NIF",
        "IE_PPS",
        "IN_GSTIN",
        "IN_PAN",
        "IT_FISCAL_CODE",
        "KR_BRN",
        "PL_NIP",
        "PT_NIF",
        "RU_INN",
        "SE_ORGANISATION_NUMBER",
        "TAX_NUMBER",
        "US_EIN",
        "US_ITIN",
        "VAT_NUMBER",
    }
)

FAMILIES: Final[Mapping[str, frozenset[str]]] = {
    "ACCESS_TOKEN": _KEYS,
    "API_KEY": _KEYS,
    "SECRET": _KEYS
    | {"CONNECTION_STRING", "ENVIRONMENT_SECRET", "PASSPHRASE", "PASSWORD", "PRIVATE_KEY"}
    | {"CHAT_WEBHOOK", "SLACK_WEBHOOK", "URL_CREDENTIALS"},
    "NATIONAL_ID": _NATIONAL_IDS,
    "TAX_ID": _TAX_IDS,
    "MEDICAL_LICENSE": frozenset({"US_DEA", "US_NPI"}),
    "PRECISE_LOCATION": frozenset({"COORDINATES"}),
    "US_BANK_NUMBER": frozenset({"BANK_ACCOUNT"}),
    "US_PASSPORT": frozenset({"PASSPORT"}),
}
"""The types that a name covers besides itself."""


_SECRETS: Final = FAMILIES["SECRET"] | {"ACCESS_TOKEN", "API_KEY", "SECRET"}


_SECRET_ENDINGS: Final = ("_CREDENTIALS", "_KEY", "_PASSWORD", "_SECRET", "_TOKEN", "_WEBHOOK")


def is_secret_type(name: str) -> bool:
    """Returns whether a name is that of a kind of secrets, also of one that nothing here knows."""
    return name in _SECRETS or name.upper().endswith(_SECRET_ENDINGS)


_FAMILIES_OF: Final[Mapping[str, frozenset[str]]] = {
    member: frozenset(family for family, types in FAMILIES.items() if member in types)
    for types in FAMILIES.values()
    for member in types
}


def all_names_of(types: Iterable[str]) -> frozenset[str]:
    """Returns all names that cover one of `types`: the opposite of `expand_entity_types`."""
    names: set[str] = set()
    for each in types:
        aliases = entity_aliases(each)
        names |= aliases
        for alias in aliases:
            for family in _FAMILIES_OF.get(alias, ()):
                names |= entity_aliases(family)
    return frozenset(names)


def expand_entity_types(names: Iterable[str]) -> frozenset[str]:
    """Returns `names` with their aliases, and all types that they cover with their aliases."""
    expanded: set[str] = set()
    for name in names:
        expanded |= entity_aliases(name)
        for each in FAMILIES.get(name, ()):
            expanded |= entity_aliases(each)
    return frozenset(expanded)
