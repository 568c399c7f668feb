"""Where a key set comes from, and how it is kept fresh: beside the calls, never within one."""

from __future__ import annotations

import asyncio
import ipaddress
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import urlsplit

import structlog

from pdp.auth.jwks import MAX_JWKS_BYTES, NO_KEYS, KeySet, parse_jwks
from pdp.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

FILE_INTERVAL_S: Final = 1.0
"""How often a file is looked at."""

URL_INTERVAL_S: Final = 300.0
"""How often an address is asked."""

COOLDOWN_S: Final = 10.0
"""How often at most, whatever unknown keys tokens name; and how soon after a failure."""

MAX_STALE_S: Final = 3600.0
"""How long keys count whose address does not answer: else one that was withdrawn would for ever."""

TIMEOUT_S: Final = 5.0
"""How long an address may keep silent; it has twice as long for the whole."""

_log: Final = structlog.get_logger("pdp.auth")


class KeySource(Protocol):
    """Keys, and what keeps them fresh."""

    def current(self) -> KeySet:
        """Returns the keys that count: the same set until they change."""

    def unknown_key(self) -> None:
        """Is told of a token that is signed by a key not among them."""

    async def start(self) -> None:
        """Reads the keys for the first time.

        Raises:
            ConfigError: a file cannot be used.
        """

    async def follow(self) -> None:
        """Keeps the keys fresh, until cancelled."""


class FixedKeys:
    """Keys that stay as they are."""

    def __init__(self, keys: KeySet) -> None:
        self._keys = keys

    def current(self) -> KeySet:
        """See `KeySource`."""
        return self._keys

    def unknown_key(self) -> None:
        """Does nothing: there is nowhere to look for others."""

    async def start(self) -> None:
        """Does nothing."""

    async def follow(self) -> None:
        """Does nothing."""


class JwksFile(FixedKeys):
    """A key set in a file, read again when that changes. A faulty one leaves the last in force."""

    def __init__(self, path: Path) -> None:
        super().__init__(NO_KEYS)
        self._path = path
        self._stamp: tuple[int, int, int] | None = None

    async def start(self) -> None:
        """Reads the file.

        Raises:
            ConfigError: it is missing, unreadable or no key set.
        """
        try:
            self._stamp = self._stat()
            self._keys = parse_jwks(self._path.read_bytes())
        except OSError as error:
            raise ConfigError(f"PDP_JWT_JWKS: {self._path}: {error.strerror}") from None
        except ValueError as error:
            raise ConfigError(f"PDP_JWT_JWKS: {self._path}: {error}") from None

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
                    _log.info("the keys of tokens were read again", keys=len(self._keys))
                failing = False
            except Exception as error:
                # Whatever it is, nothing else would ever bring other keys here.
                if not failing:
                    _log.error("the keys of tokens cannot be read", reason=str(error))
                failing = True

    def _stat(self) -> tuple[int, int, int]:
        found = self._path.stat()
        return found.st_ino, found.st_mtime_ns, found.st_size


class JwksUrl(FixedKeys):
    """A key set at an address.

    Where it does not answer at the start, the server starts all the same: API keys work, tokens
    are refused until it does.
    """

    def __init__(self, url: str) -> None:
        """Takes the address.

        Raises:
            ConfigError: it is not `https`; `http` is for loopback addresses alone.
        """
        super().__init__(NO_KEYS)
        _check_url(url)
        self._url = url
        self._fetched_at = 0.0
        self._raw = b""
        self._wanted = asyncio.Event()

    def current(self) -> KeySet:
        """See `KeySource`."""
        if self._keys is not NO_KEYS and time.monotonic() - self._fetched_at > MAX_STALE_S:
            self._keys = NO_KEYS
        return self._keys

    def unknown_key(self) -> None:
        """Asks the address again, soon: its keys may have changed."""
        self._wanted.set()

    async def start(self) -> None:
        """Asks the address once."""
        await self._fetch()

    async def follow(self) -> None:
        """See `KeySource`."""
        while True:
            await asyncio.sleep(COOLDOWN_S)
            if self._keys is not NO_KEYS:
                try:
                    async with asyncio.timeout(URL_INTERVAL_S - COOLDOWN_S):
                        await self._wanted.wait()
                except TimeoutError:
                    pass
            self._wanted.clear()
            await self._fetch()

    async def _fetch(self) -> None:
        import httpx2  # noqa: PLC0415 - takes longer to load than all else, for those who need it

        try:
            async with (
                asyncio.timeout(2 * TIMEOUT_S),
                httpx2.AsyncClient(timeout=TIMEOUT_S, trust_env=False) as client,
                client.stream("GET", self._url, headers=_HEADERS) as response,
            ):
                if response.status_code != _OK:
                    raise ValueError(f"it answers {response.status_code}")
                raw = b""
                async for chunk in response.aiter_bytes():
                    raw += chunk
                    if len(raw) > MAX_JWKS_BYTES:
                        break
            keys = parse_jwks(raw)
        except Exception as error:
            # Whatever it is, nothing else would ever bring other keys here.
            _log.error("the keys of tokens cannot be fetched", url=self._url, reason=repr(error))
            return
        self._fetched_at = time.monotonic()
        if self._raw != raw:
            self._raw, self._keys = raw, keys
            _log.info("the keys of tokens were fetched", keys=len(keys))
        elif self._keys is NO_KEYS:
            self._keys = keys


_OK: Final = 200
_HEADERS: Final[Mapping[str, str]] = {"accept": "application/jwk-set+json, application/json"}


def key_source(place: str) -> KeySource:
    """Returns the source of keys at `place`: a file, or an address.

    Raises:
        ConfigError: the address is not `https`.
    """
    return JwksUrl(place) if "://" in place else JwksFile(Path(place))


def _check_url(url: str) -> None:
    parts = urlsplit(url)
    if parts.username or parts.password:
        raise ConfigError("PDP_JWT_JWKS: an address must not have a name or a password in it")
    if parts.scheme == "https" and parts.hostname:
        return
    if parts.scheme == "http" and _is_loopback(parts.hostname or ""):
        return
    raise ConfigError("PDP_JWT_JWKS: give a file, or an https address")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
