"""What a caller is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol, Self

from pdp.transport.methods import Method, methods

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import TracebackType

    from google.protobuf.message import Message

    from pdp.errors import PdpError, Violation


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: the message, and the metadata that came with it."""

    message: Message
    metadata: Mapping[str, str]


class Client(Protocol):
    """Calls RPCs. A context manager: what it holds is released at the end."""

    def call(self, name: str, message: Message, tenant_id: str = "") -> Reply:
        """Calls one RPC.

        Args:
            name: of the RPC, for instance `Decide`.
            message: its request.
            tenant_id: for the `X-Tenant-ID` metadata; empty for none.

        Raises:
            CallFailed: it could not be carried out.

        """

    def stream(self, name: str, message: Message, tenant_id: str = "") -> Iterator[Message]:
        """Calls an RPC whose answer is a stream, and yields what comes, for as long as it does.

        Args:
            name: as in `call`.
            message: its request.
            tenant_id: as in `call`.

        Raises:
            CallFailed: it could not be carried out, or not to its end.

        """

    def __enter__(self) -> Self:
        """Returns itself."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Releases what it holds."""


class CallFailed(Exception):
    """A call that could not be carried out.

    Attributes:
        code: the error reason, for instance `INVALID_ARGUMENT`.
        message: a sentence for people.
        details: the fields at fault.
        unavailable: not the request was at fault, but whoever was to answer it.

    """

    def __init__(
        self, code: str, message: str, details: Sequence[Violation] = (), *, unavailable: bool
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = tuple(details)
        self.unavailable = unavailable

    @classmethod
    def of(cls, error: PdpError, *, unavailable: bool = False) -> CallFailed:
        """Returns the failure that `error` is."""
        return cls(error.reason, error.message, error.violations, unavailable=unavailable)

    def envelope(self) -> dict[str, Any]:
        """Returns the error as the JSON shim sends it."""
        details = [{"field": field, "reason": reason} for field, reason in self.details]
        return {"error": {"code": self.code, "message": self.message, "details": details}}


@cache
def rpc(name: str) -> Method:
    """Returns the RPC of that name.

    Raises:
        LookupError: there is none.

    """
    for method in methods():
        if method.name == name:
            return method
    raise LookupError(name)
