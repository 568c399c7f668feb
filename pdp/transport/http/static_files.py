"""Routes of static files: they are read and compressed once, at the start."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from pdp.transport.http.headers import NOSNIFF, Header
from pdp.transport.http.responses import NOT_MODIFIED, HttpResponse

if TYPE_CHECKING:
    from collections.abc import Mapping
    from importlib.resources.abc import Traversable

    from pdp.transport.http.requests import HttpRequest

StaticRoute = Callable[["HttpRequest", tuple[bytes, ...]], Awaitable[HttpResponse]]
"""Serves a file."""

REVALIDATED: Final = "no-cache"
"""Cache-Control of a file whose content may change: browsers ask by its ETag."""

IMMUTABLE: Final = "public, max-age=31536000, immutable"
"""Cache-Control of a file that has a hash of its content in its name."""

MEDIA_TYPES: Final[Mapping[str, str]] = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".woff2": "font/woff2",
}
"""Media types by the end of a file's name."""

_COMPRESSED: Final = frozenset({".ico", ".png", ".woff2"})
"""Files that gzip does not make smaller."""

_ISOLATED: Final[tuple[Header, ...]] = (
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    NOSNIFF,
)


class _Representation(NamedTuple):
    """A file in one encoding.

    Attributes:
        etag: the value of its ETag.
        headers: what every response has.
        content_headers: `headers`, and those that describe the body.
        body: the encoded bytes.
    """

    etag: str
    headers: tuple[Header, ...]
    content_headers: tuple[Header, ...]
    body: bytes


def static_file(file: Traversable, policy: str, cache_control: str = REVALIDATED) -> StaticRoute:
    """Reads and compresses a file, and returns its route.

    Args:
        file: the file. The end of its name determines the media type.
        policy: the Content-Security-Policy.
        cache_control: the value of Cache-Control.
    """
    suffix = _suffix(file.name)
    body = file.read_bytes()
    digest = hashlib.sha256(body).hexdigest()[:32]
    shared = (
        (b"cache-control", cache_control.encode()),
        (b"content-security-policy", policy.encode()),
        (b"vary", b"Accept-Encoding"),
        *_ISOLATED,
    )
    content_type = (b"content-type", MEDIA_TYPES.get(suffix, "application/octet-stream").encode())
    plain = _representation(f'"{digest}"', shared, (content_type,), body)
    zipped = None
    if suffix not in _COMPRESSED:
        encoded = (content_type, (b"content-encoding", b"gzip"))
        zipped = _representation(f'"{digest}-gzip"', shared, encoded, gzip.compress(body, 6))

    async def serve(request: HttpRequest, _variables: tuple[bytes, ...]) -> HttpResponse:
        chosen = plain
        if zipped is not None and accepts_gzip(request.headers.get("accept-encoding", "")):
            chosen = zipped
        if chosen.etag in request.headers.get("if-none-match", ""):
            return HttpResponse(NOT_MODIFIED, chosen.headers)
        return HttpResponse(200, chosen.content_headers, chosen.body)

    return serve


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether a header Accept-Encoding names gzip, and does not exclude it by `q=0`."""
    for coding in accept_encoding.lower().split(","):
        name, _, parameter = coding.partition(";")
        if name.strip() == "gzip":
            weight = parameter.replace(" ", "").removeprefix("q=")
            return not weight or weight.strip("0.") != ""
    return False


def _suffix(name: str) -> str:
    _, dot, ending = name.rpartition(".")
    return dot + ending


def _representation(
    etag: str, shared: tuple[Header, ...], content: tuple[Header, ...], body: bytes
) -> _Representation:
    headers = ((b"etag", etag.encode()), *shared)
    return _Representation(etag, headers, (*content, *headers), body)
