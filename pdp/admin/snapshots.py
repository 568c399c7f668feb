"""Snapshots read from the store: a tenant's at its first use, and all that a change makes stale.

Shared by the server's `Workspace` and by `pdp.embedded.Engine`: they differ in which thread does
what, not in what is done.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pdp.domain.kinds import apply_changes, read_policies
from pdp.domain.tenant import PLATFORM
from pdp.engine.compiler import compile_tenant, update_platform

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pdp.domain.stored_entity import Change
    from pdp.engine.snapshot import Platform, Snapshot
    from pdp.publisher import Publisher
    from pdp.store.port import Reader


@dataclass(frozen=True, slots=True)
class News:
    """What the change log says since a revision.

    Attributes:
        revision: of the last change.
        changed: the tenants that changed, each with the revision of its last change.
        of_platform: the changes of what all tenants share.
    """

    revision: int
    changed: Mapping[str, int]
    of_platform: Sequence[Change] = ()


@dataclass(frozen=True, slots=True)
class Renewal:
    """What has to be compiled because of news; made where the publisher may be read.

    Attributes:
        platform: as it is in force.
        of_platform: the changes since of what all tenants share.
        held: the tenants' snapshots that have become stale.
    """

    platform: Platform
    of_platform: Sequence[Change]
    held: tuple[Snapshot, ...]


@dataclass(frozen=True, slots=True)
class Renewed:
    """What was compiled because of news; the platform is None where it has not changed."""

    fresh: tuple[Snapshot, ...] = ()
    platform: Platform | None = None


def compile_snapshot(
    reader: Reader, tenant_id: str, platform: Platform, held: Snapshot | None
) -> Snapshot:
    """Compiles a tenant as the store has it now; from `held` and the log where that is shorter.

    Raises:
        InvalidPattern: some patterns do not compile; it names them all.
        StoreUnavailable: the store cannot be read.
    """
    revision = reader.revision()
    if held is None or not held.platform.compatible_with(platform):
        policies = read_policies(reader.list_tenant(tenant_id))
        return compile_tenant(platform, tenant_id, policies, revision)
    changes: list[Change] = []
    since = held.revision
    while page := reader.changes(since):
        changes += (change for change in page if change.tenant_id == tenant_id)
        since = page[-1].revision
    return compile_tenant(
        platform, tenant_id, apply_changes(held.policies, changes), revision, held
    )


def read_news(reader: Reader, since: int) -> News:
    """Reads the change log on from revision `since`."""
    changed: dict[str, int] = {}
    of_platform: list[Change] = []
    revision = since
    while changes := reader.changes(revision):
        changed.update((change.tenant_id, change.revision) for change in changes)
        of_platform += (change for change in changes if change.tenant_id == PLATFORM)
        revision = changes[-1].revision
    return News(revision, changed, of_platform)


def plan_renewal(publisher: Publisher, news: News) -> Renewal | None:
    """Returns what `news` makes stale; None where nothing has to be compiled."""
    held = tuple(
        snapshot
        for tenant_id, revision in news.changed.items()
        if (snapshot := publisher.cached(tenant_id)) is not None and snapshot.revision < revision
    )
    if not (held or news.of_platform):
        return None
    return Renewal(publisher.platform, news.of_platform, held)


def renew(reader: Reader, renewal: Renewal) -> Renewed:
    """Compiles what `renewal` asks for, as the store has it now.

    Raises:
        InvalidPattern: some patterns do not compile; it names them all.
        StoreUnavailable: the store cannot be read.
    """
    platform = update_platform(renewal.platform, renewal.of_platform)
    fresh = tuple(compile_snapshot(reader, held.tenant_id, platform, held) for held in renewal.held)
    return Renewed(fresh, None if platform is renewal.platform else platform)
