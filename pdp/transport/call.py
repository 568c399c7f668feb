"""One call, whatever transport it came by."""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from google.protobuf.message import Message

from pdp.auth.principal import ANONYMOUS, Principal
from pdp.transport.methods import Method

TransportName = Literal["grpc", "http"]


@dataclass(slots=True)
class Call:
    """What is known of a call besides its message. The chain fills in the lower half.

    Attributes:
        method: the RPC.
        metadata: gRPC metadata or HTTP headers, names in lower case.
        transport: how it came.
        deadline: when the caller stops waiting, by `time.monotonic`; None for never.
        request_id: the caller's or one of ours.
        principal: who calls.
        tenant_id: the tenant that the call acts for.
        reply: metadata or headers for the answer.
    """

    method: Method
    metadata: Mapping[str, str]
    transport: TransportName
    deadline: float | None = None
    request_id: str = ""
    principal: Principal = ANONYMOUS
    tenant_id: str = ""
    reply: dict[str, str] = field(default_factory=dict)

    def remaining(self, at_most: float) -> float:
        """Returns the seconds left to the deadline, at most `at_most`."""
        if self.deadline is None:
            return at_most
        return min(at_most, max(0.0, self.deadline - time.monotonic()))


Endpoint = Callable[[Call, Message], Awaitable[Message]]
"""Answers one message; raises `PdpError`."""


def new_id() -> str:
    """Returns a new id: a UUID of version 7 (RFC 9562), so ids sort by time."""
    stamp = f"{time.time_ns() // 1_000_000:012x}"
    bits = f"{random.getrandbits(74):019x}"  # noqa: S311 - unique, not secret
    variant = "89ab"[int(bits[0], 16) & 3]
    return f"{stamp[:8]}-{stamp[8:]}-7{bits[1:4]}-{variant}{bits[4:7]}-{bits[7:]}"
