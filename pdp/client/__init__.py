"""Ways to call the RPCs: `remote`, a server over gRPC, and `local`, the same endpoints in this
process with no server. The command line and the decision cases know no difference.
"""

from __future__ import annotations

from pdp.client.base import CallFailed, Client, Reply, rpc

__all__ = ["CallFailed", "Client", "Reply", "rpc"]
