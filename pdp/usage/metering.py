"""What a server needs of its counters of limits, wherever these are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from pdp.domain.decision import Decision
    from pdp.domain.limits import ActiveLimit
    from pdp.domain.request import Request
    from pdp.domain.usage import UsageSnapshot
    from pdp.engine.snapshot import Snapshot


class ChargedRequest(Protocol):
    """A request that was counted before its evaluation; always a tuple."""

    @property
    def request(self) -> Request:
        """The request, with its subjects' usage before the charge."""


class SettlingMeter(Protocol):
    """What all meters of deciders have."""

    def settle(self, charge: Any, decision: Decision) -> None:
        """Takes back what the decided request does not use.

        Args:
            charge: what the same meter has returned.
            decision: the decision.
        """


class CallerMeter(SettlingMeter, Protocol):
    """Counts what limits are checked against, in the caller's thread."""

    def charge(self, snapshot: Snapshot, request: Request) -> ChargedRequest | None:
        """Adds a request to the counters. Returns None if no limit applies to it."""


class LoopMeter(SettlingMeter, Protocol):
    """Counts what limits are checked against, on an event loop.

    What it returns is a tuple, or something to await if replicas count together.
    """

    def charge(
        self, snapshot: Snapshot, request: Request
    ) -> ChargedRequest | Awaitable[ChargedRequest | None] | None:
        """Adds a request to the counters. Returns None if no limit applies to it."""

    def with_usage(self, snapshot: Snapshot, request: Request) -> Request | Awaitable[Request]:
        """Returns the request with its counters as they are; adds nothing."""


@runtime_checkable
class GroupMeter(Protocol):
    """A meter that charges many requests at the price of one."""

    async def charge_all(
        self, snapshot: Snapshot, requests: Sequence[Request]
    ) -> Sequence[ChargedRequest | None]:
        """Adds requests to the counters, in their order; see `LoopMeter.charge`."""

    def is_outdated(self, charge: Any) -> bool:
        """Returns whether a charge found no room, and something was taken back since."""


class Metering(Protocol):
    """The counters of a server, from its start to its end.

    Attributes:
        meter: what the decider calls.
    """

    @property
    def meter(self) -> LoopMeter:
        """See the class."""

    @property
    def unwritten(self) -> int:
        """How many counters have additions that are only in this process."""

    async def start(self) -> None:
        """Makes the counters known.

        Raises:
            ConfigError: they cannot be used with these settings.
            StoreUnavailable: the store cannot be read.
        """

    async def run(self) -> None:
        """Keeps the meter in step with the other processes, until cancelled."""

    async def spent(
        self, tenant_id: str, limits: Sequence[ActiveLimit], *, refresh: bool
    ) -> UsageSnapshot:
        """Returns what the subjects of `limits` have used.

        Args:
            tenant_id: the tenant.
            limits: its limits.
            refresh: whether the counts of other processes must be read first.

        Raises:
            StoreUnavailable: the counters cannot be read.
        """

    async def close(self) -> None:
        """Writes the last additions. If that fails, logs the error and drops them."""
