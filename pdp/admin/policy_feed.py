"""Reads what followers get: all policies of a tenant, or what has changed since a revision."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from pdp.admin.install.keys import installation_of, read_keys, read_signing_key
from pdp.domain.followed_policies import FOLLOWED_KINDS, PolicyUpdate, of_change, of_entity
from pdp.domain.tenant import PLATFORM
from pdp.errors import StoreUnavailable

if TYPE_CHECKING:
    from pdp.admin.workspace import Workspace
    from pdp.domain.followed_policies import FollowedPolicy
    from pdp.store.port import Reader

MAX_CHANGES: Final = 20_000
"""Changes of all tenants that are read for one update. After more, a follower gets all policies."""

_PAGE: Final = 1000


class FeedIdentity(NamedTuple):
    """What identifies the feed to followers.

    Attributes:
        installation: see `PolicyUpdate`.
        signing_key: the private key of its signatures, 32 bytes.
    """

    installation: str
    signing_key: bytes


class PolicyFeed:
    """Reads updates from the store, beside its writes."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    async def identity(self) -> FeedIdentity:
        """Returns what identifies the feed.

        Raises:
            StoreUnavailable: the store cannot be read.
        """

        def work(reader: Reader) -> FeedIdentity:
            return FeedIdentity(installation_of(read_keys(reader)), read_signing_key(reader))

        return await self._workspace.view(work)

    async def since(self, tenant_id: str, installation: str, revision: int) -> PolicyUpdate:
        """Returns what has changed in the policies of a tenant and of the platform.

        It has all policies if the changes are not known any more, or are those of another
        installation.

        Args:
            tenant_id: the tenant.
            installation: the installation of the policies that the follower has.
            revision: their revision.

        Raises:
            StoreUnavailable: the store cannot be read.
        """

        def work(reader: Reader) -> PolicyUpdate:
            return _update(reader, tenant_id, installation, revision)

        return await self._workspace.view(work)


def _update(reader: Reader, tenant_id: str, installation: str, since: int) -> PolicyUpdate:
    present = installation_of(read_keys(reader))
    revision = reader.revision()
    policies = None
    if installation == present and reader.removed_changes().through <= since <= revision and since:
        policies = _changes(reader, tenant_id, since, revision)
    if policies is None:
        since, policies = 0, _all_policies(reader, tenant_id)
    return PolicyUpdate(present, tenant_id, since, revision, policies)


def _all_policies(reader: Reader, tenant_id: str) -> list[FollowedPolicy]:
    return [
        of_entity(entity)
        for owner in (PLATFORM, tenant_id)
        for entity in reader.list_tenant(owner)
        if entity.kind in FOLLOWED_KINDS
    ]


def _changes(
    reader: Reader, tenant_id: str, since: int, revision: int
) -> list[FollowedPolicy] | None:
    """Returns what has changed; None if there are too many changes to read.

    Each policy comes once. One that was created comes as removed first: it may have been there
    before, and then its place in the order is another one now.
    """
    latest: dict[tuple[str, str, str], list[FollowedPolicy]] = {}
    read = 0
    while since < revision:
        page = reader.changes(since, _PAGE)
        read += len(page)
        if read > MAX_CHANGES:
            return None
        if not page:
            raise StoreUnavailable("the change log ends before its last revision")
        for change in page:
            if change.tenant_id in {PLATFORM, tenant_id} and change.kind in FOLLOWED_KINDS:
                key = (change.tenant_id, change.kind, change.entity_id)
                policy, states = of_change(change), latest.get(key, [])
                if change.op == "create":
                    latest.pop(key, None)
                    states = [policy._replace(body=None)]
                latest[key] = [*states[:1], policy] if _is_removed(states) else [policy]
        since = page[-1].revision
    return [policy for states in latest.values() for policy in states]


def _is_removed(states: list[FollowedPolicy]) -> bool:
    return bool(states) and states[0].body is None
