"""The interface that all clients have."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import TracebackType

    from google.protobuf.message import Message

    from pdp.errors import PdpError, Violation
    from pdp.transport.methods import Method


ConnectionProblem = Literal["absent", "tls", "other"]
"""Why a call got no answer: nothing listens at the address; something does, but TLS or its settings
do not fit; or another reason."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The response message of a call, and the metadata that the server sent with it."""

    message: Message
    metadata: Mapping[str, str]


class Client(Protocol):
    """Calls RPCs. It is a context manager that releases its resources at the end."""

    def call(self, name: str, message: Message, tenant_id: str = "") -> Reply:
        """Calls an RPC with a single response.

        Args:
            name: the name of the RPC, for example `Decide`.
            message: the request message.
            tenant_id: the value of the `X-Tenant-ID` metadata; empty to send none.

        Raises:
            CallFailed: the call failed.
        """

    def stream(self, name: str, message: Message, tenant_id: str = "") -> Iterator[Message]:
        """Calls an RPC with a stream of responses, and yields them until the stream ends.

        Args:
            name: as in `call`.
            message: the request message.
            tenant_id: as in `call`.

        Raises:
            CallFailed: the call failed, at its start or later.
        """

    def __enter__(self) -> Self:
        """Returns itself."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Releases the resources."""


class CallFailed(Exception):
    """A call failed.

    Attributes:
        code: the error reason, for example `INVALID_ARGUMENT`.
        message: a sentence for people.
        details: the fields at fault.
        unavailable: whether the server or the database is at fault, and not the request.
        server: the address of the server that sent the error; empty if none did.
        connection: why there was no answer; None if there was one.
        tls: whether the connection was by TLS.
    """

    def __init__(
        self,
        code: str,
        message: str,
        details: Sequence[Violation] = (),
        *,
        unavailable: bool,
        server: str = "",
        connection: ConnectionProblem | None = None,
        tls: bool = False,
    ) -> None:
        super().__init__(message)
        self.server = server
        self.connection = connection
        self.tls = tls
        self.code = code
        self.message = message
        self.details = tuple(details)
        self.unavailable = unavailable

    @classmethod
    def of(cls, error: PdpError, *, unavailable: bool = False) -> CallFailed:
        """Returns the failure that corresponds to `error`."""
        return cls(error.reason, error.message, error.violations, unavailable=unavailable)

    def envelope(self) -> dict[str, Any]:
        """Returns the error in the form of the HTTP API."""
        details = [{"field": field, "reason": reason} for field, reason in self.details]
        return {"error": {"code": self.code, "message": self.message, "details": details}}


@cache
def rpc(name: str) -> Method:
    """Returns the RPC with a name.

    Raises:
        LookupError: there is no such RPC.
    """
    from pdp.transport.methods import methods  # noqa: PLC0415 - loads all contracts

    for method in methods():
        if method.name == name:
            return method
    raise LookupError(name)
