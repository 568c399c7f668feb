"""Policies as they were at a revision: those that there are, with what was changed since undone."""

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


def records_at(
    reader: Reader, tenant_id: str, revision: int, *, field: str = "revision"
) -> Sequence[StoredEntity]:
    """Returns a tenant's records as they were at a revision, in order of creation.

    It takes as long as there have been changes of the tenant since.

    Args:
        reader: of the store.
        tenant_id: whose; `PLATFORM` for what all tenants share.
        revision: of the store; 0 is before anything was written.
        field: what names the revision in an error.

    Raises:
        InvalidArgument: the store has no such revision.
        StoreUnavailable: the store cannot be read.
    """
    newest = reader.revision()
    if not 0 <= revision <= newest:
        reason = f"must be from 0 to {newest}, the last revision"
        raise InvalidArgument.of(Violation(field, reason))
    records = {(each.kind, each.id): each for each in reader.list_tenant(tenant_id)}
    restored: set[tuple[str, str]] = set()
    for change in _since(reader, tenant_id, revision):
        key = (change.kind, change.entity_id)
        if change.before is None:
            records.pop(key, None)
        elif key in records:
            records[key] = replace(records[key], body=change.before)
        else:
            restored.add(key)
            records[key] = StoredEntity(change.kind, tenant_id, change.entity_id, change.before)
    for key in restored & records.keys():
        records[key] = _dated(reader, records[key], revision)
    found = list(records.values())
    # Without any that were deleted since, they are in order as the store has them.
    return sorted(found, key=lambda each: each.created_at) if restored else found


def snapshot_at(reader: Reader, platform: Platform, tenant_id: str, revision: int) -> Snapshot:
    """Compiles a tenant as it was at `revision`, on the platform as it was then.

    Args:
        reader: of the store.
        platform: as it is in force; what has not changed since is used again.
        tenant_id: whose policies.
        revision: of the store.

    Raises:
        InvalidArgument: the store has no such revision.
        InvalidPattern: a pattern of then does not compile any more; it names them all.
        StoreUnavailable: the store cannot be read.
    """
    shared, own = (
        read_policies(records_at(reader, owner, revision)) for owner in (PLATFORM, tenant_id)
    )
    then = compile_platform(
        shared, platform.validators, platform.risk, platform.patterns, platform.detectors
    )
    return compile_tenant(then, tenant_id, own, revision)


def _since(reader: Reader, tenant_id: str, revision: int) -> Iterator[Change]:
    """Yields the tenant's changes after a revision, newest first."""
    wanted, before = ChangeFilter(tenant_id), None
    while page := reader.select_changes(wanted, before=before, limit=_PAGE):
        for change in page:
            if change.revision <= revision:
                return
            yield change
        before = page[-1].revision


def _dated(reader: Reader, record: StoredEntity, revision: int) -> StoredEntity:
    """Returns a record that is deleted by now with the time at which it had been created."""
    history = reader.history(record.kind, record.tenant_id, record.id)
    made = (each.at for each in history if each.op == "create" and each.revision <= revision)
    return replace(record, created_at=next(made, 0.0))
