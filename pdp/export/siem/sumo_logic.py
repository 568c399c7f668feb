"""Sumo Logic, through an HTTP source. The URL of the source is its credential."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final
from urllib.parse import urlsplit

from pdp.export.siem.base import ConnectorSpec, DeliveryFailed, Event, Refusal
from pdp.export.siem.environment import Environment, EnvironmentVariable
from pdp.export.siem.http import ProductClient

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

VARIABLES: Final = (
    EnvironmentVariable("SUMO_LOGIC_URL", "URL of the HTTP source, with its token", "", True, True),
    EnvironmentVariable("SUMO_LOGIC_CATEGORY", "source category; by default that of the source"),
    EnvironmentVariable("SUMO_LOGIC_NAME", "source name; by default that of the source"),
    EnvironmentVariable("SUMO_LOGIC_HOST", "source host; by default that of the source"),
)
_HEADERS: Final = {
    "x-sumo-category": "SUMO_LOGIC_CATEGORY",
    "x-sumo-name": "SUMO_LOGIC_NAME",
    "x-sumo-host": "SUMO_LOGIC_HOST",
}


class SumoLogicConnector:
    """Sends events as JSON lines."""

    max_events: ClassVar[int] = 100
    max_bytes: ClassVar[int] = 900_000
    """The source expects 100 kB to 1 MB per call."""

    def __init__(self, environment: Environment) -> None:
        self._url = environment.url("SUMO_LOGIC_URL")
        self._category = environment.text("SUMO_LOGIC_CATEGORY")
        headers = {
            header: environment.text(name)
            for header, name in _HEADERS.items()
            if environment.has(name)
        }
        self._headers = {"content-type": "application/json", **headers}
        self._client = ProductClient(environment)

    def config_summary(self) -> Mapping[str, str]:
        """Returns the destination of the events: the host only, as the path is the credential."""
        parts = urlsplit(self._url)
        return {"host": parts.hostname or "", "category": self._category}

    async def send(self, events: Sequence[Event]) -> Sequence[Refusal]:
        """Sends a batch, one event per line."""
        content = b"\n".join(event.body for event in events)
        await self._client.deliver("POST", self._url, content=content, headers=self._headers)
        return ()

    async def check(self) -> str:
        """Posts an empty body, because the source has no health endpoint."""
        response = await self._client.request("POST", self._url, headers=self._headers)
        if response.status != 200:  # noqa: PLR2004 - success
            raise DeliveryFailed(self._client.describe(response))
        return ""

    async def close(self) -> None:
        """Closes all connections."""
        await self._client.close()


SPEC: Final = ConnectorSpec(
    "sumo_logic", "Sumo Logic", SumoLogicConnector.__name__, VARIABLES, SumoLogicConnector
)
