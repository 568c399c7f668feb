"""Policies as they were at a revision, read from the change log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pdp.domain.kinds import PolicySet
from pdp.domain.tenant import PLATFORM
from pdp.engine.compiler import compile_platform, compile_tenant
from pdp.errors import InvalidArgument, Violation

if TYPE_CHECKING:
    from pdp.domain.record import Change
    from pdp.engine.snapshot import Platform, Snapshot
    from pdp.store.port import Reader


def snapshot_at(reader: Reader, platform: Platform, tenant_id: str, revision: int) -> Snapshot:
    """Compiles a tenant as it was at `revision`, on the platform as it was then.

    Args:
        reader: of the store.
        platform: as it is in force; what has not changed since is used again.
        tenant_id: whose policies.
        revision: of the store, 1 or more.

    Raises:
        InvalidArgument: the store has no such revision.
        InvalidPattern: a pattern of then does not compile any more; it names them all.
        StoreUnavailable: the store cannot be read.
    """
    newest = reader.revision()
    if not 0 < revision <= newest:
        raise InvalidArgument.of(Violation("revision", f"must be from 1 to {newest}"))
    of_platform: list[Change] = []
    own: list[Change] = []
    since = 0
    while page := reader.changes(since):
        for change in page:
            if change.revision > revision:
                break
            if change.tenant_id == PLATFORM:
                of_platform.append(change)
            elif change.tenant_id == tenant_id:
                own.append(change)
        since = page[-1].revision
        if since >= revision:
            break
    then = compile_platform(
        PolicySet().changed(of_platform),
        platform.validators,
        platform.risk,
        platform.patterns,
        platform.detectors,
    )
    return compile_tenant(then, tenant_id, PolicySet().changed(own), revision)
