"""An HTTP client for connectors: short time-outs, bounded responses, errors without secrets."""

from __future__ import annotations

import json
import logging
import ssl
from email.utils import parsedate_to_datetime
from time import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import httpx2

from pdp.export.siem.base import BatchRefused, DeliveryFailed
from pdp.export.siem.secret_mask import SecretMask

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pdp.export.siem.environment import Environment

MAX_RESPONSE: Final = 4 * 1024 * 1024
"""The most bytes of a response that are read."""

MAX_RETRY_AFTER_S: Final = 3600.0
MAX_REASON: Final = 200
"""The most characters of a response that an error contains."""

_TIMEOUT: Final = httpx2.Timeout(30.0, connect=5.0)
_OK: Final = range(200, 300)
_THROTTLED: Final = frozenset({408, 425, 429})
_CONFIGURATION: Final = frozenset({401, 403, 404, 405, 407})
"""Statuses about credentials and URLs: no event is at fault."""


# The client logs every URL, and a URL may contain credentials.
logging.getLogger("httpx2").setLevel(logging.WARNING)
logging.getLogger("httpcore2").setLevel(logging.WARNING)


class ProductResponse(NamedTuple):
    """The response of a product."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class ProductClient:
    """A client for one product.

    Args:
        environment: its secrets are masked in errors.
        verify: whether to verify the certificate of the product.
    """

    def __init__(self, environment: Environment, *, verify: bool = True) -> None:
        self._mask = SecretMask(environment.secrets())
        self._verify = verify
        self._client: httpx2.AsyncClient | None = None

    async def request(
        self,
        method: str,
        url: str,
        *,
        content: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> ProductResponse:
        """Sends a request and returns the response, with any status.

        Raises:
            DeliveryFailed: there is no valid HTTP response, or it is too long.
        """
        client = self._open()
        try:
            async with client.stream(method, url, content=content, headers=headers) as response:
                body = bytearray()
                async for part in response.aiter_bytes():
                    body += part
                    if len(body) > MAX_RESPONSE:
                        raise DeliveryFailed(f"the answer is longer than {MAX_RESPONSE} bytes")
                return ProductResponse(response.status_code, response.headers, bytes(body))
        except httpx2.TimeoutException as error:
            raise DeliveryFailed(f"no answer in time ({type(error).__name__})") from error
        except (httpx2.HTTPError, httpx2.StreamError, httpx2.InvalidURL, OSError) as error:
            raise DeliveryFailed(self.mask(f"{type(error).__name__}: {error}")) from error

    async def deliver(
        self, method: str, url: str, *, content: bytes, headers: Mapping[str, str]
    ) -> ProductResponse:
        """Sends a batch and returns the response if its status is a success.

        Raises:
            DeliveryFailed: send the batch again, possibly later or after a change of the settings.
            BatchRefused: the batch itself is at fault.
        """
        response = await self.request(method, url, content=content, headers=headers)
        status = response.status
        if status in _OK:
            return response
        reason = self.describe(response)
        if status in _THROTTLED or status >= 500:  # noqa: PLR2004 - errors of the product
            raise DeliveryFailed(reason, retry_after(response))
        if status in _CONFIGURATION or status < 400:  # noqa: PLR2004 - a redirect: a wrong URL
            raise DeliveryFailed(reason)
        raise BatchRefused(reason)

    def describe(self, response: ProductResponse) -> str:
        """Returns the status and the beginning of the text of a response, without secrets."""
        text = " ".join(response.body[:MAX_RESPONSE].decode("utf-8", "replace").split())
        text = "".join(each if each.isprintable() else "?" for each in text)
        # Truncate last: a truncated secret would not be recognized and masked.
        return f"HTTP {response.status} {self.mask(text)[:MAX_REASON]}".rstrip()

    def set_token(self, token: str) -> None:
        """Masks a token in errors as well. It replaces the previous token."""
        self._mask.set_token(token)

    def mask(self, text: str) -> str:
        """Returns `text` with the secrets of the connector masked."""
        return self._mask.apply(text)

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
                # Credentials must not go to another address.
                follow_redirects=False,
                limits=httpx2.Limits(max_connections=4),
                headers={"user-agent": "pdp"},
            )
        return self._client


def retry_after(response: ProductResponse) -> float | None:
    """Returns the seconds that `Retry-After` asks for, as a number or as a date."""
    value = response.headers.get("retry-after", "").strip()
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


def json_object(response: ProductResponse) -> dict[str, Any]:
    """Returns the body of a response as a JSON object.

    Raises:
        DeliveryFailed: the body is not a JSON object, so another server has answered.
    """
    try:
        value = json.loads(response.body)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise DeliveryFailed(f"HTTP {response.status}, but the answer is not a JSON object")
    return value
