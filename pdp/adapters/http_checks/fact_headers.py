"""The headers in which a gateway describes a request, if it sends no body."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp.transport.http.decoded_headers import DecodedHeaders
from pdp.transport.http.fact_headers import (
    GROUPS,
    PREFIX,
    TOKENS,
    listed,
    read_facts,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

SUPPORTED: Final = "x-pdp-supported-obligations"
MAX_SUPPORTED: Final = 16

_OTHERS: Final = (SUPPORTED, TOKENS)
"""Headers that stand beside a body, too."""

_FACTS: Final = (
    "user",
    GROUPS,
    "agent",
    "customer",
    "session",
    "direction",
    "channel",
    "provider",
    "model",
    "action",
    "tool",
    "resource-type",
    "resource-id",
)


def described(headers: Mapping[str, str]) -> bool:
    """Returns whether headers describe a request."""
    return any(name.startswith(PREFIX) and name not in _OTHERS for name in headers)


def supported_obligations(headers: Mapping[str, str]) -> frozenset[str]:
    """Returns the obligations that the caller carries out."""
    return frozenset(listed(DecodedHeaders(headers).get(SUPPORTED, ""), SUPPORTED, MAX_SUPPORTED))


def read_headers(headers: Mapping[str, str]) -> pb.DecideRequest:
    """Returns the request that headers describe.

    Args:
        headers: by lower-case name. Values are UTF-8, and may be percent-encoded.

    Raises:
        InvalidArgument: a header is unknown, was sent twice, or cannot be read.
    """
    request = pb.DecideRequest()
    read_facts(request, headers, _FACTS, _OTHERS)
    return request
