"""URLs of PostgreSQL databases: what a connection gets, and what may be shown."""

from __future__ import annotations

import ipaddress
import os
from typing import TYPE_CHECKING, Final

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pdp.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEME: Final = "postgresql://"

_DEFAULTS: Final[Mapping[str, str]] = {
    "application_name": "pdp",
    # A peer that is gone must be noticed within seconds: policies get old meanwhile.
    "connect_timeout": "3",
    "keepalives_idle": "2",
    "keepalives_interval": "1",
    "keepalives_count": "3",
    "tcp_user_timeout": "4000",
}

_OPPORTUNISTIC: Final = frozenset({"", "allow", "prefer"})
"""Modes in which libpq connects without TLS if the peer does not offer it."""


def connection_string(url: str, setting: str) -> str:
    """Returns what libpq connects by: the URL with defaults, in UTF-8.

    Raises:
        ConfigError: the URL is not valid, or leaves open whether TLS protects the connection. The
            message names `setting`, and holds nothing of the URL.
    """
    parameters = _parse(url, setting)
    mode = parameters.get("sslmode") or os.environ.get("PGSSLMODE", "")
    if mode in _OPPORTUNISTIC and not all(map(_is_local, _hosts(parameters))):
        raise ConfigError(
            f"{setting}: the URL must say how the connection is protected. Add "
            "?sslmode=verify-full&sslrootcert=FILE to it, with the authority of the database's "
            "certificate (sslrootcert=system for a public one), or ?sslmode=disable if no others "
            "can reach the network."
        )
    return make_conninfo("", **{**_DEFAULTS, **parameters, "client_encoding": "UTF8"})


def public_url(url: str, setting: str) -> str:
    """Returns the URL with hosts, ports and the database only.

    Raises:
        ConfigError: the URL is not valid.
    """
    parameters = _parse(url, setting)
    ports = parameters.get("port", "").split(",")
    hosts = _hosts(parameters)
    places = [
        f"{_in_url(host)}:{port}" if port else _in_url(host)
        for host, port in zip(hosts, ports * len(hosts) if len(ports) == 1 else ports, strict=False)
    ]
    database = parameters.get("dbname", "")
    if hosts[0].startswith("/"):
        return f"{SCHEME}/{database}?host={','.join(hosts)}"
    return f"{SCHEME}{','.join(places)}/{database}"


def _parse(url: str, setting: str) -> dict[str, str]:
    try:
        parameters = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        # The message of libpq quotes the part that it cannot read, which may be the password.
        raise ConfigError(
            f"{setting}: the URL is not valid. Use postgresql://USER:PASSWORD@HOST:PORT/DATABASE, "
            "with %-escapes for special characters in the user and the password."
        ) from None
    return {name: str(value) for name, value in parameters.items()}


def _hosts(parameters: Mapping[str, str]) -> list[str]:
    hosts = parameters.get("hostaddr") or parameters.get("host") or os.environ.get("PGHOST", "")
    return hosts.split(",")


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _is_local(host: str) -> bool:
    """Returns whether a host is a Unix socket, which is the default, or a loopback address."""
    if not host or host == "localhost" or host.startswith(("/", "@")):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
