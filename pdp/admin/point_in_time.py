"""Policies as they were at a revision: the current ones, with the changes since then undone."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from pdp.domain.kinds import read_policies
from pdp.domain.stored_entity import StoredEntity
from pdp.domain.tenant import PLATFORM
from pdp.engine.compiler import compile_platform, compile_tenant
from pdp.errors import InvalidArgument, Violation
from pdp.store.port import ChangeFilter

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pdp.domain.stored_entity import Change
    from pdp.engine.snapshot import Platform, Snapshot
    from pdp.store.port import Reader

_PAGE: Final = 1000


def entities_at(
    reader: Reader, tenant_id: str, revision: int, *, field: str = "revision"
) -> Sequence[StoredEntity]:
    """Returns a tenant's entities as they were at a revision, in order of creation.

    The cost grows with the number of the tenant's changes since that revision.

    Args:
        reader: a view of the store.
        tenant_id: the tenant; `PLATFORM` for the policies that all tenants share.
        revision: a revision of the store; 0 is before the first write.
        field: the name of the field that an error about the revision names.

    Raises:
        InvalidArgument: the store has no such revision, or changes since then were removed.
        StoreUnavailable: the store cannot be read.
    """
    newest = reader.revision()
    oldest = reader.removed_changes().through if tenant_id != PLATFORM else 0
    if not oldest <= revision <= newest:
        reason = f"must be from {oldest} to {newest}, the last revision"
        if 0 <= revision < oldest:
            reason += "; older changes were removed (PDP_CHANGE_LOG_DAYS)"
        raise InvalidArgument.of(Violation(field, reason))
    entities = {(each.kind, each.id): each for each in reader.list_tenant(tenant_id)}
    restored: set[tuple[str, str]] = set()
    for change in _changes_after(reader, tenant_id, revision):
        key = (change.kind, change.entity_id)
        if change.before is None:
            entities.pop(key, None)
        elif key in entities:
            entities[key] = replace(entities[key], body=change.before)
        else:
            restored.add(key)
            entities[key] = StoredEntity(change.kind, tenant_id, change.entity_id, change.before)
    for key in restored & entities.keys():
        entities[key] = _with_creation_time(reader, entities[key], revision)
    result = list(entities.values())
    # If none was deleted since, the store's own order is the order of creation.
    return sorted(result, key=lambda each: each.created_at) if restored else result


def snapshot_at(reader: Reader, platform: Platform, tenant_id: str, revision: int) -> Snapshot:
    """Compiles a tenant's policies as they were at `revision`, on the platform of that revision.

    Args:
        reader: a view of the store.
        platform: the platform in force; its unchanged parts are reused.
        tenant_id: the tenant.
        revision: a revision of the store.

    Raises:
        InvalidArgument: the store has no such revision.
        InvalidPattern: patterns of that revision do not compile any more; the error names them all.
        StoreUnavailable: the store cannot be read.
    """
    platform_policies, tenant_policies = (
        read_policies(entities_at(reader, owner, revision)) for owner in (PLATFORM, tenant_id)
    )
    past_platform = compile_platform(
        platform_policies,
        platform.validators,
        platform.risk,
        platform.patterns,
        platform.detectors,
        keys=platform.keys,
    )
    return compile_tenant(past_platform, tenant_id, tenant_policies, revision)


def _changes_after(reader: Reader, tenant_id: str, revision: int) -> Iterator[Change]:
    """Yields the tenant's changes after a revision, newest first."""
    change_filter, before = ChangeFilter(tenant_id), None
    while page := reader.select_changes(change_filter, before=before, limit=_PAGE):
        for change in page:
            if change.revision <= revision:
                return
            yield change
        before = page[-1].revision


def _with_creation_time(reader: Reader, entity: StoredEntity, revision: int) -> StoredEntity:
    """Returns an entity that is deleted now with the time when it was created."""
    history = reader.history(entity.kind, entity.tenant_id, entity.id)
    created = (each.at for each in history if each.op == "create" and each.revision <= revision)
    at = next(created, None)
    if at is None:  # that change was removed
        at = reader.creation_time(entity.kind, entity.tenant_id, entity.id)
    return replace(entity, created_at=at)
