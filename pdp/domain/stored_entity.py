"""What the store keeps: records, and the one log of their changes (docs/architecture.md)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Op = Literal["create", "update", "delete"]


@dataclass(frozen=True, slots=True)
class StoredEntity:
    """One entity of any kind.

    Attributes:
        kind: what it is, for instance `static_policy`.
        tenant_id: whose it is; `PLATFORM` for what ships with the product.
        id: unique within (tenant_id, kind), compared exactly.
        body: its fields, as JSON.
        name: unique within (tenant_id, kind) among records that are not deleted, where not None.
        revision: of its last change.
        created_at, updated_at: seconds since the epoch.
    """

    kind: str
    tenant_id: str
    id: str
    body: Mapping[str, Any]
    name: str | None = None
    revision: int = 0
    created_at: float = 0.0
    updated_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Change:
    """One row of the change log: version history, audit trail and cache invalidation in one.

    Attributes:
        revision: global and rising; one a change.
        before, after: the record's body; None where there was none, or is none any more.
        actor: who made the change.
        at: seconds since the epoch.
        summary: what was changed, in words.
    """

    revision: int
    tenant_id: str
    kind: str
    entity_id: str
    op: Op
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    actor: str
    at: float
    summary: str
