"""Policy chains (seed 002): the packs that requests go through, and how their rules combine."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

KIND: Final = "policy_chain"

ORG: Final = "org"
USER: Final = "user"

FIRST_APPLICABLE: Final = "first_applicable"
DENY_OVERRIDES: Final = "deny_overrides"

MAX_USER_CHAINS: Final = 1000
"""Users of one tenant who have a chain of their own."""

ORG_ID: Final = "org"
"""The record of a tenant's own chain; a user's is `USER_PREFIX` and the user."""

USER_PREFIX: Final = "user:"


@dataclass(frozen=True, slots=True)
class ChainEntry:
    """A pack's place in a chain."""

    id: str
    pack_id: str
    sequence: int


@dataclass(frozen=True, slots=True)
class PolicyChain:
    """An ordered list of packs.

    Attributes:
        scope: `ORG` for the tenant's own, `USER` for one user's beside it.
        user_id: whose it is, for a user's.
        combining_algorithm: `FIRST_APPLICABLE` or `DENY_OVERRIDES`.
        packs: by sequence.
        created_at, updated_at: seconds since the epoch.
    """

    id: str
    scope: str = ORG
    user_id: str = ""
    combining_algorithm: str = FIRST_APPLICABLE
    packs: tuple[ChainEntry, ...] = ()
    created_at: float = 0.0
    updated_at: float = 0.0

    def __post_init__(self) -> None:
        given: tuple[ChainEntry | dict[str, Any], ...] = self.packs  # as the store keeps them
        entries = [each if isinstance(each, ChainEntry) else ChainEntry(**each) for each in given]
        object.__setattr__(self, "packs", tuple(sorted(entries, key=lambda each: each.sequence)))


def record_id(user_id: str) -> str:
    """Returns the id that a chain is kept under; of the tenant's own where no user is named."""
    return USER_PREFIX + user_id if user_id else ORG_ID


def body_of(chain: PolicyChain) -> dict[str, Any]:
    """Returns the fields of `chain` as the store keeps them."""
    return asdict(chain)
