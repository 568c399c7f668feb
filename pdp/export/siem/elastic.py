"""Elasticsearch, through its bulk API."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any, ClassVar, Final

from pdp.errors import ConfigError
from pdp.export.siem.base import ConnectorSpec, DeliveryFailed, Event, Refusal
from pdp.export.siem.environment import Environment, EnvironmentVariable, public_url
from pdp.export.siem.http import ProductClient, json_object
from pdp.export.siem.text import compact, timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

VARIABLES: Final = (
    EnvironmentVariable("ELASTIC_URL", "URL, such as `https://host:9200`", "", True),
    EnvironmentVariable("ELASTIC_API_KEY", "API key, encoded as Elastic shows it", "", False, True),
    EnvironmentVariable("ELASTIC_USERNAME", "user name, if there is no API key"),
    EnvironmentVariable("ELASTIC_PASSWORD", "password of the user", "", False, True),
    EnvironmentVariable("ELASTIC_INDEX", "index or data stream", "pdp-audit"),
    EnvironmentVariable("ELASTIC_TLS_VERIFY", "whether to verify the certificate", "true"),
)
_EXISTS: Final = 409
_CONFIGURATION: Final = frozenset({401, 403, 404, 429, 502, 503, 504})
"""Item statuses about permissions, the index or the cluster: no event is at fault."""

_NO_CLUSTER_HEALTH: Final = frozenset({403, 404, 405, 410})
"""The API key lacks the permission, or the call does not exist (Elastic serverless)."""


class ElasticConnector:
    """Creates a document for each event. The uid is the document id, so there are no duplicates."""

    max_events: ClassVar[int] = 100
    max_bytes: ClassVar[int] = 5_000_000

    def __init__(self, environment: Environment) -> None:
        self._url = environment.url("ELASTIC_URL")
        self._index = environment.text("ELASTIC_INDEX")
        self._headers = {
            "authorization": _authorization(environment),
            "content-type": "application/x-ndjson",
        }
        self._client = ProductClient(environment, verify=environment.flag("ELASTIC_TLS_VERIFY"))
        self._client.set_token(self._headers["authorization"].partition(" ")[2])

    def config_summary(self) -> Mapping[str, str]:
        """Returns the destination of the events."""
        return {"url": public_url(self._url), "index": self._index}

    async def send(self, events: Sequence[Event]) -> Sequence[Refusal]:
        """Sends a batch. Events that exist already count as delivered."""
        lines: list[bytes] = []
        for event in events:
            lines.append(compact({"create": {"_index": self._index, "_id": event.uid}}))
            stamp = timestamp(event.at).encode()
            lines.append(b'{"@timestamp":"%b",%b' % (stamp, event.body[1:]))
        response = await self._client.deliver(
            "POST", f"{self._url}/_bulk", content=b"\n".join(lines) + b"\n", headers=self._headers
        )
        items = json_object(response).get("items")
        if not isinstance(items, list) or len(items) != len(events):
            raise DeliveryFailed("the answer does not cover every event")
        return [
            Refusal(position, reason)
            for position, item in enumerate(items)
            if (reason := self._refusal(item))
        ]

    def _refusal(self, item: Any) -> str:
        """Returns why an item was refused; empty if it was taken.

        Raises:
            DeliveryFailed: send the whole batch again. Events that exist already are not created
                again.
        """
        result = item.get("create") if isinstance(item, dict) else None
        status = result.get("status") if isinstance(result, dict) else None
        if not isinstance(result, dict) or not isinstance(status, int):
            raise DeliveryFailed("the answer has an item without a status")
        if status < 300 or status == _EXISTS:  # noqa: PLR2004 - success
            return ""
        error = result.get("error")
        kind = error.get("type", "") if isinstance(error, dict) else ""
        text = error.get("reason", "") if isinstance(error, dict) else ""
        reason = self._client.mask(f"status {status} {kind}: {text}")[:300]
        if status in _CONFIGURATION:
            raise DeliveryFailed(reason)
        return reason

    async def check(self) -> str:
        """Checks the health of the cluster, or that it answers if the health is not accessible."""
        response = await self._client.request(
            "GET", f"{self._url}/_cluster/health", headers=self._headers
        )
        if response.status in _NO_CLUSTER_HEALTH:
            response = await self._client.request("GET", f"{self._url}/", headers=self._headers)
        if response.status != 200:  # noqa: PLR2004 - success
            raise DeliveryFailed(self._client.describe(response))
        health = json_object(response).get("status", "green")
        if health == "red":
            raise DeliveryFailed("the cluster health is red")
        return "the cluster health is yellow" if health == "yellow" else ""

    async def close(self) -> None:
        """Closes all connections."""
        await self._client.close()


def _authorization(environment: Environment) -> str:
    if environment.has("ELASTIC_API_KEY"):
        return f"ApiKey {environment.text('ELASTIC_API_KEY')}"
    if not (environment.has("ELASTIC_USERNAME") and environment.has("ELASTIC_PASSWORD")):
        raise ConfigError(
            "ELASTIC_URL is set, but no credentials are set: set ELASTIC_API_KEY, "
            "or ELASTIC_USERNAME and ELASTIC_PASSWORD"
        )
    pair = f"{environment.text('ELASTIC_USERNAME')}:{environment.text('ELASTIC_PASSWORD')}"
    return f"Basic {b64encode(pair.encode()).decode()}"


SPEC: Final = ConnectorSpec(
    "elastic", "Elasticsearch", ElasticConnector.__name__, VARIABLES, ElasticConnector
)
