"""Elasticsearch, by its bulk API."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any, ClassVar, Final

from pdp.errors import ConfigError
from pdp.export.siem.base import DeliveryFailed, Event, Refusal, Spec
from pdp.export.siem.environment import Environment, EnvironmentVariable, shown_url
from pdp.export.siem.http import Http, json_of
from pdp.export.siem.text import compact, timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

VARIABLES: Final = (
    EnvironmentVariable("ELASTIC_URL", "address, such as `https://host:9200`", "", True),
    EnvironmentVariable("ELASTIC_API_KEY", "API key, encoded as Elastic shows it", "", False, True),
    EnvironmentVariable("ELASTIC_USERNAME", "user, where there is no API key"),
    EnvironmentVariable("ELASTIC_PASSWORD", "the user's password", "", False, True),
    EnvironmentVariable("ELASTIC_INDEX", "index or data stream", "pdp-audit"),
    EnvironmentVariable("ELASTIC_TLS_VERIFY", "whether the certificate is checked", "true"),
)
_EXISTS: Final = 409
_NOT_THE_EVENTS: Final = frozenset({401, 403, 404, 429, 502, 503, 504})
"""Statuses of items that speak of rights, of the index and of the cluster."""
_NO_CLUSTER_HEALTH: Final = frozenset({403, 404, 405, 410})
"""A key without the right to ask, and Elastic's serverless offer, which has no such call."""


class ElasticConnector:
    """Creates one document an event; its id is the event's, so that none is there twice."""

    max_events: ClassVar[int] = 100
    max_bytes: ClassVar[int] = 5_000_000

    def __init__(self, environment: Environment) -> None:
        self._url = environment.url("ELASTIC_URL")
        self._index = environment.text("ELASTIC_INDEX")
        self._headers = {
            "authorization": _authorization(environment),
            "content-type": "application/x-ndjson",
        }
        self._http = Http(environment, verify=environment.flag("ELASTIC_TLS_VERIFY"))
        self._http.hide(self._headers["authorization"].partition(" ")[2])

    def config_summary(self) -> Mapping[str, str]:
        """Returns where events go."""
        return {"url": shown_url(self._url), "index": self._index}

    async def send(self, events: Sequence[Event]) -> Sequence[Refusal]:
        """Delivers a batch; what is there already counts as delivered."""
        lines: list[bytes] = []
        for event in events:
            lines.append(compact({"create": {"_index": self._index, "_id": event.uid}}))
            stamp = timestamp(event.at).encode()
            lines.append(b'{"@timestamp":"%b",%b' % (stamp, event.body[1:]))
        answer = await self._http.deliver(
            "POST", f"{self._url}/_bulk", content=b"\n".join(lines) + b"\n", headers=self._headers
        )
        items = json_of(answer).get("items")
        if not isinstance(items, list) or len(items) != len(events):
            raise DeliveryFailed("the answer does not speak of every event")
        return [
            Refusal(position, reason)
            for position, item in enumerate(items)
            if (reason := self._refused(item))
        ]

    def _refused(self, item: Any) -> str:
        """Returns why an item was not taken; empty where it was.

        Raises:
            DeliveryFailed: it is to be sent again, and the batch with it: what of that is there
                already is not created again.
        """
        result = item.get("create") if isinstance(item, dict) else None
        status = result.get("status") if isinstance(result, dict) else None
        if not isinstance(result, dict) or not isinstance(status, int):
            raise DeliveryFailed("the answer has an item without a status")
        if status < 300 or status == _EXISTS:  # noqa: PLR2004 - success
            return ""
        error = result.get("error")
        kind = error.get("type", "") if isinstance(error, dict) else ""
        why = error.get("reason", "") if isinstance(error, dict) else ""
        reason = self._http.scrubbed(f"status {status} {kind}: {why}")[:300]
        if status in _NOT_THE_EVENTS:
            raise DeliveryFailed(reason)
        return reason

    async def check(self) -> str:
        """Asks for the cluster's health, or for its name where that may not be asked."""
        answer = await self._http.ask("GET", f"{self._url}/_cluster/health", headers=self._headers)
        if answer.status in _NO_CLUSTER_HEALTH:
            answer = await self._http.ask("GET", f"{self._url}/", headers=self._headers)
        if answer.status != 200:  # noqa: PLR2004 - the only good one
            raise DeliveryFailed(self._http.told(answer))
        colour = json_of(answer).get("status", "green")
        if colour == "red":
            raise DeliveryFailed("the cluster's health is red")
        return "the cluster's health is yellow" if colour == "yellow" else ""

    async def close(self) -> None:
        """Closes all connections."""
        await self._http.close()


def _authorization(environment: Environment) -> str:
    if environment.has("ELASTIC_API_KEY"):
        return f"ApiKey {environment.text('ELASTIC_API_KEY')}"
    if not (environment.has("ELASTIC_USERNAME") and environment.has("ELASTIC_PASSWORD")):
        raise ConfigError(
            "ELASTIC_URL is set, but no credentials are: set ELASTIC_API_KEY, "
            "or ELASTIC_USERNAME and ELASTIC_PASSWORD"
        )
    pair = f"{environment.text('ELASTIC_USERNAME')}:{environment.text('ELASTIC_PASSWORD')}"
    return f"Basic {b64encode(pair.encode()).decode()}"


SPEC: Final = Spec(
    "elastic", "Elasticsearch", ElasticConnector.__name__, VARIABLES, ElasticConnector
)
