"""The protocol of connectors. A connector delivers batches of events to a product."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pdp.export.siem.environment import Environment, EnvironmentVariable


class Event(NamedTuple):
    """An OCSF event to deliver.

    Attributes:
        seq: its number in the spool; 0 if it bypasses the spool.
        uid: `metadata.uid`; the same if the event is sent again.
        at: its time, in seconds since the epoch.
        body: the event as compact JSON.
    """

    seq: int
    uid: str
    at: float
    body: bytes

    @property
    def document(self) -> dict[str, Any]:
        """The decoded event."""
        document: dict[str, Any] = json.loads(self.body)
        return document


class Refusal(NamedTuple):
    """An event of a batch that the product will never take."""

    position: int
    reason: str


class DeliveryFailed(Exception):
    """A delivery failed for now. The same batch is sent again.

    Args:
        reason: why, without secrets.
        after_s: the pause that the product asks for; None if it does not say.
    """

    def __init__(self, reason: str, after_s: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.after_s = after_s


class BatchRefused(Exception):
    """The product will never take this batch: it is too large, or an event in it is invalid."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Connector(Protocol):
    """Delivers events to a product.

    One event loop uses it, with one call of each kind at a time.
    """

    max_events: ClassVar[int]
    max_bytes: ClassVar[int]
    """The limits of a batch. A single event may be larger than `max_bytes`."""

    def config_summary(self) -> Mapping[str, str]:
        """Returns the settings that admins may see, without secrets."""

    async def send(self, events: Sequence[Event]) -> Sequence[Refusal]:
        """Delivers a batch in order. When it returns, all events are delivered except the refusals.

        Raises:
            DeliveryFailed: send the batch again.
            BatchRefused: the product will never take this batch.
        """

    async def check(self) -> str:
        """Checks the health of the product. Returns a warning; empty if it is healthy.

        Raises:
            DeliveryFailed: the product cannot be reached or does not take events.
        """

    async def close(self) -> None:
        """Closes all connections. The connector may be used again."""


@dataclass(frozen=True, slots=True)
class ConnectorSpec:
    """The specification of a connector, configured or not.

    Attributes:
        id: identifies it in paths.
        display_name: for people.
        connector_type: the name of its class.
        variables: the environment variables that it reads.
        create: creates it; raises `ConfigError` if a variable is invalid.
        aliases: other names of it.
    """

    id: str
    display_name: str
    connector_type: str
    variables: tuple[EnvironmentVariable, ...]
    create: Callable[[Environment], Connector]
    aliases: tuple[str, ...] = ()
