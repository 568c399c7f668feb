"""One call, whatever transport it came by."""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from google.protobuf.message import Message

from pdp.auth.principal import ANONYMOUS, Principal

if TYPE_CHECKING:
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


class _Ids:
    """Makes UUIDs of version 7 (RFC 9562, method 1: a counter in the random bits).

    One is made for every decision, so the counter starts anywhere and then counts: random bits
    and their formatting for each would cost ten times as much.
    """

    __slots__ = ("_count", "_millisecond", "_node", "_prefix")

    def __init__(self) -> None:
        self._node = f"{random.SystemRandom().getrandbits(40):010x}"
        self._count = random.SystemRandom().getrandbits(32)
        self._millisecond = 0
        self._prefix = ""

    def __call__(self) -> str:
        millisecond = time.time_ns() // 1_000_000
        if millisecond != self._millisecond:
            stamp = f"{millisecond:012x}"
            self._millisecond = millisecond
            self._prefix = f"{stamp[:8]}-{stamp[8:]}-7"
        count = self._count = (self._count + 1) & 0xFFFFFFFF
        digits = f"{count:08x}"
        node = self._node
        return f"{self._prefix}{digits[:3]}-8{digits[3:6]}-{digits[6:]}{node}"


new_id: Final = _Ids()
"""Returns a new id, unique across processes; ids sort by the millisecond they were made in."""
