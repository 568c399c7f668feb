"""Datadog, through its log intake."""

from __future__ import annotations

import re
import socket
from typing import TYPE_CHECKING, ClassVar, Final

from pdp.errors import ConfigError
from pdp.export.siem.base import ConnectorSpec, DeliveryFailed, Event, Refusal
from pdp.export.siem.environment import Environment, EnvironmentVariable, public_url
from pdp.export.siem.http import ProductClient, json_object
from pdp.export.siem.text import compact

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

VARIABLES: Final = (
    EnvironmentVariable("DATADOG_API_KEY", "API key", "", True, True),
    EnvironmentVariable("DATADOG_SITE", "site", "datadoghq.com"),
    EnvironmentVariable("DATADOG_SERVICE", "service", "pdp"),
    EnvironmentVariable("DATADOG_TAGS", "tags, such as `env:prod,team:security`"),
    EnvironmentVariable(
        "DATADOG_LOGS_URL", "URL of the log intake, for a proxy; by default that of the site"
    ),
    EnvironmentVariable(
        "DATADOG_API_URL", "URL of the API, for a proxy; by default that of the site"
    ),
)
_SITE: Final = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+")


class DatadogConnector:
    """Sends events as logs. The attribute `ocsf` of a log is the OCSF event."""

    max_events: ClassVar[int] = 100
    max_bytes: ClassVar[int] = 4_000_000
    """The intake accepts 5 MB per call and 1 MB per log."""

    def __init__(self, environment: Environment) -> None:
        self._site = environment.text("DATADOG_SITE").lower()
        if not _SITE.fullmatch(self._site):
            raise ConfigError(
                f'DATADOG_SITE: "{self._site}" is not a site; write a name such as datadoghq.eu'
            )
        self._logs = f"https://http-intake.logs.{self._site}"
        if environment.has("DATADOG_LOGS_URL"):
            self._logs = environment.url("DATADOG_LOGS_URL")
        self._api = f"https://api.{self._site}"
        if environment.has("DATADOG_API_URL"):
            self._api = environment.url("DATADOG_API_URL")
        self._service = environment.text("DATADOG_SERVICE")
        self._tags = environment.text("DATADOG_TAGS")
        self._headers = {
            "dd-api-key": environment.text("DATADOG_API_KEY"),
            "content-type": "application/json",
        }
        common = {
            "ddsource": "pdp",
            "service": self._service,
            "hostname": socket.gethostname(),
            "ddtags": self._tags,
        }
        self._common_fields = compact({name: value for name, value in common.items() if value})[
            1:-1
        ]
        self._client = ProductClient(environment)

    def config_summary(self) -> Mapping[str, str]:
        """Returns the destination of the events."""
        return {
            "logs_url": public_url(self._logs),
            "service": self._service,
            "tags": self._tags,
        }

    async def send(self, events: Sequence[Event]) -> Sequence[Refusal]:
        """Sends a batch as a JSON array of logs."""
        logs = b",".join(
            b'{%b,%b,"ocsf":%b}' % (self._common_fields, _log_fields(event), event.body)
            for event in events
        )
        await self._client.deliver(
            "POST", f"{self._logs}/api/v2/logs", content=b"[%b]" % logs, headers=self._headers
        )
        return ()

    async def check(self) -> str:
        """Checks that the API key is valid."""
        response = await self._client.request(
            "GET", f"{self._api}/api/v1/validate", headers=self._headers
        )
        if response.status != 200 or json_object(response).get("valid") is not True:  # noqa: PLR2004
            raise DeliveryFailed(self._client.describe(response))
        return ""

    async def close(self) -> None:
        """Closes all connections."""
        await self._client.close()


_STATUSES: Final = {1: "info", 2: "notice", 3: "warning", 4: "error", 5: "critical"}


def _log_fields(event: Event) -> bytes:
    """Returns the attributes that Datadog itself reads, as JSON without the braces."""
    document = event.document
    fields = {
        "timestamp": document["time"],
        "status": _STATUSES.get(document["severity_id"], "info"),
        "message": document["message"],
    }
    return compact(fields)[1:-1]


SPEC: Final = ConnectorSpec(
    "datadog", "Datadog", DatadogConnector.__name__, VARIABLES, DatadogConnector
)
