"""One call, whatever transport it came by."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from google.protobuf.message import Message

from pdp.auth.principal import ANONYMOUS, Principal

if TYPE_CHECKING:
    from pdp.domain.request import Request
    from pdp.transport.methods import Method

TransportName = Literal["grpc", "http", "local"]


class Session:
    """What the messages of one streaming call have in common.

    Attributes:
        state: whatever handlers keep from one message to the next.
    """

    __slots__ = ("_ends", "state")

    def __init__(self) -> None:
        self.state: dict[str, Any] = {}
        self._ends: list[Callable[[], None]] = []

    def at_end(self, do: Callable[[], None]) -> None:
        """Has `do` called when the call ends, however it does."""
        self._ends.append(do)

    def end(self) -> None:
        """Calls what is to be called."""
        for do in self._ends:
            do()


@dataclass(slots=True)
class Call:
    """What is known of a call besides its message. The chain fills in the lower half.

    Attributes:
        method: the RPC.
        metadata: gRPC metadata or HTTP headers, names in lower case.
        transport: how it came.
        deadline: when the caller stops waiting, by `time.monotonic`; None for never.
        request_id: the caller's or one of ours.
        peer: the names in the client's certificate, where the connection has one.
        principal: who calls.
        admitted: it has passed what is asked before its message is read.
        still_counts: asks again whether its credential does, for what is sent long after that;
            raises `Unauthenticated` where it does not.
        tenant_id: the tenant that the call acts for.
        request: the request in the message, if the handler's check converts it.
        session: of a streaming call, what its messages have in common.
        reply: metadata or headers for the answer.
        stream: what is sent after the guards have passed, where the answer is a stream; the
            handler sets it, and what it returns itself is not sent.
    """

    method: Method
    metadata: Mapping[str, str]
    transport: TransportName
    deadline: float | None = None
    request_id: str = ""
    peer: tuple[str, ...] = ()
    principal: Principal = ANONYMOUS
    admitted: bool = False
    still_counts: Callable[[Call], None] | None = None
    tenant_id: str = ""
    request: Request | None = None
    session: Session | None = None
    reply: dict[str, str] = field(default_factory=dict)
    stream: AsyncIterator[Message] | None = None

    def remaining(self, at_most: float) -> float:
        """Returns the seconds left to the deadline, at most `at_most`."""
        if self.deadline is None:
            return at_most
        return min(at_most, max(0.0, self.deadline - time.monotonic()))


def joined(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Returns metadata or headers by name; values of a name that came twice are joined by commas.

    So two tenants, or two credentials, are neither of the two: nothing hangs on which came last.
    """
    found: dict[str, str] = {}
    for name, value in pairs:
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


Endpoint = Callable[[Call, Message], Awaitable[Message]]
"""Answers one message; raises `PdpError`."""

Check = Callable[[Call, Message], None]
"""Checks a message before it is handled, and may fill in the call; raises `PdpError`."""


@dataclass(frozen=True, slots=True)
class Handler:
    """How an RPC is handled, if its guards need to know more than its endpoint.

    Attributes:
        handle: answers a message.
        check: validates a message in place of the guard that validates all others.
        weight: returns how many calls a message counts for against the caller's rate.
        settles_tenant: the handler settles the tenant itself, because the message holds a request
            that may name it. The guard settles it only if a header or the credential names it.
    """

    handle: Endpoint
    check: Check | None = None
    weight: Callable[[Message], int] | None = None
    settles_tenant: bool = False
