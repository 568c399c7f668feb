"""Clients that call the RPCs: `RemoteClient` calls a server over gRPC, and `LocalClient` calls the
same endpoints in this process, without a server. Both have the interface `Client`.
"""

from __future__ import annotations

from pdp.client.base import CallFailed, Client, Reply, rpc

__all__ = ["CallFailed", "Client", "Reply", "rpc"]
