"""How a follower follows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

DEFAULT_MAX_AGE_S: Final = 3600.0
DEFAULT_MAX_TENANTS: Final = 16
DEFAULT_MAX_UNSENT: Final = 50_000


@dataclass(frozen=True, slots=True)
class FollowOptions:
    """How a follower follows.

    Attributes:
        directory: the directory of policies and records; only its owner may use it.
        max_age_s: how old policies may be, in seconds. Older ones decide nothing.
        signing_key: the public key of the policies, 32 bytes; empty to accept the one that the
            server sends.
        max_tenants: how many tenants it follows at once.
        max_unsent: how many records may wait to be reported. With more, it decides nothing.
        durable: whether a decision waits until its record is on disk.
    """

    directory: Path
    max_age_s: float = DEFAULT_MAX_AGE_S
    signing_key: bytes = b""
    max_tenants: int = DEFAULT_MAX_TENANTS
    max_unsent: int = DEFAULT_MAX_UNSENT
    durable: bool = True
