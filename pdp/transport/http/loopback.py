"""Development mode responds to this machine only: it refuses requests for other host names.

Without this check, a web page could reach the server by DNS rebinding.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from pdp.errors import HostRefused

if TYPE_CHECKING:
    from collections.abc import Mapping

_AUTHORITY: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:@/]+)(?::[0-9]{1,5})?")


def check_loopback(headers: Mapping[str, str]) -> None:
    """Checks that a request is for a loopback name.

    Checks the Origin as well as the Host, since a form on a foreign page can post without a body.

    Raises:
        HostRefused: the Host is missing or foreign, or the Origin is foreign.
    """
    origin = headers.get("origin")
    if not is_loopback_host(headers.get("host", "")) or (
        origin is not None and not is_loopback_host(origin.partition("://")[2])
    ):
        raise HostRefused("development mode answers on loopback names only")


@lru_cache(maxsize=256)
def is_loopback_host(authority: str) -> bool:
    """Whether `authority` (`host` or `host:port`) is localhost, in 127.0.0.0/8, or [::1]."""
    parts = _AUTHORITY.fullmatch(authority)
    if parts is None:
        return False
    host = parts[1]
    if host.lower() == "localhost":
        return True
    try:
        if host.startswith("["):
            return ipaddress.IPv6Address(host[1:-1]) == ipaddress.IPv6Address("::1")
        return ipaddress.IPv4Address(host).is_loopback
    except ValueError:
        return False
