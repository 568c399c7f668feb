"""Posts a message to a webhook, where webhooks may be."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urljoin, urlsplit, urlunsplit

from pdp.export.alerts.addresses import EVERYWHERE, AddressRefused, place_of
from pdp.export.siem.base import BatchRefused, DeliveryFailed
from pdp.export.siem.hiding import Hiding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pdp.export.alerts.addresses import Destination, Reach

MAX_REDIRECTS: Final = 3
_REDIRECTS: Final = frozenset({307, 308})
"""Those that say to send the same again; any other would turn the message into a question."""

_THROTTLED: Final = frozenset({408, 425, 429})
_SHOWN: Final = 100
_READ: Final = 4096
"""Bytes of an answer that are read."""

PATIENCE_S: Final = 15.0
"""How long a post may take, redirects and all: who answers a byte at a time gets no more."""


class Webhooks:
    """Posts to webhooks. Certificates are checked for the webhook's name, whatever its address.

    Args:
        reach: where they may lead.
    """

    def __init__(self, reach: Reach = EVERYWHERE) -> None:
        self._reach = reach
        self._client: Any = None

    async def post(self, url: str, body: bytes) -> None:
        """Posts a message.

        Raises:
            DeliveryFailed: it is to be posted again, perhaps after a while.
            BatchRefused: it never will be taken, or may not be sent there.
        """
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._post(url, body)
        except TimeoutError:
            raise DeliveryFailed("no answer in time") from None

    async def _post(self, url: str, body: bytes) -> None:
        import httpx2  # noqa: PLC0415 - not before there is an alert

        asked = [url]
        for _ in range(MAX_REDIRECTS + 1):
            try:
                place = await place_of(url, self._reach)
                status, target, after_s, text = await self._post_to(url, place, body)
            except AddressRefused as error:
                raise BatchRefused(f"the webhook is refused: {error.reason}") from None
            except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
                # The name alone: messages of errors may hold the address.
                raise DeliveryFailed(type(error).__name__) from None
            if status in _REDIRECTS and target:
                url = urljoin(url, target)
                asked.append(url)
                continue
            if status in range(200, 300):
                return
            reason = f"HTTP {status} {_without_addresses(text, asked)[:_SHOWN]}".rstrip()
            if status in _THROTTLED or status >= 500:  # noqa: PLR2004 - the other's own faults
                raise DeliveryFailed(reason, after_s)
            raise BatchRefused(reason)
        raise BatchRefused(f"more than {MAX_REDIRECTS} redirects")

    async def _post_to(
        self, url: str, place: Destination, body: bytes
    ) -> tuple[int, str, float | None, str]:
        """Posts to an address that was judged; returns status, redirect, Retry-After and text."""
        from pdp.export.siem.http import ProductResponse, retry_after  # noqa: PLC0415 - as above

        parts = urlsplit(url)
        numeric = f"[{place.address}]" if ":" in place.address else place.address
        pinned = urlunsplit(("https", f"{numeric}:{place.port}", parts.path, parts.query, ""))
        headers = {"host": parts.netloc, "content-type": "application/json"}
        async with self._opened().stream(
            "POST",
            pinned,
            content=body,
            headers=headers,
            extensions={"sni_hostname": place.host},
        ) as response:
            text = await _first_words(response)
            answer = ProductResponse(response.status_code, response.headers, b"")
            return (
                response.status_code,
                response.headers.get("location", ""),
                retry_after(answer),
                text,
            )

    def _opened(self) -> Any:
        import httpx2  # noqa: PLC0415 - as above

        if self._client is None:
            self._client = httpx2.AsyncClient(
                timeout=httpx2.Timeout(10.0, connect=5.0),
                verify=ssl.create_default_context(),
                follow_redirects=False,
                # A proxy would resolve the name again, and reach what may not be reached.
                trust_env=False,
                # No connection is used again: it would be one for another name at the address.
                limits=httpx2.Limits(max_keepalive_connections=0),
                # A little that is compressed may be very much.
                headers={"user-agent": "pdp", "accept-encoding": "identity"},
            )
        return self._client

    async def close(self) -> None:
        """Closes all connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()


async def _first_words(response: Any) -> str:
    """Returns the beginning of an answer; the rest, endless or not, is left unread."""
    read = bytearray()
    async for part in response.aiter_raw():
        read += part
        if len(read) >= _READ:
            break
    text = " ".join(read[:_READ].decode("utf-8", "replace").split())
    return "".join(each if each.isprintable() else "?" for each in text)


def _without_addresses(text: str, urls: Sequence[str]) -> str:
    """Returns `text` without what is secret in webhooks: what comes after their hosts."""
    places = [part for each in urls for part in urlsplit(each)[2:4] if len(part) > 1]
    return Hiding(places).hidden(text)
