"""Snapshots read from the store: a tenant's at its first use, and all that a change makes stale.

Shared by the server's `Workspace` and by `pdp.embedded.Engine`: they differ in which thread does
what, not in what is done.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pdp.domain.kinds import PolicySet
from pdp.domain.tenant import PLATFORM
from pdp.engine.compiler import compile_platform, compile_tenant

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pdp.domain.record import Change
    from pdp.engine.snapshot import Platform, Snapshot
    from pdp.publisher import Publisher
    from pdp.store.port import Reader


@dataclass(frozen=True, slots=True)
class News:
    """What the change log says since a revision.

    Attributes:
        revision: of the last change.
        changed: the tenants that changed, each with the revision of its last change.
    """

    revision: int
    changed: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Renewal:
    """What has to be compiled because of news; made where the publisher may be read.

    Attributes:
        platform: as it is in force.
        held: the tenants' snapshots that have become stale.
        with_platform: the platform itself has changed, and with it everything.
    """

    platform: Platform
    held: tuple[Snapshot, ...]
    with_platform: bool


@dataclass(frozen=True, slots=True)
class Renewed:
    """What was compiled because of news."""

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
    if held is None or held.platform is not platform:
        policies = PolicySet.of(reader.list_tenant(tenant_id))
        return compile_tenant(platform, tenant_id, policies, revision)
    changes: list[Change] = []
    since = held.revision
    while page := reader.changes(since):
        changes += (change for change in page if change.tenant_id == tenant_id)
        since = page[-1].revision
    return compile_tenant(platform, tenant_id, held.policies.changed(changes), revision, held)


def read_platform(reader: Reader, like: Platform) -> Platform:
    """Compiles what ships with the product from the store, with the checks and risks of `like`."""
    policies = PolicySet.of(reader.list_tenant(PLATFORM))
    return compile_platform(policies, like.validators, like.risk)


def read_news(reader: Reader, since: int) -> News:
    """Reads the change log on from revision `since`."""
    changed: dict[str, int] = {}
    revision = since
    while changes := reader.changes(revision):
        changed.update((change.tenant_id, change.revision) for change in changes)
        revision = changes[-1].revision
    return News(revision, changed)


def plan_renewal(publisher: Publisher, news: News) -> Renewal | None:
    """Returns what `news` makes stale; None where nothing has to be compiled."""
    with_platform = PLATFORM in news.changed
    held = (
        ()
        if with_platform
        else tuple(
            snapshot
            for tenant_id, revision in news.changed.items()
            if (snapshot := publisher.held(tenant_id)) is not None and snapshot.revision < revision
        )
    )
    if not (held or with_platform):
        return None
    return Renewal(publisher.platform, held, with_platform)


def renew(reader: Reader, renewal: Renewal) -> Renewed:
    """Compiles what `renewal` asks for, as the store has it now."""
    if renewal.with_platform:
        return Renewed(platform=read_platform(reader, renewal.platform))
    return Renewed(
        tuple(
            compile_snapshot(reader, held.tenant_id, renewal.platform, held)
            for held in renewal.held
        )
    )
