"""A call, independent of its transport, and how it is handled."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from google.protobuf.message import Message

from pdp.auth.principal import ANONYMOUS, Principal

if TYPE_CHECKING:
    from pdp.domain.request import Request
    from pdp.domain.write_warning import WriteWarning
    from pdp.transport.methods import Method

OVERLAPPING: Final = 32
"""How many messages of a stream are handled while answers wait, after the last that had to wait.
To be ready for that costs each of them about as much as its evaluation."""

TransportName = Literal["grpc", "http", "local"]


class Session:
    """What the messages of one streaming call share.

    Attributes:
        state: what handlers keep from one message to the next.
        overlapping: how many of the next messages are handled while answers wait. It begins anew
            when an answer has to wait for its record.
    """

    __slots__ = ("_ends", "overlapping", "state")

    def __init__(self) -> None:
        self.state: dict[str, Any] = {}
        self.overlapping = 0
        self._ends: list[Callable[[], None]] = []

    def at_end(self, do: Callable[[], None]) -> None:
        """Calls `do` when the call ends, whether or not it succeeds."""
        self._ends.append(do)

    def end(self) -> None:
        """Calls what `at_end` has registered."""
        for do in self._ends:
            do()


@dataclass(slots=True)
class Call:
    """What is known of a call besides its message. The guards fill in the lower half.

    Attributes:
        method: the RPC.
        metadata: gRPC metadata or HTTP headers, names in lower case.
        transport: the transport that it came by.
        deadline: when the caller stops waiting, by `time.monotonic`; None for never.
        request_id: the caller's id, or a new one.
        peer: the names in the client's certificate, if the connection has one.
        principal: who calls.
        admitted: whether it has passed admission.
        is_counted: whether metrics count it already, if an adapter has made it.
        still_counts: authenticates again, for answers that are sent much later; raises
            `Unauthenticated` if the credential is no longer valid.
        tenant_id: the tenant that the call acts for.
        request: the request in the message, if the handler's check converts it.
        session: shared by the messages of a streaming call.
        begin_next: lets the adapter read the next message of the stream; None if it reads it when
            this one is answered.
        reply: metadata or headers for the answer.
        warnings: the warnings of the write that the call has made.
        stream: the answers, if the answer is a stream. The handler sets it, and the message that
            it returns is not sent.
        target: the raw path and query of an HTTP request; empty for other transports.
        list_field: if not empty, `stream` is the rest of a list: each of its messages has more
            items of this field. The message that the handler returns is sent, with all items.
    """

    method: Method
    metadata: Mapping[str, str]
    transport: TransportName
    deadline: float | None = None
    request_id: str = ""
    peer: tuple[str, ...] = ()
    principal: Principal = ANONYMOUS
    admitted: bool = False
    is_counted: bool = False
    still_counts: Callable[[Call], None] | None = None
    tenant_id: str = ""
    request: Request | None = None
    session: Session | None = None
    begin_next: Callable[[], None] | None = None
    reply: dict[str, str] = field(default_factory=dict)
    warnings: tuple[WriteWarning, ...] = ()
    stream: AsyncIterator[Message] | None = None
    target: str = ""
    list_field: str = ""

    def note_decided(self, *, waits: bool) -> None:
        """Notes that a message of a stream is decided, and whether it waits for its record."""
        session = self.session
        if session is not None:
            session.overlapping = OVERLAPPING if waits else max(0, session.overlapping - 1)
        if waits and self.begin_next is not None:
            self.begin_next()

    def remaining(self, at_most: float) -> float:
        """Returns the seconds left to the deadline, at most `at_most`."""
        if self.deadline is None:
            return at_most
        return min(at_most, max(0.0, self.deadline - time.monotonic()))


def joined(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Returns metadata or headers by name; the values of a repeated name are joined by commas.

    Two tenants, or two credentials, are then neither of the two: the last one does not win.
    """
    values: dict[str, str] = {}
    for name, value in pairs:
        values[name] = f"{values[name]}, {value}" if name in values else value
    return values


Endpoint = Callable[[Call, Message], Awaitable[Message]]
"""Answers one message; raises `PdpError`."""

MessageCheck = Callable[[Call, Message], None]
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
    check: MessageCheck | None = None
    weight: Callable[[Message], int] | None = None
    settles_tenant: bool = False
