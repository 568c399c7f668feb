"""The principals of API keys, from memory: the platform's policies in force include the keys.

Nothing is cached. A key is looked up by its prefix, hashed and compared, which is faster than a
cache. So a revoked key is refused as soon as its change is in force, in every worker.
"""

from __future__ import annotations

import math
import time
from hmac import compare_digest
from typing import TYPE_CHECKING, NamedTuple

from pdp.auth.principal import CredentialRejected, Principal, principal_for
from pdp.domain.access import ALL_TENANTS, expand_roles
from pdp.domain.api_key import KEY_LENGTH, PREFIX_LENGTH, digest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pdp.domain.api_key import ApiKey, KeySecret


class _KeyEntry(NamedTuple):
    digest: bytes
    expires_at: float
    principal: Principal


class KeyRing:
    """The valid API keys."""

    def __init__(
        self,
        keys: Callable[[], Mapping[str, ApiKey]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Initialises the key ring.

        Args:
            keys: returns the keys in force by id: the same mapping until a key changes.
            clock: returns the time, in seconds since the epoch.
        """
        self._keys = keys
        self._clock = clock
        self._last_keys: Mapping[str, ApiKey] = {}
        self._entries: dict[str, _KeyEntry] = {}

    def __len__(self) -> int:
        """Returns how many keys are valid."""
        now = self._clock()
        return sum(
            any(key.expiry_of(secret) > now for secret in key.secrets)
            for key in self._keys().values()
        )

    def principal_of(self, key: str) -> Principal:
        """Returns the principal of a key.

        Raises:
            CredentialRejected: the key is unknown or has expired.
        """
        keys = self._keys()
        if keys is not self._last_keys:
            self._entries, self._last_keys = _by_prefix(keys), keys
        entry = self._entries.get(key[:PREFIX_LENGTH])
        if entry is None or len(key) != KEY_LENGTH or not compare_digest(digest(key), entry.digest):
            raise CredentialRejected("unknown")
        if entry.expires_at <= self._clock():
            raise CredentialRejected("expired")
        return entry.principal


def _by_prefix(keys: Mapping[str, ApiKey]) -> dict[str, _KeyEntry]:
    return {
        secret.prefix: _KeyEntry(
            bytes.fromhex(secret.sha256), key.expiry_of(secret), _principal(key, secret)
        )
        for key in keys.values()
        for secret in key.secrets
    }


def _principal(key: ApiKey, secret: KeySecret) -> Principal:
    tenants = None if key.tenants == (ALL_TENANTS,) else frozenset(key.tenants)
    expires_at = key.expiry_of(secret)
    return principal_for(
        f"key:{key.id}",
        expand_roles([key.role]),
        tenants,
        "api_key",
        person=key.owner,
        expires_at=None if math.isinf(expires_at) else expires_at,
    )
