"""API keys: the holder of a key may do what its role allows, for its tenants (docs/access.md).

A key is `aa_live_`, 12 hexadecimal digits for looking it up, `_`, and 256 random bits. The store
has only the SHA-256 of the key. A fast hash is enough: slow hashes such as argon2 protect passwords
that people choose, but 256 random bits cannot be guessed.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from typing import Any, Final

KIND: Final = "api_key"
"""The kind of the stored entity. Keys belong to the platform: a key may act for several tenants."""

MARK: Final = "aa_live_"
"""The prefix of every key, for people and for scanners of leaked secrets."""

PREFIX_LENGTH: Final = len(MARK) + 12
"""Characters of a key that may be shown; the key is looked up by them."""

KEY_LENGTH: Final = PREFIX_LENGTH + 1 + 43

SECRET_FIELDS: Final = frozenset({"secrets"})
"""Fields that the audit trail never shows."""

MAX_KEYS: Final = 10_000
MAX_TENANTS: Final = 100
"""Tenants that one key can name; `*` means all tenants."""

MAX_SECRETS: Final = 5
"""Secrets of one key that are valid at once, during a rotation."""


@dataclass(frozen=True, slots=True)
class KeySecret:
    """One secret of a key. During a rotation a key has several.

    Attributes:
        prefix: the part that may be shown.
        sha256: the hash of the whole key, in hexadecimal.
        expires_at: when the secret expires, in seconds since the epoch; None if it expires with
            the key.
    """

    prefix: str
    sha256: str
    created_at: float
    expires_at: float | None = None


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key, without its secret text.

    Attributes:
        name: a name for people.
        role: one of `pdp.domain.access.ROLES`.
        tenants: the tenants that it acts for; only `*` for all tenants.
        secrets: oldest first.
        expires_at: when the key expires; None for never.
        created_by: the actor that created it, as in the change log.
        owner: the person who uses the key; empty if a program does.
        created_at, updated_at: seconds since the epoch.
    """

    id: str
    name: str
    role: str
    tenants: tuple[str, ...]
    secrets: tuple[KeySecret, ...]
    expires_at: float | None = None
    created_by: str = ""
    created_at: float = 0.0
    updated_at: float = 0.0
    owner: str = ""

    def __post_init__(self) -> None:
        stored: tuple[KeySecret | dict[str, Any], ...] = self.secrets  # JSON objects in the store
        secrets = [each if isinstance(each, KeySecret) else KeySecret(**each) for each in stored]
        object.__setattr__(self, "secrets", tuple(secrets))
        object.__setattr__(self, "tenants", tuple(self.tenants))

    def expiry_of(self, secret: KeySecret) -> float:
        """Returns when `secret` expires; infinity for never."""
        times = (self.expires_at, secret.expires_at)
        return min((time for time in times if time is not None), default=float("inf"))


def digest(key: str) -> bytes:
    """Returns the hash of a key, which the store has in place of the key."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def body_of(key: ApiKey) -> dict[str, Any]:
    """Returns the fields of `key` as the store keeps them."""
    return asdict(key)
