"""API keys to principals, from memory: keys are in the platform's policies, as they are in force.

Nothing is cached: a key is looked up by its prefix, hashed and compared, which takes less than a
look-up in a cache. So a key that is revoked counts no more from the moment that its change is in
force, in every worker.
"""

from __future__ import annotations

import time
from hmac import compare_digest
from typing import TYPE_CHECKING, NamedTuple

from pdp.auth.principal import Principal, principal_for
from pdp.auth.rejections import CredentialRejected
from pdp.domain.access import ALL_TENANTS, expand_roles
from pdp.domain.api_key import KEY_LENGTH, PREFIX_LENGTH, digest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pdp.domain.api_key import ApiKey


class _Held(NamedTuple):
    digest: bytes
    until: float
    principal: Principal


class KeyRing:
    """The API keys that count."""

    def __init__(
        self, keys: Callable[[], Mapping[str, ApiKey]], clock: Callable[[], float] = time.time
    ) -> None:
        """Creates a ring.

        Args:
            keys: returns the keys in force by id; the same mapping until one changes.
            clock: returns the time, in seconds since 1970.
        """
        self._keys = keys
        self._clock = clock
        self._seen: Mapping[str, ApiKey] = {}
        self._held: dict[str, _Held] = {}

    def __len__(self) -> int:
        """How many keys count."""
        now = self._clock()
        return sum(
            any(key.expiry_of(secret) > now for secret in key.secrets)
            for key in self._keys().values()
        )

    def principal_of(self, key: str) -> Principal:
        """Returns who holds a key.

        Raises:
            Refused: nobody does, or it counts no more.
        """
        keys = self._keys()
        if keys is not self._seen:
            self._held, self._seen = _by_prefix(keys), keys
        held = self._held.get(key[:PREFIX_LENGTH])
        if held is None or len(key) != KEY_LENGTH or not compare_digest(digest(key), held.digest):
            raise CredentialRejected("unknown")
        if held.until <= self._clock():
            raise CredentialRejected("expired")
        return held.principal


def _by_prefix(keys: Mapping[str, ApiKey]) -> dict[str, _Held]:
    return {
        secret.prefix: _Held(bytes.fromhex(secret.sha256), key.expiry_of(secret), _principal(key))
        for key in keys.values()
        for secret in key.secrets
    }


def _principal(key: ApiKey) -> Principal:
    tenants = None if key.tenants == (ALL_TENANTS,) else frozenset(key.tenants)
    return principal_for(f"key:{key.id}", expand_roles([key.role]), tenants)
