"""Policy chains: the packs that apply to requests, and how their rules combine."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

KIND: Final = "policy_chain"

ORG: Final = "org"
USER: Final = "user"

FIRST_APPLICABLE: Final = "first_applicable"
DENY_OVERRIDES: Final = "deny_overrides"

MAX_USER_CHAINS: Final = 1000
"""Users of one tenant that have their own chain."""

ORG_ID: Final = "org"
"""The id of a tenant's chain. The id of a user's chain is `USER_PREFIX` and the user id."""

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
        scope: `ORG` for the tenant's chain, `USER` for a user's additional chain.
        user_id: the user of a user's chain.
        combining_algorithm: `FIRST_APPLICABLE` or `DENY_OVERRIDES`.
        packs: sorted by sequence.
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
        stored: tuple[ChainEntry | dict[str, Any], ...] = self.packs  # JSON objects in the store
        entries = [each if isinstance(each, ChainEntry) else ChainEntry(**each) for each in stored]
        object.__setattr__(self, "packs", tuple(sorted(entries, key=lambda each: each.sequence)))


def entity_id(user_id: str) -> str:
    """Returns the id of a user's chain; of the tenant's chain if `user_id` is empty."""
    return USER_PREFIX + user_id if user_id else ORG_ID


def body_of(chain: PolicyChain) -> dict[str, Any]:
    """Returns the fields of `chain` as the store keeps them."""
    return asdict(chain)
