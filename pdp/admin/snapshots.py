"""Compiles snapshots from the store: at a tenant's first use, and when a change makes one stale.

The server's `Workspace` and `pdp.embedded.Engine` share this module. They differ only in which
thread runs which step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from pdp.admin.install.keys import read_keys
from pdp.domain.approval import KINDS
from pdp.domain.kinds import apply_changes, read_policies
from pdp.domain.tenant import PLATFORM
from pdp.engine.compiler import compile_platform, compile_tenant, update_platform
from pdp.store.port import ChangeFilter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence, Set

    from pdp.domain.stored_entity import Change
    from pdp.engine.snapshot import Platform, Snapshot
    from pdp.publisher import Publisher
    from pdp.store.port import Reader


_PAGE: Final = 1000


class ChangeMark(NamedTuple):
    """Identifies the change at a revision, because a database can give a revision twice.

    If a standby becomes the primary without the last commits of the failed one, these are lost. New
    changes then get revisions that this process has read with other changes.
    """

    revision: int
    at: float
    tenant_id: str
    kind: str
    entity_id: str
    actor: str

    @classmethod
    def of(cls, change: Change) -> Self:
        """Returns the mark of a change."""
        return cls(
            change.revision,
            change.at,
            change.tenant_id,
            change.kind,
            change.entity_id,
            change.actor,
        )


@dataclass(frozen=True, slots=True)
class ChangesSince:
    """The contents of the change log after a revision.

    Attributes:
        revision: the revision of the last change.
        tenants: the tenants whose policies changed, each with the revision of its last change.
        platform: the changes of the platform, which all tenants share.
        complete: whether all changes are known; if not, every tenant may have changed.
        mark: of the last change; None if it is not known.
        replaced: whether the store has lost the change at the revision. If so, everything must be
            read again, and the other fields have no meaning.
    """

    revision: int
    tenants: Mapping[str, int]
    platform: Sequence[Change] = ()
    complete: bool = True
    mark: ChangeMark | None = None
    replaced: bool = False


@dataclass(frozen=True, slots=True)
class FullReload:
    """All policies of the store, for a process that cannot go on from its revision.

    Attributes:
        revision: the revision of the store.
        platform: the policies that all tenants share; not compatible with any other platform.
        tenants: the tenants with policies.
        mark: of the last change.
    """

    revision: int
    platform: Platform
    tenants: frozenset[str]
    mark: ChangeMark | None


@dataclass(frozen=True, slots=True)
class RefreshPlan:
    """What must be compiled because of changes.

    Built on the publisher's thread, so that the compilation itself does not read the publisher.

    Attributes:
        platform: the platform that is in force.
        platform_changes: the changes of the platform since then.
        stale: the tenant snapshots that have become stale.
        revision: the revision in force. No snapshot in `stale` is older.
    """

    platform: Platform
    platform_changes: Sequence[Change]
    stale: tuple[Snapshot, ...]
    revision: int


@dataclass(frozen=True, slots=True)
class RefreshResult:
    """What was compiled because of changes; `platform` is None if it has not changed."""

    snapshots: tuple[Snapshot, ...] = ()
    platform: Platform | None = None


def compile_snapshot(
    reader: Reader, tenant_id: str, platform: Platform, previous: Snapshot | None
) -> Snapshot:
    """Compiles a tenant's policies as they are in the store now.

    If `previous` can be reused, only the changes since its revision are read and compiled. They
    include those of other tenants, so `previous` should be at the revision in force. It cannot be
    reused if some of these changes may have been removed.

    Raises:
        InvalidPattern: some patterns do not compile; the error names them all.
        StoreUnavailable: the store cannot be read.
    """
    revision = reader.revision()
    if (
        previous is None
        or not previous.platform.compatible_with(platform)
        or previous.revision < reader.removed_changes().through
    ):
        policies = read_policies(reader.list_tenant(tenant_id))
        return compile_tenant(platform, tenant_id, policies, revision)
    changes = _changes_of({tenant_id}, reader, previous.revision)[tenant_id]
    policies = apply_changes(previous.policies, changes)
    return compile_tenant(platform, tenant_id, policies, revision, previous)


def _changes_of(tenant_ids: Set[str], reader: Reader, since: int) -> Mapping[str, Sequence[Change]]:
    """Returns the changes of some tenants after revision `since`."""
    changes: dict[str, list[Change]] = {tenant_id: [] for tenant_id in tenant_ids}
    while page := reader.changes(since):
        for change in page:
            if change.tenant_id in changes:
                changes[change.tenant_id].append(change)
        since = page[-1].revision
    return changes


def read_changes(reader: Reader, since: int, mark: ChangeMark | None = None) -> ChangesSince:
    """Reads the change log after revision `since`.

    If changes after it may have been removed, every tenant counts as changed.

    Args:
        reader: reads the store.
        since: the revision in force.
        mark: of the change at that revision, as it was read; None if it was not.
    """
    through = reader.removed_changes().through
    present = read_mark(reader, since)
    if not _goes_on(since, mark, present, through):
        return ChangesSince(since, {}, replaced=True)
    if since < through:
        return _everything_since(reader, since)
    tenants: dict[str, int] = {}
    platform: list[Change] = []
    revision = since
    if present is not None and present.revision == since:
        mark = present
    while changes := reader.changes(revision):
        tenants.update(
            (change.tenant_id, change.revision) for change in changes if change.kind not in KINDS
        )
        platform += (change for change in changes if change.tenant_id == PLATFORM)
        revision = changes[-1].revision
        mark = ChangeMark.of(changes[-1])
    return ChangesSince(revision, tenants, platform, mark=mark)


def _goes_on(since: int, mark: ChangeMark | None, present: ChangeMark | None, through: int) -> bool:
    """Returns whether the store still has what was read from it up to revision `since`.

    Args:
        since: the revision.
        mark: of the change that was read there; None if it is not known.
        present: of the first change that the store has from there on; None if it has none.
        through: the last revision that may have been removed.
    """
    if not since:
        return True
    if present is None:
        return False
    if present.revision > since:
        return since <= through
    return mark is None or mark == present


def read_all_policies(reader: Reader, platform: Platform) -> FullReload:
    """Reads what a process starts from, and compiles it.

    Args:
        reader: reads the store.
        platform: an earlier platform, whose compiled patterns are used again.

    Raises:
        InvalidPattern: some patterns do not compile; the error names them all.
        StoreUnavailable: the store cannot be read.
    """
    revision = reader.revision()
    compiled = compile_platform(
        read_policies(reader.list_tenant(PLATFORM)),
        platform.validators,
        platform.risk,
        platform.patterns,
        platform.detectors,
        keys=read_keys(reader),
    )
    tenants = reader.tenants() - {PLATFORM}
    return FullReload(revision, compiled, tenants, read_mark(reader, revision))


def read_mark(reader: Reader, revision: int) -> ChangeMark | None:
    """Returns the mark of the first change from a revision on; None if there is none."""
    changes = reader.changes(revision - 1, 1) if revision else ()
    return ChangeMark.of(changes[0]) if changes else None


def _everything_since(reader: Reader, since: int) -> ChangesSince:
    """Returns all tenants as changed, and the changes of the platform, which are never removed."""
    revision = reader.revision()
    platform: list[Change] = []
    before: int | None = None
    while page := reader.select_changes(ChangeFilter(PLATFORM), before=before, limit=_PAGE):
        platform += (change for change in page if change.revision > since)
        before = page[-1].revision
        if before <= since:
            break
    platform.reverse()
    return ChangesSince(
        revision,
        dict.fromkeys(reader.tenants(), revision),
        platform,
        complete=False,
        mark=read_mark(reader, revision),
    )


def plan_refresh(publisher: Publisher, changes: ChangesSince) -> RefreshPlan | None:
    """Returns what `changes` make stale; None if nothing has to be compiled.

    If every tenant may have changed, tenants are compiled at their next use.
    """
    tenants = changes.tenants if changes.complete else {}
    stale = tuple(
        snapshot
        for tenant_id, revision in tenants.items()
        if (snapshot := publisher.cached(tenant_id)) is not None and snapshot.revision < revision
    )
    if not (stale or changes.platform):
        return None
    return RefreshPlan(publisher.platform, changes.platform, stale, publisher.revision)


def refresh(reader: Reader, plan: RefreshPlan) -> RefreshResult:
    """Compiles the snapshots of `plan` from the store as it is now.

    Raises:
        InvalidPattern: some patterns do not compile; the error names them all.
        StoreUnavailable: the store cannot be read.
    """
    platform = update_platform(plan.platform, plan.platform_changes)
    if not platform.compatible_with(plan.platform):
        # All snapshots must be compiled anew. Each is loaded when it is needed.
        return RefreshResult((), platform)
    # The changes are read once for all tenants: reading them for each would be quadratic. If some
    # have been removed since the plan was made, each tenant is loaded when it is needed.
    complete = plan.revision >= reader.removed_changes().through
    stale = {each.tenant_id: each for each in plan.stale} if complete else {}
    changes = _changes_of(stale.keys(), reader, plan.revision) if stale else {}
    revision = reader.revision()
    snapshots = tuple(_updated(stale[each], changes[each], platform, revision) for each in stale)
    return RefreshResult(snapshots, None if platform is plan.platform else platform)


def _updated(
    previous: Snapshot, changes: Sequence[Change], platform: Platform, revision: int
) -> Snapshot:
    since = (change for change in changes if change.revision > previous.revision)
    policies = apply_changes(previous.policies, since)
    return compile_tenant(platform, previous.tenant_id, policies, revision, previous)
