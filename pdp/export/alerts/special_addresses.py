"""Addresses that are not on the public internet, in a table of our own.

`ipaddress.is_global` differs between patch releases of Python, and does not know all of these. The
table follows the special-purpose registries of IANA (RFC 6890) for IPv4. For IPv6, only the range
that IANA assigns addresses from (2000::/3) is public, without its special parts.
"""

from __future__ import annotations

import ipaddress
from typing import Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_SPECIAL_IPV4: Final = tuple(
    ipaddress.IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # shared, for carriers
        "127.0.0.0/8",  # loopback
        "169.254.0.0/16",  # link-local
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocols
        "192.0.2.0/24",  # documentation
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
)
_ASSIGNED_IPV6: Final = ipaddress.IPv6Network("2000::/3")
_SPECIAL_IPV6: Final = tuple(
    ipaddress.IPv6Network(network)
    for network in (
        "2001::/23",  # protocols
        "2001:db8::/32",  # documentation
        "3fff::/20",  # documentation
    )
)

_IPV4_SUFFIXES: Final = tuple(
    ipaddress.IPv6Network(network)
    for network in (
        "::/96",  # compatible
        "::ffff:0:0/96",  # mapped
        "::ffff:0:0:0/96",  # translated
        "64:ff9b::/96",  # NAT64
    )
)
"""Networks whose last 32 bits are an IPv4 address, wherever the packet goes."""

_LOCAL_NAT64: Final = ipaddress.IPv6Network("64:ff9b:1::/48")

_METADATA: Final = frozenset(
    ipaddress.ip_address(address)
    for address in (
        "100.100.100.200",  # Alibaba Cloud
        "100.96.0.96",  # Volcano Engine
        "168.63.129.16",  # Azure, in a public range
        "169.254.0.23",  # Tencent Cloud
        "169.254.169.254",  # AWS, Azure, Google Cloud (metadata.google.internal), and most others
        "169.254.170.2",  # AWS, credentials of containers
        "169.254.170.23",  # AWS, credentials of pods
        "169.254.42.42",  # Scaleway
        "192.0.0.192",  # Oracle Cloud
        "fd00:42::42",  # Scaleway
        "fd00:c1::a9fe:a9fe",  # Oracle Cloud
        "fd00:ec2::23",  # AWS, credentials of pods
        "fd00:ec2::254",  # AWS
        "fd20:ce::254",  # Google Cloud
        "fe80::a9fe:a9fe",  # OpenStack
    )
)


def is_public(address: Address) -> bool:
    """Returns whether an address is on the public internet.

    If an IPv6 address embeds an IPv4 address, the IPv4 address decides.
    """
    if is_metadata(address):
        return False
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in network for network in _SPECIAL_IPV4)
    embedded = _embedded_ipv4(address)
    if embedded is not None:
        return is_public(embedded)
    return address in _ASSIGNED_IPV6 and not any(address in network for network in _SPECIAL_IPV6)


def is_metadata(address: Address) -> bool:
    """Returns whether a cloud hands out data of the machine, such as credentials, at an address."""
    if address in _METADATA:
        return True
    if isinstance(address, ipaddress.IPv4Address):
        return False
    if address in _LOCAL_NAT64:
        return _suffix(address) in _METADATA
    embedded = _embedded_ipv4(address)
    return embedded is not None and embedded in _METADATA


def _embedded_ipv4(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if any(address in network for network in _IPV4_SUFFIXES):
        return _suffix(address)
    return address.sixtofour or (address.teredo[1] if address.teredo else None)


def _suffix(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address:
    return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
