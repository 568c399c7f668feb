"""Ports of loopback for programs that cannot let the kernel choose one."""

from __future__ import annotations

import socket


def free_port() -> int:
    """Returns a port of loopback that is free now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
