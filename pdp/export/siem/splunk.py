"""Splunk's HTTP Event Collector (HEC)."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, ClassVar, Final

from pdp.export.siem.base import BatchRefused, ConnectorSpec, DeliveryFailed, Event, Refusal
from pdp.export.siem.environment import Environment, EnvironmentVariable, public_url
from pdp.export.siem.http import ProductClient, json_object
from pdp.export.siem.text import compact

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

VARIABLES: Final = (
    EnvironmentVariable(
        "SPLUNK_HEC_URL", "URL of the collector, such as `https://host:8088`", "", True
    ),
    EnvironmentVariable("SPLUNK_HEC_TOKEN", "token of the collector", "", True, True),
    EnvironmentVariable("SPLUNK_HEC_INDEX", "index; by default that of the token"),
    EnvironmentVariable("SPLUNK_HEC_SOURCE", "source", "pdp"),
    EnvironmentVariable("SPLUNK_HEC_SOURCETYPE", "source type", "ocsf:json"),
    EnvironmentVariable("SPLUNK_HEC_TLS_VERIFY", "whether to verify the certificate", "true"),
)
_PATHS: Final = ("/services/collector/event", "/services/collector")
_SUCCESS: Final = 0
_INCORRECT_INDEX: Final = '"code":7'
"""The token does not allow the index: the setting is at fault, not the event."""


class SplunkHECConnector:
    """Sends events to the collector, each with its time."""

    max_events: ClassVar[int] = 100
    max_bytes: ClassVar[int] = 800_000
    """The collector accepts 1 MB by default."""

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
        common = {
            "host": socket.gethostname(),
            "source": environment.text("SPLUNK_HEC_SOURCE"),
            "sourcetype": environment.text("SPLUNK_HEC_SOURCETYPE"),
            "index": self._index,
        }
        self._common_fields = compact({name: value for name, value in common.items() if value})[
            1:-1
        ]
        self._client = ProductClient(environment, verify=environment.flag("SPLUNK_HEC_TLS_VERIFY"))

    def config_summary(self) -> Mapping[str, str]:
        """Returns the destination of the events."""
        return {"hec_url": public_url(self._url), "index": self._index}

    async def send(self, events: Sequence[Event]) -> Sequence[Refusal]:
        """Sends a batch as a sequence of JSON objects."""
        content = b"\n".join(
            b'{"time":%.3f,%b,"event":%b}' % (event.at, self._common_fields, event.body)
            for event in events
        )
        try:
            response = await self._client.deliver(
                "POST", f"{self._url}{_PATHS[0]}", content=content, headers=self._headers
            )
        except BatchRefused as refused:
            if _INCORRECT_INDEX in refused.reason.replace(" ", ""):
                raise DeliveryFailed(refused.reason) from None
            raise
        if json_object(response).get("code") != _SUCCESS:
            raise DeliveryFailed(self._client.describe(response))
        return ()

    async def check(self) -> str:
        """Calls the health endpoint of the collector."""
        response = await self._client.request(
            "GET", f"{self._url}/services/collector/health", headers=self._headers
        )
        if response.status != 200:  # noqa: PLR2004 - success
            raise DeliveryFailed(self._client.describe(response))
        return ""

    async def close(self) -> None:
        """Closes all connections."""
        await self._client.close()


SPEC: Final = ConnectorSpec(
    "splunk",
    "Splunk HEC",
    SplunkHECConnector.__name__,
    VARIABLES,
    SplunkHECConnector,
    aliases=("splunk_hec",),
)
