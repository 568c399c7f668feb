"""Headers that responses share."""

from __future__ import annotations

from typing import Final

Header = tuple[bytes, bytes]

NOSNIFF: Final[Header] = (b"x-content-type-options", b"nosniff")
UNCACHED: Final[tuple[Header, ...]] = ((b"cache-control", b"no-store"), NOSNIFF)
JSON_HEADERS: Final[tuple[Header, ...]] = ((b"content-type", b"application/json"), *UNCACHED)

NDJSON: Final = "application/x-ndjson"
