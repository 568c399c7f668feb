"""A server that needs no credentials responds to this machine only.

It refuses requests for other host names, in development mode and with `PDP_AUTH=local-pep`.

Without this check, a web page could reach the server by DNS rebinding. Pages of other servers on
this machine are foreign, too: only the pages that this server serves may call it.
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

_DEFAULT_PORTS: Final = {"http": ":80", "https": ":443"}


def check_loopback(headers: Mapping[str, str], scheme: str = "http") -> None:
    """Checks that a request is for a loopback name, and not sent by a page of another server.

    Checks the Origin as well as the Host, since a form on a foreign page can post without a body.

    Args:
        headers: of the request, by lower-case name.
        scheme: `http` or `https`.

    Raises:
        HostRefused: the Host is missing or foreign, or the Origin is not the server's own.
    """
    host = headers.get("host", "")
    if not is_loopback_host(host):
        raise HostRefused(
            "this server answers on loopback names only: send the request to localhost"
        )
    origin = headers.get("origin")
    if origin is not None and not _is_own_origin(origin, scheme, host):
        raise HostRefused(
            "this server answers pages of its own origin only: "
            "the Origin must have the scheme, host and port of this request"
        )


def _is_own_origin(origin: str, scheme: str, host: str) -> bool:
    default_port = _DEFAULT_PORTS.get(scheme, "")  # browsers leave it out
    own = f"{scheme}://{host.removesuffix(default_port)}"
    return origin.removesuffix(default_port).lower() == own.lower()


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
