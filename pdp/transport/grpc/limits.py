"""The limits of the gRPC server, whichever front it has."""

from __future__ import annotations

from typing import Final

MAX_MESSAGE_BYTES: Final = 8 * 1024 * 1024
"""The largest message, enough for a batch of requests (docs/decide.md, Services)."""

MAX_METADATA_BYTES: Final = 16 * 1024
"""The largest metadata of a call."""

MAX_CONCURRENT_STREAMS: Final = 1024
"""The number of calls that may run at once on one connection."""

HANDSHAKE_TIMEOUT_MS: Final = 20_000
"""How long TLS and the first bytes of HTTP/2 may take."""

KEEPALIVE_TIME_MS: Final = 60_000
"""A peer that sends nothing for this long gets a ping, whether it has open calls or not."""

KEEPALIVE_TIMEOUT_MS: Final = 20_000
"""A peer that does not answer a ping for this long is gone."""
