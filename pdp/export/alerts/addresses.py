"""Where a webhook may lead: never into the server's own network, unless that is allowed.

A tenant's admin writes webhook addresses, so each is a request that the server makes on someone
else's behalf. Names are resolved here, all their addresses are judged, and the connection is made
to one that was judged: what a name resolves to a moment later does not matter.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

from pdp.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    Address = ipaddress.IPv4Address | ipaddress.IPv6Address
    Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_HTTPS_PORT: Final = 443
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_COMPATIBLE: Final = ipaddress.IPv6Network("::/96")


class AddressRefused(Exception):
    """A webhook may not be there."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Destination(NamedTuple):
    """Where a webhook is, once its name is resolved."""

    host: str
    port: int
    address: str


class Reach(NamedTuple):
    """Where webhooks may lead.

    Attributes:
        networks: networks that are not public, and allowed all the same.
        hosts: the only hosts that are allowed, in lower case; empty for any.
    """

    networks: Sequence[Network] = ()
    hosts: frozenset[str] = frozenset()


EVERYWHERE: Final = Reach()
"""Any public address."""


def hosts_of(text: str) -> frozenset[str]:
    """Returns the hosts in a comma-separated list, in lower case."""
    return frozenset(each.strip().lower() for each in text.split(",") if each.strip())


def networks_of(text: str) -> tuple[Network, ...]:
    """Returns the networks in a comma-separated list.

    Raises:
        ConfigError: one of them is none.
    """
    try:
        return tuple(ipaddress.ip_network(each.strip()) for each in text.split(",") if each.strip())
    except ValueError as error:
        raise ConfigError(f"alert_networks (PDP_ALERT_NETWORKS): {error}") from None


def is_public(address: Address) -> bool:
    """Whether an address is one of the internet, seen through what can stand for it: an IPv6
    address may carry an IPv4 one.
    """
    carried = _carried(address)
    if carried is not None:
        return is_public(carried)
    return address.is_global and not address.is_multicast


def _carried(address: Address) -> ipaddress.IPv4Address | None:
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address.ipv4_mapped or address.sixtofour:
        return address.ipv4_mapped or address.sixtofour
    if address in _NAT64 or address in _COMPATIBLE:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.teredo[1] if address.teredo else None


async def place_of(url: str, reach: Reach) -> Destination:
    """Returns where a webhook is to be reached.

    Args:
        url: its address.
        reach: where it may lead.

    Raises:
        AddressRefused: it is no https address, or its host, or any of its host's addresses, is
            refused.
        OSError: its name cannot be resolved.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or _HTTPS_PORT
    except ValueError:
        host, port = None, 0
    if host is None or parts.scheme != "https" or parts.username is not None:
        raise AddressRefused("it is no https address")
    if reach.hosts and host not in reach.hosts:
        raise AddressRefused("its host is not among those that are allowed")
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError:  # a label that is empty or too long
        raise AddressRefused("its name is none that can be resolved") from None
    addresses = [str(each[4][0]) for each in found]
    for each in addresses:
        address = ipaddress.ip_address(each.partition("%")[0])
        if not is_public(address) and not any(address in network for network in reach.networks):
            raise AddressRefused("it leads to an address that is not public")
    if not addresses:
        raise AddressRefused("its name has no address")
    return Destination(host, port, addresses[0])
