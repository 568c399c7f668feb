"""Decides which addresses a webhook may have: public ones, unless the settings allow others.

The admins of a tenant choose webhook URLs, and the server sends requests to them. To protect the
server's own network, this module resolves the host name, checks all its addresses, and returns one
of the checked addresses for the connection. So a name that resolves differently a moment later
cannot bypass the check.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

from pdp.errors import ConfigError
from pdp.export.alerts.special_addresses import is_metadata, is_public

if TYPE_CHECKING:
    from collections.abc import Sequence

    Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_HTTPS_PORT: Final = 443


class AddressRefused(Exception):
    """A webhook URL is not allowed."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Destination(NamedTuple):
    """The resolved destination of a webhook."""

    host: str
    port: int
    address: str


class AllowedDestinations(NamedTuple):
    """The destinations that webhooks may have.

    Attributes:
        networks: networks that are allowed although they are not public; metadata services of
            clouds are refused there, too.
        hosts: the only allowed hosts, in lower case; empty for any host.
    """

    networks: Sequence[Network] = ()
    hosts: frozenset[str] = frozenset()


ANY_PUBLIC: Final = AllowedDestinations()
"""Allows any public address."""


def parse_hosts(text: str) -> frozenset[str]:
    """Returns the hosts in a comma-separated list, in lower case."""
    return frozenset(each.strip().lower() for each in text.split(",") if each.strip())


def parse_networks(text: str) -> tuple[Network, ...]:
    """Returns the networks in a comma-separated list.

    Raises:
        ConfigError: an entry is not a network.
    """
    return tuple(_parse_network(each.strip()) for each in text.split(",") if each.strip())


def _parse_network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        raise ConfigError(
            f"alert_networks (PDP_ALERT_NETWORKS): {text!r} is not a network; write an address and "
            "a prefix length, for instance 10.0.0.0/8"
        ) from None


async def resolve(url: str, allowed: AllowedDestinations) -> Destination:
    """Resolves and checks a webhook URL.

    Args:
        url: the webhook.
        allowed: the destinations that it may have.

    Raises:
        AddressRefused: the URL is not https, its host is not allowed, or an address of its host is
            not allowed.
        OSError: the host name cannot be resolved.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or _HTTPS_PORT
    except ValueError:
        host, port = None, 0
    if host is None or parts.scheme != "https" or parts.username is not None:
        raise AddressRefused("it is not an https URL")
    if allowed.hosts and host not in allowed.hosts:
        raise AddressRefused("its host is not allowed")
    try:
        entries = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError:  # a label is empty or too long
        raise AddressRefused("its host name is not valid") from None
    addresses = [str(each[4][0]) for each in entries]
    for each in addresses:
        address = ipaddress.ip_address(each.partition("%")[0])
        if is_metadata(address):
            raise AddressRefused("its address is that of a cloud's metadata service")
        if not is_public(address) and not any(address in network for network in allowed.networks):
            raise AddressRefused("its address is not public")
    if not addresses:
        raise AddressRefused("its host name has no address")
    return Destination(host, port, addresses[0])
