"""The bodies of requests and answers: what can be judged of them, and how many are held at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pdp.errors import (
    InvalidArgument,
    RateLimited,
    RequestTooLarge,
    UnsupportedMediaType,
    Violation,
)
from pdp.payloads.payload import MAX_BODY_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_HELD_BYTES: Final = 256 * 1024 * 1024
"""The bytes of all bodies that are held at once, until they are judged."""

MAX_EXCHANGES: Final = 8192
"""The HTTP requests that are under way at once in ext_proc."""

RETRY_S: Final = 1.0
"""The seconds after which a request that found no room may come again."""


def check_encoding(headers: Mapping[str, str]) -> None:
    """Refuses a body that cannot be read as it is sent.

    Raises:
        UnsupportedMediaType: it is compressed.
    """
    encoding = headers.get("content-encoding", "").strip().lower()
    if encoding not in ("", "identity"):
        raise UnsupportedMediaType(
            "content-encoding: a compressed body cannot be judged; send it without compression"
        )


def check_length(headers: Mapping[str, str], length: int) -> None:
    """Refuses a body that is not whole.

    Args:
        headers: of the message.
        length: the bytes that have come.

    Raises:
        InvalidArgument: Content-Length says another number.
    """
    declared = headers.get("content-length", "").strip()
    if declared and declared != str(length):
        reason = "is not as long as Content-Length says"
        raise InvalidArgument.of(Violation("body", reason))


def check_size(length: int) -> None:
    """Refuses a body that is too large.

    Raises:
        RequestTooLarge: it has more than `MAX_BODY_BYTES`.
    """
    if length > MAX_BODY_BYTES:
        raise RequestTooLarge(f"body: is larger than {MAX_BODY_BYTES} bytes")


def text_of(body: bytes) -> str:
    """Returns the text of a body.

    Raises:
        InvalidArgument: it is empty, or not UTF-8.
    """
    if not body:
        reason = "is empty, and the route has a payload; see docs/integrations/envoy.md"
        raise InvalidArgument.of(Violation("body", reason))
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise InvalidArgument.of(Violation("body", "is not UTF-8")) from None


class Budget:
    """What all HTTP requests together may hold."""

    def __init__(self, max_bytes: int = MAX_HELD_BYTES, max_exchanges: int = MAX_EXCHANGES) -> None:
        """Args:
        max_bytes: the bytes of all bodies.
        max_exchanges: the HTTP requests under way.
        """
        self._max_bytes = max_bytes
        self._max_exchanges = max_exchanges
        self.held = 0
        self.exchanges = 0

    def open(self) -> None:
        """Counts one more HTTP request.

        Raises:
            RateLimited: too many are under way.
        """
        if self.exchanges >= self._max_exchanges:
            raise RateLimited(f"more than {self._max_exchanges} requests are under way", RETRY_S)
        self.exchanges += 1

    def close(self) -> None:
        """Counts one HTTP request less."""
        self.exchanges -= 1

    def take(self, length: int) -> None:
        """Counts more bytes.

        Raises:
            RateLimited: too many are held.
        """
        if self.held + length > self._max_bytes:
            raise RateLimited(f"more than {self._max_bytes} bytes of bodies are held", RETRY_S)
        self.held += length

    def give_back(self, length: int) -> None:
        """Counts fewer bytes."""
        self.held -= length


class HeldBody:
    """A body that is held until it is judged.

    Attributes:
        content: the bytes so far.
    """

    def __init__(self, budget: Budget) -> None:
        """Args:
        budget: what may be held in all.
        """
        self._budget = budget
        self.content = bytearray()

    def add(self, chunk: bytes) -> None:
        """Adds a part.

        Raises:
            RequestTooLarge: the body is too large.
            RateLimited: all bodies together are too large.
        """
        check_size(len(self.content) + len(chunk))
        self._budget.take(len(chunk))
        self.content += chunk

    def release(self) -> bytes:
        """Returns the content, and holds it no longer."""
        content = bytes(self.content)
        self._budget.give_back(len(content))
        self.content.clear()
        return content
