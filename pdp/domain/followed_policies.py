"""What a follower gets: the policies of a tenant and those that all tenants share.

A follower decides by them in another process, so they have everything that decisions depend on.
They have no credential, no key and no address that a secret may be in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pdp.domain import api_key, org_policy
from pdp.domain.kinds import ENTITY_CLASSES
from pdp.domain.tenant import PLATFORM

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pdp.domain.stored_entity import Change, StoredEntity

FORMAT: Final = 1
"""The version of the policies' form. It rises if a follower must know more to read them."""

FOLLOWED_KINDS: Final = frozenset(ENTITY_CLASSES) - {api_key.KIND}


class FollowedPolicy(NamedTuple):
    """A policy as it is after an update.

    Attributes:
        platform: whether all tenants share it.
        kind: see `FOLLOWED_KINDS`.
        id: its id.
        revision: the revision of its last change.
        body: its fields; None if it was removed.
    """

    platform: bool
    kind: str
    id: str
    revision: int
    body: Mapping[str, Any] | None


class PolicyUpdate(NamedTuple):
    """What has changed in the policies of a tenant, and in those that all tenants share.

    Attributes:
        installation: identifies the database; another one after the restore of a backup.
        tenant_id: the tenant.
        since: the revision that it builds on; 0 if it has all policies.
        revision: the revision of the policies after it.
        policies: those that it adds, changes or removes, in the order of creation or change.
    """

    installation: str
    tenant_id: str
    since: int
    revision: int
    policies: Sequence[FollowedPolicy]


def of_entity(entity: StoredEntity) -> FollowedPolicy:
    """Returns what a follower gets of a stored entity of a followed kind."""
    body = _public(entity.kind, entity.body)
    return FollowedPolicy(
        entity.tenant_id == PLATFORM, entity.kind, entity.id, entity.revision, body
    )


def of_change(change: Change) -> FollowedPolicy:
    """Returns what a follower gets of a change of an entity of a followed kind."""
    body = None if change.after is None else _public(change.kind, change.after)
    return FollowedPolicy(
        change.tenant_id == PLATFORM, change.kind, change.entity_id, change.revision, body
    )


def _public(kind: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
    if kind != org_policy.KIND:
        return body
    rules = org_policy.without_addresses(body.get("alert_rules", ()))
    return {**body, "alert_rules": rules}
