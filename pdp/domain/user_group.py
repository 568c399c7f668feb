"""User groups: who is in them, and which bundles and stricter DLP rules hold for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

KIND: Final = "user_group"


@dataclass(frozen=True, slots=True)
class UserGroup:
    """A group of a tenant's users. A request's subject is in it by naming it (its name or id) in
    `subject.groups`, or by its `user_id` being a member's.

    Attributes:
        members: user ids.
        bundle_ids: the compliance bundles that are in force for the group's users.
        dlp_rules: stricter DLP rules for the group's users, each with `rule_id`, and `enabled`,
            `action_tier` or `confidence_threshold` in place of the rule's own.
        created_at, updated_at: seconds since the epoch.
    """

    id: str
    name: str
    description: str = ""
    members: Sequence[str] = ()
    bundle_ids: Sequence[str] = ()
    dlp_rules: Sequence[Mapping[str, Any]] = ()
    created_at: float = 0.0
    updated_at: float = 0.0


def body_of(group: UserGroup) -> dict[str, Any]:
    """Returns the fields of `group` as the store keeps them."""
    return {name: getattr(group, name) for name in group.__slots__}
