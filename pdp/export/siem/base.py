"""What a connector is: it takes batches of events to a product, and says how that product is."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pdp.export.siem.environment import Environment, EnvironmentVariable


class Event(NamedTuple):
    """One OCSF event on its way.

    Attributes:
        seq: its place in the spool; 0 for one that never was there.
        uid: `metadata.uid`; the same whenever the event is sent again.
        at: its time, in seconds since the epoch.
        body: the event as compact JSON.
    """

    seq: int
    uid: str
    at: float
    body: bytes

    @property
    def document(self) -> dict[str, Any]:
        """The event, read."""
        document: dict[str, Any] = json.loads(self.body)
        return document


class Refusal(NamedTuple):
    """An event of a batch that the product will never take."""

    position: int
    reason: str


class DeliveryFailed(Exception):
    """A batch was not taken, for now: the same batch is sent again.

    Args:
        reason: why, without secrets.
        after_s: how long the product asks to be left alone; None where it does not say.
    """

    def __init__(self, reason: str, after_s: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.after_s = after_s


class BatchRefused(Exception):
    """A batch as it is will never be taken: it is too large, or something in it is wrong."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Connector(Protocol):
    """Takes events to one product. Used by one event loop, one call at a time of each kind."""

    max_events: ClassVar[int]
    max_bytes: ClassVar[int]
    """The most that is given to `send` at once; a single event may be larger than `max_bytes`."""

    def config_summary(self) -> Mapping[str, str]:
        """Returns what admins may see of its settings: nothing in it is secret."""

    async def send(self, events: Sequence[Event]) -> Sequence[Refusal]:
        """Delivers a batch, in order; all of it is taken when this returns, but for the refusals.

        Raises:
            DeliveryFailed: it is to be sent again.
            BatchRefused: it never will be taken as it is.
        """

    async def check(self) -> str:
        """Asks the product how it is; returns what is not quite well with it, empty for nothing.

        Raises:
            DeliveryFailed: it cannot be reached, or does not take events.
        """

    async def close(self) -> None:
        """Gives connections back; the connector may be used again afterwards."""


@dataclass(frozen=True, slots=True)
class Spec:
    """A connector that there is, whether it has settings or not.

    Attributes:
        id: by which it is named in paths.
        display_name: for people.
        connector_type: the class that it is made of.
        variables: the environment variables that it reads.
        make: makes it of them; raises `ConfigError` where they make no sense.
        aliases: other names that it goes by.
    """

    id: str
    display_name: str
    connector_type: str
    variables: tuple[EnvironmentVariable, ...]
    make: Callable[[Environment], Connector]
    aliases: tuple[str, ...] = ()
