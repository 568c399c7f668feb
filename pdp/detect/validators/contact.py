"""Checks of addresses of all kinds, of people and of machines: see `validators`."""

from __future__ import annotations

import ipaddress
import re
import string
from typing import TYPE_CHECKING, Final

import phonenumbers

from pdp.detect.validators.money import payment_card
from pdp.detect.validators.numbers import MAX_LENGTH, digits_of

if TYPE_CHECKING:
    from collections.abc import Callable

_PHONE_DIGITS: Final = range(7, 16)
_EXTENSION: Final = re.compile(r"\s*(?:x|ext\.?|extension)\s*\d{1,6}$", re.IGNORECASE)
_NO_PHONE: Final = re.compile(
    r"(?:19|20)\d\d[-./ ](?:0?[1-9]|1[0-2])[-./ ](?:0?[1-9]|[12]\d|3[01])(?:[ T]\d{1,2})?"  # a date
    r"|\d{1,2}[-./]\d{1,2}[-./](?:19|20)\d\d"  # a date, year last
    r"|(?:19|20)\d\d ?- ?(?:19|20)\d\d"  # years from and to
    r"|\d{3}-\d{2}-\d{4}"  # a US social security number
    r"|(?:\d{1,3}\.){3}\d{1,3}"  # an IP address
    r"|\d{1,3}(?:[ .]000)+"  # a round amount
)
_FILE_ENDINGS: Final = frozenset(
    {
        *(
            "png",
            "jpg",
            "jpeg",
            "gif",
            "svg",
            "webp",
            "ico",
            "bmp",
            "css",
            "js",
            "mjs",
            "ts",
            "tsx",
        ),
        *("jsx", "json", "html", "htm", "xml", "yaml", "yml", "txt", "pdf", "lock", "tar", "gz"),
    }
)
_MAX_LOCAL: Final = 64
_MAX_EMAIL: Final = 254
_HEXADECIMAL: Final = frozenset(string.hexdigits)
_MAC_LENGTH: Final = 12
_IPV6_GROUPS: Final = 3
_FINGERPRINT: Final = re.compile(r"[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2})+")
_LATITUDE: Final = 90
_LONGITUDE: Final = 180


def phone_number(text: str) -> bool:
    """Whether `text` can be a telephone number, and is not a date, an amount, an IP or a card.

    Source: ITU-T E.164; a number with a country code must have a length of that country's plan, as
    phonenumbers carries it.
    """
    if len(text) > MAX_LENGTH:
        return False
    number = _EXTENSION.sub("", text)
    digits = digits_of(number)
    if len(digits) not in _PHONE_DIGITS or len(set(digits)) == 1:
        return False
    if _NO_PHONE.fullmatch(number.strip()) or payment_card(number):
        return False
    return not number.startswith("+") or _possible(number)


def _possible(number: str) -> bool:
    """Whether what follows the plus sign is as long as numbers of its country code can be.

    As `phonenumbers.is_possible_number` has it, without the parsing that takes forty times as long.
    """
    digits = digits_of(number)
    for size in (1, 2, 3):
        lengths = _LENGTHS.get(digits[:size])
        if lengths is not None:
            rest = digits[size:]
            # The zero of a national prefix is often written in brackets.
            return len(rest) in lengths or (rest[:1] == "0" and len(rest) - 1 in lengths)
    return False


def _lengths() -> dict[str, frozenset[int]]:
    """Returns the lengths of numbers by country code, from the metadata of phonenumbers."""
    found = {}
    for code, regions in phonenumbers.COUNTRY_CODE_TO_REGION_CODE.items():
        metadata = phonenumbers.PhoneMetadata.metadata_for_region_or_calling_code(code, regions[0])
        if metadata is not None and (general := metadata.general_desc) is not None:
            lengths = (*general.possible_length, *general.possible_length_local_only)
            found[str(code)] = frozenset(lengths)
    return found


_LENGTHS: Final = _lengths()


def email_address(text: str) -> bool:
    """Whether `text` is an e-mail address and not, for instance, a file such as icon@2x.png.

    Source: RFC 5321 for the lengths.
    """
    local, _, domain = text.rpartition("@")
    if not local or len(local) > _MAX_LOCAL or len(text) > _MAX_EMAIL or ".." in text:
        return False
    return domain.rpartition(".")[2].lower() not in _FILE_ENDINGS


def public_ip(text: str) -> bool:
    """Whether `text` is an IP address that is routed on the internet.

    Source: the IANA special-purpose address registries, as the standard library carries them.
    """
    address = _ip(text)
    return address is not None and address.is_global and not address.is_multicast


def private_ip(text: str) -> bool:
    """Whether `text` is an address within a private network; not of a host itself, nor an example.

    Source: RFC 1918, RFC 4193 and RFC 6598.
    """
    address = _ip(text)
    return address is not None and any(
        address in network for network in _PRIVATE if network.version == address.version
    )


_PRIVATE: Final = tuple(
    ipaddress.ip_network(network)
    for network in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
)


def _ip(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    if len(text) > MAX_LENGTH or (":" in text and text.count(":") < _IPV6_GROUPS):
        return None
    if _FINGERPRINT.fullmatch(text):
        return None
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def mac_address(text: str) -> bool:
    """Whether `text` is the address of one network card: neither all zeroes nor the broadcast's.

    Source: IEEE 802.
    """
    number = "".join(filter(_HEXADECIMAL.__contains__, text[:MAX_LENGTH]))
    return len(number) == _MAC_LENGTH and len(set(number)) > 1


def coordinates(text: str) -> bool:
    """Whether `text` is a latitude and a longitude. Source: ISO 6709, in decimal degrees."""
    parts = [part.strip() for part in text[:MAX_LENGTH].split(",")]
    try:
        latitude, longitude = (float(part) for part in parts)
    except ValueError:
        return False
    return abs(latitude) <= _LATITUDE and abs(longitude) <= _LONGITUDE


CHECKS: Final[tuple[Callable[[str], bool], ...]] = (
    *(phone_number, email_address, public_ip, private_ip, mac_address, coordinates),
)
