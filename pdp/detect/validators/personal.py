"""Validators for phone numbers, e-mail addresses and coordinates."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import phonenumbers

from pdp.detect.validators.common import MAX_LENGTH, digits_of
from pdp.detect.validators.financial import CARD_LENGTHS, payment_card

if TYPE_CHECKING:
    from pdp.detect.validators.common import Validator

_PHONE_LENGTHS: Final = range(7, 16)  # ITU-T E.164 allows 15; fewer than 7 are an extension
_EXTENSION: Final = re.compile(r"\s*(?:x|ext\.?|extension)\s*\d{1,6}$", re.IGNORECASE)
_OTHER_NUMBER: Final = re.compile(
    r"(?:19|20)\d\d[-./ ](?:0?[1-9]|1[0-2])[-./ ](?:0?[1-9]|[12]\d|3[01])(?:[ T]\d{1,2})?"  # a date
    r"|\d{1,2}[-./]\d{1,2}[-./](?:19|20)\d\d"  # a date, year last
    r"|(?:19|20)\d\d ?- ?(?:19|20)\d\d"  # a range of years
    r"|\d{3}-\d{2}-\d{4}"  # a US social security number
    r"|(?:\d{1,3}\.){3}\d{1,3}"  # an IP address
    r"|\d{1,3}(?:[ .]000)+"  # a round amount
)
"""Numbers that have the form of a phone number."""

_FILE_EXTENSIONS: Final = frozenset(
    (
        *("png", "jpg", "jpeg", "gif", "svg", "webp", "ico", "bmp", "css", "js", "mjs", "ts"),
        *("tsx", "jsx", "json", "html", "htm", "xml", "yaml", "yml", "txt", "pdf", "lock"),
        *("tar", "gz"),
    )
)
_MAX_LOCAL_PART: Final = 64
_MAX_EMAIL: Final = 254
_MAX_LATITUDE: Final = 90
_MAX_LONGITUDE: Final = 180


def phone_length(text: str) -> bool:
    """Whether `text` has a number of digits that a phone number can have.

    Source: ITU-T E.164.
    """
    return len(text) <= MAX_LENGTH and len(digits_of(text)) in _PHONE_LENGTHS


def phone_number(text: str) -> bool:
    """Whether `text` can be a phone number, and is not a date, an amount, an IP or a card number.

    Source: ITU-T E.164. If the number has a country code, its length must be in that country's
    numbering plan, from phonenumbers.
    """
    if len(text) > MAX_LENGTH:
        return False
    number = _EXTENSION.sub("", text) if "x" in text.lower() else text
    digits = digits_of(number)
    if len(digits) not in _PHONE_LENGTHS or len(set(digits)) == 1:
        return False
    if _OTHER_NUMBER.fullmatch(number.strip()):
        return False
    if len(digits) >= CARD_LENGTHS.start and payment_card(number):
        return False
    return not number.startswith("+") or _has_length_of_country(number)


def _has_length_of_country(number: str) -> bool:
    """Whether the digits after the country code are as many as that country's numbers can have.

    Does the same as `phonenumbers.is_possible_number` in a fortieth of the time, without parsing.
    """
    digits = digits_of(number)
    for size in (1, 2, 3):
        lengths = _LENGTHS_BY_COUNTRY_CODE.get(digits[:size])
        if lengths is not None:
            rest = digits[size:]
            # The zero of a national prefix is often written in brackets.
            return len(rest) in lengths or (rest[:1] == "0" and len(rest) - 1 in lengths)
    return False


def _lengths_by_country_code() -> dict[str, frozenset[int]]:
    """Returns the lengths of numbers by country code, from the metadata of phonenumbers."""
    by_code = {}
    for code, regions in phonenumbers.COUNTRY_CODE_TO_REGION_CODE.items():
        metadata = phonenumbers.PhoneMetadata.metadata_for_region_or_calling_code(code, regions[0])
        if metadata is not None and (general := metadata.general_desc) is not None:
            lengths = (*general.possible_length, *general.possible_length_local_only)
            by_code[str(code)] = frozenset(lengths)
    return by_code


_LENGTHS_BY_COUNTRY_CODE: Final = _lengths_by_country_code()


def email_address(text: str) -> bool:
    """Whether `text` is an e-mail address and not, for example, a file such as icon@2x.png.

    Source: RFC 5321, for the lengths.
    """
    local, _, domain = text.rpartition("@")
    if not local or len(local) > _MAX_LOCAL_PART or len(text) > _MAX_EMAIL or ".." in text:
        return False
    return domain.rpartition(".")[2].lower() not in _FILE_EXTENSIONS


def coordinates(text: str) -> bool:
    """Whether `text` is a latitude and a longitude. Source: ISO 6709, in decimal degrees."""
    parts = [part.strip() for part in text[:MAX_LENGTH].split(",")]
    try:
        latitude, longitude = (float(part) for part in parts)
    except ValueError:
        return False
    return abs(latitude) <= _MAX_LATITUDE and abs(longitude) <= _MAX_LONGITUDE


VALIDATORS: Final[tuple[Validator, ...]] = (
    phone_length,
    phone_number,
    email_address,
    coordinates,
)
