"""Validators for IP and MAC addresses."""

from __future__ import annotations

import ipaddress
import re
import string
from typing import TYPE_CHECKING, Final

from pdp.detect.validators.common import MAX_LENGTH

if TYPE_CHECKING:
    from pdp.detect.validators.common import Validator

_VERSION_PARTS: Final = 64
"""The parts of most versions are smaller."""

_MIN_IPV6_COLONS: Final = 3
_GLOBAL_IPV6: Final = re.compile(r"[23][0-9A-Fa-f]{3}:[0-9A-Fa-f:]*")
"""The form of global unicast addresses, which can be short because of `::` (RFC 4291)."""

_FINGERPRINT: Final = re.compile(r"[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2})+")
_PRIVATE_NETWORKS: Final = tuple(
    ipaddress.ip_network(network)
    for network in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
)
_HEXADECIMAL: Final = frozenset(string.hexdigits)
_MAC_LENGTH: Final = 12


def public_ipv4(text: str) -> bool:
    """Whether `text` is an IPv4 address that is routed on the internet, and not a version.

    Small numbers that differ, such as 9.4.5.12, are most likely a version: of all addresses, one in
    250 has only such numbers.
    Source: the IANA special-purpose address registry, from the standard library.
    """
    if len(text) > MAX_LENGTH:
        return False
    try:
        address = ipaddress.IPv4Address(text)
    except ValueError:
        return False
    parts = address.packed
    is_version = max(parts) < _VERSION_PARTS and len(set(parts)) > 2  # noqa: PLR2004
    return address.is_global and not is_version


def public_ip(text: str) -> bool:
    """Whether `text` is an IP address that is routed on the internet.

    Source: the IANA special-purpose address registries, from the standard library.
    """
    address = _ip_address(text)
    return address is not None and address.is_global and not address.is_multicast


def private_ip(text: str) -> bool:
    """Whether `text` is an address in a private network; loopback and example addresses are not.

    Source: RFC 1918, RFC 4193 and RFC 6598.
    """
    address = _ip_address(text)
    return address is not None and any(
        address in network for network in _PRIVATE_NETWORKS if network.version == address.version
    )


def _ip_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    if len(text) > MAX_LENGTH:
        return None
    if 0 < text.count(":") < _MIN_IPV6_COLONS and not _GLOBAL_IPV6.fullmatch(text):
        return None
    if _FINGERPRINT.fullmatch(text):
        return None
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def mac_address(text: str) -> bool:
    """Whether `text` is a MAC address, but not all zeros and not the broadcast address.

    Source: IEEE 802.
    """
    number = "".join(filter(_HEXADECIMAL.__contains__, text[:MAX_LENGTH]))
    return len(number) == _MAC_LENGTH and len(set(number)) > 1


VALIDATORS: Final[tuple[Validator, ...]] = (public_ipv4, public_ip, private_ip, mac_address)
