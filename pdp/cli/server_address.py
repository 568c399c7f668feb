"""The server that a command calls if no option names one.

This module must stay cheap to import: `pdp health` runs it every few seconds in a container.
"""

from __future__ import annotations

import os
from typing import Final

DEFAULT_SERVER: Final = "127.0.0.1:50051"

LISTEN: Final = "PDP_GRPC_LISTEN"
"""The setting of the server. In a container, and on the page about production, commands have it."""

_ANY: Final = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]", "": "127.0.0.1"}  # noqa: S104 - not bound
"""Addresses to listen on, with the address at which this machine reaches them."""


def server_address(named: str = "") -> str:
    """Returns the address of the server to call.

    Args:
        named: the address that `--server` or `PDP_SERVER` names; empty for none.
    """
    listen = os.environ.get(LISTEN, "")
    if named or not listen:
        return named or DEFAULT_SERVER
    if listen.startswith("unix:"):
        return listen
    host, colon, port = listen.rpartition(":")
    if not colon or not port.isdecimal() or not int(port):
        return DEFAULT_SERVER  # the kernel chooses the port, or the setting cannot be used
    return f"{_ANY.get(host, host)}:{port}"
