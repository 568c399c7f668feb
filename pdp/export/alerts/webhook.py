"""Posts messages to webhooks, and checks their addresses before."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urljoin, urlsplit, urlunsplit

from pdp.export.alerts.addresses import ANY_PUBLIC, AddressRefused, resolve
from pdp.export.alerts.failure_words import failure_words
from pdp.export.siem.base import BatchRefused, DeliveryFailed
from pdp.export.siem.secret_mask import SecretMask

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pdp.export.alerts.addresses import AllowedDestinations, Destination

MAX_REDIRECTS: Final = 3
_REDIRECTS: Final = frozenset({307, 308})
"""Redirects that keep the method and the body. Other redirects would turn the POST into a GET."""

_THROTTLED: Final = frozenset({408, 425, 429})
_MAX_REASON: Final = 100
_MAX_READ: Final = 4096
"""The most bytes of a response that are read."""

TIMEOUT_S: Final = 15.0
"""The limit for a post with its redirects, even if the server keeps sending."""


class WebhookClient:
    """Posts to webhooks. The certificate must be valid for the host name of the webhook.

    Args:
        destinations: which webhooks are allowed.
    """

    def __init__(self, destinations: AllowedDestinations = ANY_PUBLIC) -> None:
        self._destinations = destinations
        self._client: Any = None

    async def post(self, url: str, body: bytes) -> None:
        """Posts a message.

        Raises:
            DeliveryFailed: try again, possibly later.
            BatchRefused: do not try again: the webhook refused the message or is not allowed.
        """
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await self._post(url, body)
        except TimeoutError:
            raise DeliveryFailed("no answer in time") from None

    async def _post(self, url: str, body: bytes) -> None:
        import httpx2  # noqa: PLC0415 - not before there is an alert

        urls = [url]
        for _ in range(MAX_REDIRECTS + 1):
            try:
                destination = await resolve(url, self._destinations)
                status, target, after_s, text = await self._post_to(url, destination, body)
            except AddressRefused as error:
                raise BatchRefused(f"the webhook is refused: {error.reason}") from None
            except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
                raise DeliveryFailed(failure_words(error)) from None
            if status in _REDIRECTS and target:
                url = urljoin(url, target)
                urls.append(url)
                continue
            if status in range(200, 300):
                return
            reason = f"HTTP {status} {_mask_urls(text, urls)[:_MAX_REASON]}".rstrip()
            if status in _THROTTLED or status >= 500:  # noqa: PLR2004 - errors of the server
                raise DeliveryFailed(reason, after_s)
            raise BatchRefused(reason)
        raise BatchRefused(f"more than {MAX_REDIRECTS} redirects")

    async def _post_to(
        self, url: str, destination: Destination, body: bytes
    ) -> tuple[int, str, float | None, str]:
        """Posts to a checked address. Returns status, redirect target, Retry-After and text."""
        from pdp.export.siem.http import ProductResponse, retry_after  # noqa: PLC0415 - as above

        parts = urlsplit(url)
        address = destination.address
        numeric = f"[{address}]" if ":" in address else address
        pinned = urlunsplit(("https", f"{numeric}:{destination.port}", parts.path, parts.query, ""))
        headers = {"host": parts.netloc, "content-type": "application/json"}
        async with self._open().stream(
            "POST",
            pinned,
            content=body,
            headers=headers,
            extensions={"sni_hostname": destination.host},
        ) as response:
            text = await _read_beginning(response)
            head = ProductResponse(response.status_code, response.headers, b"")
            return (
                response.status_code,
                response.headers.get("location", ""),
                retry_after(head),
                text,
            )

    def _open(self) -> Any:
        import httpx2  # noqa: PLC0415 - as above

        if self._client is None:
            self._client = httpx2.AsyncClient(
                timeout=httpx2.Timeout(10.0, connect=5.0),
                verify=ssl.create_default_context(),
                follow_redirects=False,
                # A proxy would resolve the name again and bypass the address check.
                trust_env=False,
                # Connections are not reused: they could be for another name at the same address.
                limits=httpx2.Limits(max_keepalive_connections=0),
                # A small compressed response may expand to a very large one.
                headers={"user-agent": "pdp", "accept-encoding": "identity"},
            )
        return self._client

    async def close(self) -> None:
        """Closes all connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()


async def _read_beginning(response: Any) -> str:
    """Returns the beginning of a response. The rest, which may be endless, is not read."""
    content = bytearray()
    async for part in response.aiter_raw():
        content += part
        if len(content) >= _MAX_READ:
            break
    text = " ".join(content[:_MAX_READ].decode("utf-8", "replace").split())
    return "".join(each if each.isprintable() else "?" for each in text)


def _mask_urls(text: str, urls: Sequence[str]) -> str:
    """Masks the secret part of webhook URLs in `text`: everything after the host."""
    secrets = [part for each in urls for part in urlsplit(each)[2:4] if len(part) > 1]
    return SecretMask(secrets).apply(text)
