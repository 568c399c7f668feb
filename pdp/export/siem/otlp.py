"""OpenTelemetry logs over HTTP (OTLP), for any collector."""

from __future__ import annotations

from time import time_ns
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import unquote

from pdp.errors import ConfigError
from pdp.export.ocsf import schema
from pdp.export.siem.base import ConnectorSpec, Event, Refusal
from pdp.export.siem.environment import Environment, EnvironmentVariable, public_url
from pdp.export.siem.http import ProductClient, json_object
from pdp.export.siem.text import compact

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

VARIABLES: Final = (
    EnvironmentVariable(
        "OTLP_LOGS_ENDPOINT", "URL of the collector, such as `http://host:4318`", "", True
    ),
    EnvironmentVariable(
        "OTLP_LOGS_HEADERS", "headers, such as `name=value,other=value`", "", False, True
    ),
    EnvironmentVariable("OTLP_LOGS_SERVICE", "`service.name` of the resource", "pdp"),
    EnvironmentVariable("OTLP_LOGS_TLS_VERIFY", "whether to verify the certificate", "true"),
)
_PATH: Final = "/v1/logs"
_SEVERITIES: Final = {1: (9, "INFO"), 2: (10, "INFO2"), 3: (13, "WARN"), 4: (17, "ERROR")}
_CRITICAL: Final = (18, "ERROR2")
_SCHEMA: Final = f"https://schema.ocsf.io/{schema.SCHEMA_VERSION}"


class OtlpConnector:
    """Sends events as log records in OTLP/JSON. The body of a log record is the OCSF event."""

    max_events: ClassVar[int] = 100
    max_bytes: ClassVar[int] = 3_000_000

    def __init__(self, environment: Environment) -> None:
        self._url = environment.url("OTLP_LOGS_ENDPOINT").removesuffix(_PATH) + _PATH
        self._service = environment.text("OTLP_LOGS_SERVICE")
        self._headers = {
            **_headers(environment.text("OTLP_LOGS_HEADERS")),
            "content-type": "application/json",
        }
        self._client = ProductClient(environment, verify=environment.flag("OTLP_LOGS_TLS_VERIFY"))

    def config_summary(self) -> Mapping[str, str]:
        """Returns the destination of the events."""
        return {"endpoint": public_url(self._url), "service": self._service}

    async def send(self, events: Sequence[Event]) -> Sequence[Refusal]:
        """Sends a batch as one export request."""
        response = await self._export([_log_record(event) for event in events])
        partial = json_object(response).get("partialSuccess") if response.body else None
        rejected = partial.get("rejectedLogRecords", 0) if isinstance(partial, dict) else 0
        if str(rejected) == "0":
            return ()
        # The protocol does not say which records were rejected, and forbids to send them again.
        message = self._client.mask(str(partial))[:200]
        return [Refusal(each, f"some of the batch: {message}") for each in range(len(events))]

    async def check(self) -> str:
        """Sends an empty export request, because the protocol has no health call."""
        await self._export([])
        return ""

    async def _export(self, records: list[dict[str, Any]]) -> Any:
        resource = {
            "attributes": [
                _attribute("service.name", self._service),
                _attribute("service.version", schema.PRODUCT["version"]),
            ]
        }
        scope = {"name": "pdp.audit", "version": schema.PRODUCT["version"]}
        logs = {
            "resource": resource,
            "scopeLogs": [{"scope": scope, "schemaUrl": _SCHEMA, "logRecords": records}],
        }
        content = compact({"resourceLogs": [logs] if records else []})
        return await self._client.deliver("POST", self._url, content=content, headers=self._headers)

    async def close(self) -> None:
        """Closes all connections."""
        await self._client.close()


def _headers(text: str) -> dict[str, str]:
    headers: dict[str, str] = {}
    for pair in filter(None, (each.strip() for each in text.split(","))):
        name, equals, value = pair.partition("=")
        if not equals or not name.strip():
            raise ConfigError("OTLP_LOGS_HEADERS: write name=value pairs, separated by commas")
        headers[name.strip().lower()] = unquote(value.strip())
    return headers


def _log_record(event: Event) -> dict[str, Any]:
    document = event.document
    number, text = _SEVERITIES.get(document["severity_id"], _CRITICAL)
    return {
        "timeUnixNano": str(document["time"] * 1_000_000),
        "observedTimeUnixNano": str(time_ns()),
        "severityNumber": number,
        "severityText": text,
        "eventName": document["class_name"],
        "body": {"stringValue": event.body.decode()},
        "attributes": [
            _attribute("ocsf.uid", event.uid),
            _attribute("ocsf.class_uid", str(document["class_uid"])),
            _attribute("pdp.tenant_id", document["metadata"]["tenant_uid"]),
        ],
    }


def _attribute(key: str, value: str) -> dict[str, Any]:
    return {"key": key, "value": {"stringValue": value}}


SPEC: Final = ConnectorSpec(
    "otlp", "OpenTelemetry logs", OtlpConnector.__name__, VARIABLES, OtlpConnector
)
