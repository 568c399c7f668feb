"""API keys: who holds one may do what its role says, for its tenants (docs/access.md).

A key is `aa_live_`, 12 hexadecimal digits by which it is found, `_`, and 256 random bits. Of those
the store has the SHA-256 alone. That is enough: slow hashes such as argon2 make up for what people
choose as passwords, and there is no guessing 256 random bits, however fast the hash.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from typing import Any, Final

KIND: Final = "api_key"
"""Keys are the platform's records, for one may act for several tenants."""

MARK: Final = "aa_live_"
"""What every key begins with, for people and for scanners of leaked secrets."""

PREFIX_LENGTH: Final = len(MARK) + 12
"""How much of a key may be shown; it is found by that."""

KEY_LENGTH: Final = PREFIX_LENGTH + 1 + 43

SECRET_FIELDS: Final = frozenset({"secrets"})
"""What of a record no audit trail shows."""

MAX_KEYS: Final = 10_000
MAX_TENANTS: Final = 100
"""Tenants that one key names; `*` stands for all there are."""

MAX_SECRETS: Final = 5
"""Secrets of one key that count at once, while it is rotated."""


@dataclass(frozen=True, slots=True)
class KeySecret:
    """One secret of a key. There are several while the holders of an older one still use it.

    Attributes:
        prefix: what of it is shown.
        sha256: of the whole key, in hexadecimal.
        expires_at: from when it counts no more, in seconds since the epoch; None for when the key
            does.
    """

    prefix: str
    sha256: str
    created_at: float
    expires_at: float | None = None


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key, without what it consists of.

    Attributes:
        name: for people.
        role: one of `pdp.domain.access.ROLES`.
        tenants: those that it acts for; `*` alone for all of them.
        secrets: the newest last.
        expires_at: from when it counts no more; None for never.
        created_by: who made it, as in the change log.
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

    def __post_init__(self) -> None:
        given: tuple[KeySecret | dict[str, Any], ...] = self.secrets  # as the store keeps them
        secrets = [each if isinstance(each, KeySecret) else KeySecret(**each) for each in given]
        object.__setattr__(self, "secrets", tuple(secrets))
        object.__setattr__(self, "tenants", tuple(self.tenants))

    def counts_until(self, secret: KeySecret) -> float:
        """Returns from when `secret` counts no more; infinity for never."""
        ends = (self.expires_at, secret.expires_at)
        return min((end for end in ends if end is not None), default=float("inf"))


def digest(key: str) -> bytes:
    """Returns what a key is known by once it was shown."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def body_of(key: ApiKey) -> dict[str, Any]:
    """Returns the fields of `key` as the store keeps them."""
    return asdict(key)
