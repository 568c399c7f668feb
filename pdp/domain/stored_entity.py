"""Stored entities, and the log of their changes (docs/architecture.md)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Op = Literal["create", "update", "delete"]


@dataclass(frozen=True, slots=True)
class StoredEntity:
    """An entity of any kind in the store.

    Attributes:
        kind: for instance `static_policy`; see `pdp.domain.kinds`.
        tenant_id: its owner; `PLATFORM` for entities that ship with the product.
        id: unique within (tenant_id, kind), compared exactly.
        body: its fields, as JSON.
        name: unique within (tenant_id, kind) among entities that are not deleted; None for no name.
        revision: the revision of its last change.
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
    """One entry of the change log. It serves version history, audit trail and cache invalidation.

    Attributes:
        revision: global; rises with each change.
        before: the entity's body before the change; None if the change created it.
        after: the entity's body after the change; None if the change deleted it.
        actor: who made the change.
        at: seconds since the epoch.
        summary: the change in words.
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
