"""Sources of key sets: they refresh the keys in the background, never within a call."""

from __future__ import annotations

import asyncio
import ipaddress
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import urlsplit

import structlog

from pdp.auth.jwks import MAX_JWKS_BYTES, NO_KEYS, KeySet, parse_jwks
from pdp.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

FILE_INTERVAL_S: Final = 1.0
"""Interval of checking a file."""

URL_INTERVAL_S: Final = 300.0
"""Interval of fetching a URL."""

COOLDOWN_S: Final = 10.0
"""Shortest interval of fetching, even if tokens name unknown keys or a fetch fails."""

MAX_STALE_S: Final = 3600.0
"""How long keys stay valid if their URL does not respond, so that withdrawn keys expire."""

TIMEOUT_S: Final = 5.0
"""Timeout of one read from a URL; the whole fetch has twice as long."""

_log: Final = structlog.get_logger("pdp.auth")


class KeySource(Protocol):
    """A source of keys."""

    def current(self) -> KeySet:
        """Returns the valid keys: the same set until they change."""

    def report_unknown_key(self) -> None:
        """Reports a token whose key is not in the set: the keys may have changed."""

    async def start(self) -> None:
        """Reads the keys for the first time.

        Raises:
            ConfigError: a file cannot be used.
        """

    async def follow(self) -> None:
        """Refreshes the keys until cancelled."""


class FixedKeys:
    """Keys that never change."""

    def __init__(self, keys: KeySet) -> None:
        self._keys = keys

    def current(self) -> KeySet:
        """See `KeySource`."""
        return self._keys

    def report_unknown_key(self) -> None:
        """Does nothing: there are no other keys."""

    async def start(self) -> None:
        """Does nothing."""

    async def follow(self) -> None:
        """Does nothing."""


class JwksFile(FixedKeys):
    """A key set in a file, reloaded when the file changes. If that fails, the last keys stay."""

    def __init__(self, path: Path) -> None:
        super().__init__(NO_KEYS)
        self._path = path
        self._stamp: tuple[int, int, int] | None = None

    async def start(self) -> None:
        """Reads the file.

        Raises:
            ConfigError: the file is missing, unreadable or not a key set.
        """
        try:
            self._stamp = self._stat()
            self._keys = parse_jwks(self._path.read_bytes())
        except OSError as error:
            raise ConfigError(
                f"PDP_JWT_JWKS: {self._path} cannot be read: {error.strerror}. Name a file that "
                "this process can read."
            ) from None
        except ValueError as error:
            raise ConfigError(
                f"PDP_JWT_JWKS: {self._path} cannot be used: {error}. Correct it, or name another "
                "file."
            ) from None

    async def follow(self) -> None:
        """See `KeySource`."""
        failing = False
        while True:
            await asyncio.sleep(FILE_INTERVAL_S)
            try:
                stamp = self._stat()
                if stamp != self._stamp:
                    self._keys = parse_jwks(self._path.read_bytes())
                    self._stamp = stamp
                    _log.info("token keys reloaded", keys=len(self._keys))
                failing = False
            except Exception as error:
                # Never give up: without this loop, new keys would not reach this process.
                if not failing:
                    _log.error("token keys cannot be read", reason=str(error))
                failing = True

    def _stat(self) -> tuple[int, int, int]:
        status = self._path.stat()
        return status.st_ino, status.st_mtime_ns, status.st_size


class JwksUrl(FixedKeys):
    """A key set at a URL.

    If the URL does not respond at the start, the server starts nevertheless: API keys work, and
    tokens are refused until the URL responds.
    """

    def __init__(self, url: str) -> None:
        """Takes the URL.

        Raises:
            ConfigError: the URL is not `https`; `http` is accepted only for loopback addresses.
        """
        super().__init__(NO_KEYS)
        _check_url(url)
        self._url = url
        self._fetched_at = 0.0
        self._raw = b""
        self._refresh = asyncio.Event()

    def current(self) -> KeySet:
        """See `KeySource`."""
        if self._keys is not NO_KEYS and time.monotonic() - self._fetched_at > MAX_STALE_S:
            self._keys = NO_KEYS
        return self._keys

    def report_unknown_key(self) -> None:
        """Schedules a fetch soon: the keys may have changed."""
        self._refresh.set()

    async def start(self) -> None:
        """Fetches the keys once."""
        await self._fetch()

    async def follow(self) -> None:
        """See `KeySource`."""
        while True:
            await asyncio.sleep(COOLDOWN_S)
            if self._keys is not NO_KEYS:
                with suppress(TimeoutError):
                    async with asyncio.timeout(URL_INTERVAL_S - COOLDOWN_S):
                        await self._refresh.wait()
            self._refresh.clear()
            await self._fetch()

    async def _fetch(self) -> None:
        import httpx2  # noqa: PLC0415 - slow to import, and only this class needs it

        try:
            async with (
                asyncio.timeout(2 * TIMEOUT_S),
                httpx2.AsyncClient(timeout=TIMEOUT_S, trust_env=False) as client,
                client.stream("GET", self._url, headers=_HEADERS) as response,
            ):
                if response.status_code != _OK:
                    raise ValueError(f"it responds with status {response.status_code}")
                raw = b""
                async for chunk in response.aiter_bytes():
                    raw += chunk
                    if len(raw) > MAX_JWKS_BYTES:
                        break
            keys = parse_jwks(raw)
        except Exception as error:
            # Never give up: without this loop, new keys would not reach this process.
            _log.error("token keys cannot be fetched", url=self._url, reason=repr(error))
            return
        self._fetched_at = time.monotonic()
        if self._raw != raw:
            self._raw, self._keys = raw, keys
            _log.info("token keys fetched", keys=len(keys))
        elif self._keys is NO_KEYS:
            self._keys = keys


_OK: Final = 200
_HEADERS: Final[Mapping[str, str]] = {"accept": "application/jwk-set+json, application/json"}


def key_source(location: str) -> KeySource:
    """Returns the source of the keys at `location`, a file or a URL.

    Raises:
        ConfigError: the URL is not `https`.
    """
    return JwksUrl(location) if "://" in location else JwksFile(Path(location))


def _check_url(url: str) -> None:
    parts = urlsplit(url)
    if parts.username or parts.password:
        raise ConfigError("PDP_JWT_JWKS: the URL has a user name or a password. Remove it.")
    if parts.scheme == "https" and parts.hostname:
        return
    if parts.scheme == "http" and _is_loopback(parts.hostname or ""):
        return
    raise ConfigError(f"PDP_JWT_JWKS: {url} is not an https URL. Use https://…, or a file.")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
