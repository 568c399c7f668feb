"""HTTP as connectors need it: short patience, bounded answers, errors without secrets."""

from __future__ import annotations

import json
import logging
import ssl
from email.utils import parsedate_to_datetime
from time import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import httpx2

from pdp.export.siem.base import BatchRefused, DeliveryFailed
from pdp.export.siem.hiding import Hiding

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pdp.export.siem.environment import Environment

MAX_ANSWER: Final = 4 * 1024 * 1024
"""Bytes of an answer that are read; a product that says more is not one that we know."""

MAX_RETRY_AFTER_S: Final = 3600.0
SHOWN: Final = 200
"""Characters of an answer that an error shows."""

_TIMEOUT: Final = httpx2.Timeout(30.0, connect=5.0)
_OK: Final = range(200, 300)
_THROTTLED: Final = frozenset({408, 425, 429})
_NOT_OURS: Final = frozenset({401, 403, 404, 405, 407})
"""Statuses that speak of credentials and addresses: no event is at fault."""


# The client logs every address that it asks, and an address may be a credential.
logging.getLogger("httpx2").setLevel(logging.WARNING)
logging.getLogger("httpcore2").setLevel(logging.WARNING)


class ProductResponse(NamedTuple):
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Http:
    """A client for one product.

    Args:
        environment: whose secrets are kept out of errors.
        verify: whether the product's certificate is checked.
    """

    def __init__(self, environment: Environment, *, verify: bool = True) -> None:
        self._hiding = Hiding(environment.secrets())
        self._verify = verify
        self._client: httpx2.AsyncClient | None = None

    async def ask(
        self,
        method: str,
        url: str,
        *,
        content: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> ProductResponse:
        """Sends a request and returns the answer, whatever its status.

        Raises:
            DeliveryFailed: there is none, or it is none of HTTP's, or endless.
        """
        client = self._open()
        try:
            async with client.stream(method, url, content=content, headers=headers) as response:
                body = bytearray()
                async for part in response.aiter_bytes():
                    body += part
                    if len(body) > MAX_ANSWER:
                        raise DeliveryFailed(f"the answer is longer than {MAX_ANSWER} bytes")
                return ProductResponse(response.status_code, response.headers, bytes(body))
        except httpx2.TimeoutException as error:
            raise DeliveryFailed(f"no answer in time ({type(error).__name__})") from error
        except (httpx2.HTTPError, httpx2.StreamError, httpx2.InvalidURL, OSError) as error:
            raise DeliveryFailed(self.scrubbed(f"{type(error).__name__}: {error}")) from error

    async def deliver(
        self, method: str, url: str, *, content: bytes, headers: Mapping[str, str]
    ) -> ProductResponse:
        """Sends a batch; returns the answer where its status is one of success.

        Raises:
            DeliveryFailed: it is to be sent again, perhaps after a while, or when someone has put
                the settings right.
            BatchRefused: it is at fault itself.
        """
        answer = await self.ask(method, url, content=content, headers=headers)
        status = answer.status
        if status in _OK:
            return answer
        reason = self.told(answer)
        if status in _THROTTLED or status >= 500:  # noqa: PLR2004 - the product's own faults
            raise DeliveryFailed(reason, retry_after(answer))
        if status in _NOT_OURS or status < 400:  # noqa: PLR2004 - redirects: not where it lives
            raise DeliveryFailed(reason)
        raise BatchRefused(reason)

    def told(self, answer: ProductResponse) -> str:
        """Returns an answer in a few words, without secrets."""
        text = " ".join(answer.body[:MAX_ANSWER].decode("utf-8", "replace").split())
        text = "".join(each if each.isprintable() else "?" for each in text)
        # Cut last: of a secret that is cut, the rest would not be known for one.
        return f"HTTP {answer.status} {self.scrubbed(text)[:SHOWN]}".rstrip()

    def hide(self, secret: str) -> None:
        """Keeps one more secret out of errors, in place of the last one that was given here."""
        self._hiding.also(secret)

    def scrubbed(self, text: str) -> str:
        """Returns `text` without any secret of the connector."""
        return self._hiding.hidden(text)

    async def close(self) -> None:
        """Closes all connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    def _open(self) -> httpx2.AsyncClient:
        if self._client is None:
            verify: ssl.SSLContext | bool = False
            if self._verify:
                verify = ssl.create_default_context()
            self._client = httpx2.AsyncClient(
                timeout=_TIMEOUT,
                verify=verify,
                # Credentials stay with the address that they were given for.
                follow_redirects=False,
                limits=httpx2.Limits(max_connections=4),
                headers={"user-agent": "pdp"},
            )
        return self._client


def retry_after(answer: ProductResponse) -> float | None:
    """Returns the seconds that `Retry-After` asks for, as a number or as a date."""
    value = answer.headers.get("retry-after", "").strip()
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time()
        except ValueError:
            return None
    if not 0 <= seconds < float("inf"):
        return None
    return min(seconds, MAX_RETRY_AFTER_S)


def json_of(answer: ProductResponse) -> dict[str, Any]:
    """Returns the JSON object that an answer is.

    Raises:
        DeliveryFailed: it is none: whoever answered is not the product.
    """
    try:
        value = json.loads(answer.body)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise DeliveryFailed(f"HTTP {answer.status}, but the answer is no JSON object")
    return value
