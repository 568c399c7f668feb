"""Datadog, by its log intake."""

from __future__ import annotations

import re
import socket
from typing import TYPE_CHECKING, ClassVar, Final

from pdp.errors import ConfigError
from pdp.export.siem.base import DeliveryFailed, Event, Refusal, Spec
from pdp.export.siem.environment import Environment, EnvironmentVariable, shown_url
from pdp.export.siem.http import Http, json_of
from pdp.export.siem.text import compact

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

VARIABLES: Final = (
    EnvironmentVariable("DATADOG_API_KEY", "API key", "", True, True),
    EnvironmentVariable("DATADOG_SITE", "site", "datadoghq.com"),
    EnvironmentVariable("DATADOG_SERVICE", "service", "pdp"),
    EnvironmentVariable("DATADOG_TAGS", "tags, such as `env:prod,team:security`"),
    EnvironmentVariable(
        "DATADOG_LOGS_URL", "address of the log intake, behind a proxy; the site's otherwise"
    ),
    EnvironmentVariable(
        "DATADOG_API_URL", "address of the API, behind a proxy; the site's otherwise"
    ),
)
_SITE: Final = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+")


class DatadogConnector:
    """Sends events as logs; the OCSF event is their attribute `ocsf`."""

    max_events: ClassVar[int] = 100
    max_bytes: ClassVar[int] = 4_000_000
    """The intake takes 5 MB a call, and 1 MB a log."""

    def __init__(self, environment: Environment) -> None:
        self._site = environment.text("DATADOG_SITE").lower()
        if not _SITE.fullmatch(self._site):
            raise ConfigError(f'DATADOG_SITE: "{self._site}" is no site such as datadoghq.eu')
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
        about = {
            "ddsource": "pdp",
            "service": self._service,
            "hostname": socket.gethostname(),
            "ddtags": self._tags,
        }
        self._about = compact({name: value for name, value in about.items() if value})[1:-1]
        self._http = Http(environment)

    def config_summary(self) -> Mapping[str, str]:
        """Returns where events go."""
        return {
            "logs_url": shown_url(self._logs),
            "service": self._service,
            "tags": self._tags,
        }

    async def send(self, events: Sequence[Event]) -> Sequence[Refusal]:
        """Delivers a batch as a JSON array of logs."""
        logs = b",".join(
            b'{%b,%b,"ocsf":%b}' % (self._about, _own_fields(event), event.body) for event in events
        )
        await self._http.deliver(
            "POST", f"{self._logs}/api/v2/logs", content=b"[%b]" % logs, headers=self._headers
        )
        return ()

    async def check(self) -> str:
        """Asks whether the API key is valid."""
        answer = await self._http.ask("GET", f"{self._api}/api/v1/validate", headers=self._headers)
        if answer.status != 200 or json_of(answer).get("valid") is not True:  # noqa: PLR2004
            raise DeliveryFailed(self._http.told(answer))
        return ""

    async def close(self) -> None:
        """Closes all connections."""
        await self._http.close()


_STATUSES: Final = {1: "info", 2: "notice", 3: "warning", 4: "error", 5: "critical"}


def _own_fields(event: Event) -> bytes:
    """Returns what Datadog reads of a log itself, as JSON without its braces."""
    document = event.document
    fields = {
        "timestamp": document["time"],
        "status": _STATUSES.get(document["severity_id"], "info"),
        "message": document["message"],
    }
    return compact(fields)[1:-1]


SPEC: Final = Spec("datadog", "Datadog", DatadogConnector.__name__, VARIABLES, DatadogConnector)
