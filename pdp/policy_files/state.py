"""The policies of one tenant, as they are or as they were at a revision."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

from pdp.admin.point_in_time import entities_at
from pdp.domain import api_key, dlp_rule, limits, model_catalog, static_policy
from pdp.domain.kinds import ENTITY_CLASSES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pdp.store.port import Reader

Body = dict[str, Any]
State = dict[str, dict[str, Body]]
"""Bodies by kind and id, in order of creation."""

KINDS: Final = tuple(
    kind for kind in ENTITY_CLASSES if kind not in {api_key.KIND, model_catalog.KIND}
)
"""What is a tenant's to have in a file: credentials and the platform's models are not."""

NAMES: Final[Mapping[str, Callable[[Body], str]]] = {
    static_policy.KIND: lambda body: str(body["name"]),
    limits.KIND: lambda body: f"{body['scope']}:{body['subject_id']}",
    dlp_rule.KIND: lambda body: str(body["detector_name"]),
}
"""The names that are unique within a tenant, as the use cases give them to records."""


def kept_by_the_store(kind: str) -> frozenset[str]:
    """Returns the fields that say when a record came to be, not what it is."""
    counted = {each.name for each in fields(ENTITY_CLASSES[kind]) if each.type == "int"} & {
        "version"
    }
    return frozenset({"created_at", "updated_at", *counted})


def meant(kind: str, body: Mapping[str, Any]) -> Body:
    """Returns what a body says, without the fields that the store keeps."""
    left_out = kept_by_the_store(kind)
    return {name: value for name, value in body.items() if name not in left_out}


def state_of(reader: Reader, tenant_id: str) -> State:
    """Returns the tenant's policies as they are."""
    return {
        kind: {record.id: dict(record.body) for record in reader.list(kind, tenant_id)}
        for kind in KINDS
    }


def state_at(reader: Reader, tenant_id: str, revision: int) -> State:
    """Returns the tenant's policies as they were at a revision, by the change log.

    Raises:
        InvalidArgument: there is no such revision yet.
    """
    state: State = {kind: {} for kind in KINDS}
    for record in entities_at(reader, tenant_id, revision, field="to"):
        if record.kind in state:
            state[record.kind][record.id] = dict(record.body)
    return state
