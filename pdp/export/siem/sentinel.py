"""Microsoft Sentinel, through the Logs Ingestion API of Azure Monitor."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, ClassVar, Final
from urllib.parse import quote, urlencode

from pdp.export.siem.base import ConnectorSpec, DeliveryFailed, Event, Refusal
from pdp.export.siem.environment import Environment, EnvironmentVariable, public_url
from pdp.export.siem.http import ProductClient, json_object, retry_after
from pdp.export.siem.text import timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

VARIABLES: Final = (
    EnvironmentVariable(
        "SENTINEL_ENDPOINT", "URL of the data collection endpoint or rule", "", True
    ),
    EnvironmentVariable(
        "SENTINEL_RULE_ID", "immutable id of the data collection rule, `dcr-…`", "", True
    ),
    EnvironmentVariable("SENTINEL_STREAM", "stream of the rule, such as `Custom-Pdp_CL`", "", True),
    EnvironmentVariable("SENTINEL_TENANT_ID", "id of the directory", "", True),
    EnvironmentVariable("SENTINEL_CLIENT_ID", "id of the application", "", True),
    EnvironmentVariable("SENTINEL_CLIENT_SECRET", "secret of the application", "", True, True),
    EnvironmentVariable(
        "SENTINEL_AUTHORITY", "URL of the token authority", "https://login.microsoftonline.com"
    ),
    EnvironmentVariable("SENTINEL_SCOPE", "scope of tokens", "https://monitor.azure.com/.default"),
)
_API_VERSION: Final = "2023-01-01"
_EARLY_S: Final = 120.0
"""How long before its expiry a token is renewed."""

_UNAUTHORIZED: Final = 401


class SentinelConnector:
    """Sends events as records of a stream, with a token from the client credentials grant."""

    max_events: ClassVar[int] = 100
    max_bytes: ClassVar[int] = 900_000
    """The API accepts 1 MB per call."""

    def __init__(self, environment: Environment) -> None:
        self._endpoint = environment.url("SENTINEL_ENDPOINT")
        self._rule = environment.text("SENTINEL_RULE_ID")
        self._stream = environment.text("SENTINEL_STREAM")
        directory = quote(environment.text("SENTINEL_TENANT_ID"), safe="")
        self._token_url = f"{environment.url('SENTINEL_AUTHORITY')}/{directory}/oauth2/v2.0/token"
        self._grant = urlencode(
            {
                "grant_type": "client_credentials",
                "client_id": environment.text("SENTINEL_CLIENT_ID"),
                "client_secret": environment.text("SENTINEL_CLIENT_SECRET"),
                "scope": environment.text("SENTINEL_SCOPE"),
            }
        ).encode()
        self._token = ""
        self._renew_at = 0.0
        self._client = ProductClient(environment)

    def config_summary(self) -> Mapping[str, str]:
        """Returns the destination of the events."""
        return {
            "endpoint": public_url(self._endpoint),
            "rule_id": self._rule,
            "stream": self._stream,
        }

    async def send(self, events: Sequence[Event]) -> Sequence[Refusal]:
        """Sends a batch as a JSON array. `TimeGenerated` of a record is the time of the event."""
        token = await self._valid_token()
        rule, stream = quote(self._rule, safe=""), quote(self._stream, safe="")
        url = (
            f"{self._endpoint}/dataCollectionRules/{rule}/streams/{stream}"
            f"?api-version={_API_VERSION}"
        )
        records = b",".join(
            b'{"TimeGenerated":"%b",%b' % (timestamp(event.at).encode(), event.body[1:])
            for event in events
        )
        headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        try:
            await self._client.deliver("POST", url, content=b"[%b]" % records, headers=headers)
        except DeliveryFailed as error:
            if f"HTTP {_UNAUTHORIZED}" in error.reason:
                self._renew_at = 0.0  # the token may have been revoked
            raise
        return ()

    async def check(self) -> str:
        """Requests a token, because the API has no health endpoint."""
        self._renew_at = 0.0
        await self._valid_token()
        return ""

    async def _valid_token(self) -> str:
        if monotonic() < self._renew_at:
            return self._token
        response = await self._client.request(
            "POST",
            self._token_url,
            content=self._grant,
            headers={"content-type": "application/x-www-form-urlencoded"},
        )
        if response.status != 200:  # noqa: PLR2004 - success
            raise DeliveryFailed(
                f"no token: {self._client.describe(response)}", retry_after(response)
            )
        document = json_object(response)
        token, lifetime = document.get("access_token"), document.get("expires_in")
        if not isinstance(token, str) or not token:
            raise DeliveryFailed("the answer has no access_token")
        seconds = float(lifetime) if isinstance(lifetime, (int, float)) else 0.0
        self._client.set_token(token)
        self._token, self._renew_at = token, monotonic() + seconds - _EARLY_S
        return token

    async def close(self) -> None:
        """Closes all connections."""
        await self._client.close()


SPEC: Final = ConnectorSpec(
    "sentinel", "Microsoft Sentinel", SentinelConnector.__name__, VARIABLES, SentinelConnector
)
