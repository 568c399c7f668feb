"""User groups: their members, bundles and stricter DLP rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pdp.domain.policy_set import PolicySet

KIND: Final = "user_group"

MAX_GROUPS: Final = 500
"""Groups of one tenant."""

MAX_MEMBERS: Final = 2_000
"""Members of one group."""

MAX_GROUP_BUNDLES: Final = 100
"""Bundles of one group."""

MAX_GROUP_RULES: Final = 100
"""Stricter rules of one group."""


@dataclass(frozen=True, slots=True)
class UserGroup:
    """A group of a tenant's users.

    A request's subject belongs to the group if `subject.groups` has the group's name or id, or if
    its `user_id` is a member.

    The platform ships a few groups. When a tenant changes one of them, it gets its own copy under
    the same id.

    Attributes:
        members: user ids.
        bundle_ids: the compliance bundles that are in force for the group's users.
        dlp_rules: stricter DLP rules for the group's users, each with a `rule_id`, and `enabled`,
            `action_tier` or `confidence_threshold` in place of the rule's own value.
        removed: for a tenant's copy of a platform group: the tenant has deleted the group.
        created_at, updated_at: seconds since the epoch.
    """

    id: str
    name: str
    description: str = ""
    members: Sequence[str] = ()
    bundle_ids: Sequence[str] = ()
    dlp_rules: Sequence[Mapping[str, Any]] = ()
    removed: bool = False
    created_at: float = 0.0
    updated_at: float = 0.0


def all_groups(platform: PolicySet, own: PolicySet) -> dict[str, UserGroup]:
    """Returns a tenant's groups by id: the platform's or the tenant's copies, then its own."""
    groups: dict[str, UserGroup] = {**platform.of_kind(KIND), **own.of_kind(KIND)}
    return {group_id: group for group_id, group in groups.items() if not group.removed}


def body_of(group: UserGroup) -> dict[str, Any]:
    """Returns the fields of `group` as the store keeps them."""
    return {name: getattr(group, name) for name in group.__slots__}
