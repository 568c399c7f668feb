"""Splunk's HTTP Event Collector (HEC)."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, ClassVar, Final

from pdp.export.siem.base import BatchRefused, DeliveryFailed, Event, Refusal, Spec
from pdp.export.siem.environment import Environment, EnvironmentVariable, shown_url
from pdp.export.siem.http import Http, json_of
from pdp.export.siem.text import compact

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

VARIABLES: Final = (
    EnvironmentVariable(
        "SPLUNK_HEC_URL", "address of the collector, such as `https://host:8088`", "", True
    ),
    EnvironmentVariable("SPLUNK_HEC_TOKEN", "token of the collector", "", True, True),
    EnvironmentVariable("SPLUNK_HEC_INDEX", "index; the token's own where it is not set"),
    EnvironmentVariable("SPLUNK_HEC_SOURCE", "source", "pdp"),
    EnvironmentVariable("SPLUNK_HEC_SOURCETYPE", "source type", "ocsf:json"),
    EnvironmentVariable("SPLUNK_HEC_TLS_VERIFY", "whether the certificate is checked", "true"),
)
_PATHS: Final = ("/services/collector/event", "/services/collector")
_SUCCESS: Final = 0
_INCORRECT_INDEX: Final = '"code":7'
"""The index is not one of the token's: that is our setting's fault, and no event's."""


class SplunkHECConnector:
    """Sends events to the collector, each with its own time."""

    max_events: ClassVar[int] = 100
    max_bytes: ClassVar[int] = 800_000
    """The collector takes 1 MB by default."""

    def __init__(self, environment: Environment) -> None:
        url = environment.url("SPLUNK_HEC_URL")
        for path in _PATHS:
            url = url.removesuffix(path)
        self._url = url
        self._headers = {
            "authorization": f"Splunk {environment.text('SPLUNK_HEC_TOKEN')}",
            "content-type": "application/json",
        }
        self._index = environment.text("SPLUNK_HEC_INDEX")
        about = {
            "host": socket.gethostname(),
            "source": environment.text("SPLUNK_HEC_SOURCE"),
            "sourcetype": environment.text("SPLUNK_HEC_SOURCETYPE"),
            "index": self._index,
        }
        self._about = compact({name: value for name, value in about.items() if value})[1:-1]
        self._http = Http(environment, verify=environment.flag("SPLUNK_HEC_TLS_VERIFY"))

    def config_summary(self) -> Mapping[str, str]:
        """Returns where events go."""
        return {"hec_url": shown_url(self._url), "index": self._index}

    async def send(self, events: Sequence[Event]) -> Sequence[Refusal]:
        """Delivers a batch as a row of JSON objects."""
        content = b"\n".join(
            b'{"time":%.3f,%b,"event":%b}' % (event.at, self._about, event.body) for event in events
        )
        try:
            answer = await self._http.deliver(
                "POST", f"{self._url}{_PATHS[0]}", content=content, headers=self._headers
            )
        except BatchRefused as refused:
            if _INCORRECT_INDEX in refused.reason.replace(" ", ""):
                raise DeliveryFailed(refused.reason) from None
            raise
        if json_of(answer).get("code") != _SUCCESS:
            raise DeliveryFailed(self._http.told(answer))
        return ()

    async def check(self) -> str:
        """Asks the collector's own health call."""
        answer = await self._http.ask(
            "GET", f"{self._url}/services/collector/health", headers=self._headers
        )
        if answer.status != 200:  # noqa: PLR2004 - the only good one
            raise DeliveryFailed(self._http.told(answer))
        return ""

    async def close(self) -> None:
        """Closes all connections."""
        await self._http.close()


SPEC: Final = Spec(
    "splunk",
    "Splunk HEC",
    SplunkHECConnector.__name__,
    VARIABLES,
    SplunkHECConnector,
    aliases=("splunk_hec",),
)
