"""The stored policies of one tenant, now or at a revision."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

from pdp.admin.point_in_time import entities_at
from pdp.domain import (
    api_key,
    dlp_rule,
    limits,
    model_catalog,
    policy_exception,
    static_policy,
)
from pdp.domain.kinds import ENTITY_CLASSES
from pdp.store.port import ChangeFilter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pdp.store.port import Reader

Body = dict[str, Any]
State = dict[str, dict[str, Body]]
"""Bodies by kind and id, in order of creation."""

KINDS: Final = tuple(
    kind for kind in ENTITY_CLASSES if kind not in {api_key.KIND, model_catalog.KIND}
)
"""The kinds in a file: all except credentials and the platform's models."""

NAMES: Final[Mapping[str, Callable[[Body], str]]] = {
    static_policy.KIND: lambda body: str(body["name"]),
    limits.KIND: lambda body: f"{body['scope']}:{body['subject_id']}",
    dlp_rule.KIND: lambda body: str(body["detector_name"]),
    policy_exception.KIND: lambda body: str(body["name"]),
}
"""How the use cases form the names of entities, which are unique within a tenant."""


def store_fields(kind: str) -> frozenset[str]:
    """Returns the fields that the store sets: times and version."""
    # In a policy pack, `version` is a string of its author.
    integers = {each.name for each in fields(ENTITY_CLASSES[kind]) if each.type == "int"}
    return frozenset({"created_at", "updated_at", *(integers & {"version"})})


def policy_fields(kind: str, body: Mapping[str, Any]) -> Body:
    """Returns a body without the fields that the store sets."""
    excluded = store_fields(kind)
    return {name: value for name, value in body.items() if name not in excluded}


def state_of(reader: Reader, tenant_id: str) -> State:
    """Returns the tenant's current policies."""
    return {
        kind: {entity.id: dict(entity.body) for entity in reader.list(kind, tenant_id)}
        for kind in KINDS
    }


def last_revision(reader: Reader, tenant_id: str) -> int:
    """Returns the revision of the tenant's last change; 0 if it has never had a policy."""
    changes = reader.select_changes(ChangeFilter(tenant_id), limit=1)
    return max([reader.removed_changes().through, *(each.revision for each in changes)])


def changed_after(reader: Reader, tenant_id: str, revision: int) -> int | None:
    """Returns the revision of the last change of the tenant's policies, if it is after `revision`.

    Returns None if there is no such change. If the change log may lack changes after `revision`,
    there may be one.
    """
    before: int | None = None
    while page := reader.select_changes(ChangeFilter(tenant_id), before=before):
        later = [each for each in page if each.revision > revision]
        newest = next((each.revision for each in later if each.kind in KINDS), None)
        if newest is not None:
            return newest
        if len(later) < len(page):
            break
        before = page[-1].revision
    removed_through = reader.removed_changes().through
    return removed_through if removed_through > revision else None


def state_at(reader: Reader, tenant_id: str, revision: int) -> State:
    """Returns the tenant's policies at a revision, from the change log.

    Raises:
        InvalidArgument: the revision does not exist yet.
    """
    state: State = {kind: {} for kind in KINDS}
    for entity in entities_at(reader, tenant_id, revision):
        if entity.kind in state:
            state[entity.kind][entity.id] = dict(entity.body)
    return state
