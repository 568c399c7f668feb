"""Sumo Logic, by an HTTP source. The source's address is its credential."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final
from urllib.parse import urlsplit

from pdp.export.siem.base import DeliveryFailed, Event, Refusal, Spec
from pdp.export.siem.environment import Environment, EnvironmentVariable
from pdp.export.siem.http import Http

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

VARIABLES: Final = (
    EnvironmentVariable(
        "SUMO_LOGIC_URL", "address of the HTTP source, its token included", "", True, True
    ),
    EnvironmentVariable(
        "SUMO_LOGIC_CATEGORY", "source category; the source's own where it is not set"
    ),
    EnvironmentVariable("SUMO_LOGIC_NAME", "source name; the same"),
    EnvironmentVariable("SUMO_LOGIC_HOST", "source host; the same"),
)
_HEADERS: Final = {
    "x-sumo-category": "SUMO_LOGIC_CATEGORY",
    "x-sumo-name": "SUMO_LOGIC_NAME",
    "x-sumo-host": "SUMO_LOGIC_HOST",
}


class SumoLogicConnector:
    """Sends events as lines of JSON."""

    max_events: ClassVar[int] = 100
    max_bytes: ClassVar[int] = 900_000
    """The source wants 100 kB to 1 MB a call."""

    def __init__(self, environment: Environment) -> None:
        self._url = environment.url("SUMO_LOGIC_URL")
        self._category = environment.text("SUMO_LOGIC_CATEGORY")
        given = {
            header: environment.text(name)
            for header, name in _HEADERS.items()
            if environment.has(name)
        }
        self._headers = {"content-type": "application/json", **given}
        self._http = Http(environment)

    def config_summary(self) -> Mapping[str, str]:
        """Returns where events go: the host alone, since the path is the credential."""
        parts = urlsplit(self._url)
        return {"host": parts.hostname or "", "category": self._category}

    async def send(self, events: Sequence[Event]) -> Sequence[Refusal]:
        """Delivers a batch, an event a line."""
        content = b"\n".join(event.body for event in events)
        await self._http.deliver("POST", self._url, content=content, headers=self._headers)
        return ()

    async def check(self) -> str:
        """Posts nothing, which the source takes if it takes anything: it has no health call."""
        answer = await self._http.ask("POST", self._url, headers=self._headers)
        if answer.status != 200:  # noqa: PLR2004 - the only good one
            raise DeliveryFailed(self._http.told(answer))
        return ""

    async def close(self) -> None:
        """Closes all connections."""
        await self._http.close()


SPEC: Final = Spec(
    "sumo_logic", "Sumo Logic", SumoLogicConnector.__name__, VARIABLES, SumoLogicConnector
)
