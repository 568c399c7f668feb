"""Addresses that a server listens on."""

from __future__ import annotations

import ipaddress

from pdp.errors import ConfigError


def split_address(address: str) -> tuple[str, int]:
    """Returns the host and port of `host:port` or `[host]:port`.

    Raises:
        ConfigError: the address has neither form.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:  # noqa: PLR2004 - ports end there
        raise ConfigError(f"{address!r} is not an address. Use HOST:PORT or unix:PATH.")
    return host.removeprefix("[").removesuffix("]"), int(port)


def is_loopback(address: str) -> bool:
    """Returns whether only this machine can reach `address`."""
    if address.startswith("unix:"):
        return True
    host, _ = split_address(address)
    return host == "localhost" or is_loopback_ip(host)


def is_loopback_ip(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
