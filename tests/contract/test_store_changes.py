"""The contract of `Reader.select_changes`: filtered changes, newest first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from pdp.domain.stored_entity import StoredEntity
from pdp.domain.tenant import PLATFORM
from pdp.store.port import ChangeFilter

if TYPE_CHECKING:
    from pdp.store.port import Store

WRITES: Final = (
    ("acme", "policy", "p1", "ann"),
    ("acme", "limit", "l1", "bob"),
    ("other", "policy", "p1", "ann"),
    ("acme", "policy", "p1", "bob"),
    (PLATFORM, "model", "m1", "ann"),
)
"""Tenant, kind, id and actor. The second write to a policy of a tenant is an update."""


@pytest.fixture
def filled(store: Store) -> Store:
    """A store with `WRITES`, each in its own transaction, and a deletion."""
    for tenant, kind, entity_id, actor in WRITES:
        with store.write() as transaction:
            entity = StoredEntity(kind, tenant, entity_id, {"by": actor})
            transaction.put(entity, actor=actor, summary="Put")
    with store.write() as transaction:
        transaction.delete("limit", "acme", "l1", actor="ann", summary="Deleted")
    return store


def selected(store: Store, tenant: str = "acme", **conditions: Any) -> list[tuple[str, str, str]]:
    before, limit = conditions.pop("before", None), conditions.pop("limit", 100)
    with store.view() as reader:
        changes = reader.select_changes(
            ChangeFilter(tenant, **conditions), before=before, limit=limit
        )
    return [(each.kind, each.op, each.actor) for each in changes]


def test_the_changes_of_a_tenant_are_returned_newest_first(filled: Store) -> None:
    assert selected(filled) == [
        ("limit", "delete", "ann"),
        ("policy", "update", "bob"),
        ("limit", "create", "bob"),
        ("policy", "create", "ann"),
    ]
    assert selected(filled, "other") == [("policy", "create", "ann")]
    assert selected(filled, PLATFORM) == [("model", "create", "ann")]
    assert selected(filled, "unknown") == []


@pytest.mark.parametrize(
    ("conditions", "count"),
    [
        ({"kind": "policy"}, 2),
        ({"kind": "policy", "entity_id": "p2"}, 0),
        ({"entity_id": "l1"}, 2),
        ({"actor": "bob"}, 2),
        ({"op": "delete"}, 1),
        ({"since": 0.0}, 4),
        ({"until": 0.0}, 0),
        ({"actor": "ANN"}, 0),
        ({"actor": "' OR 1=1 --"}, 0),
        ({"limit": 3}, 3),
        ({"limit": 0}, 0),
    ],
)
def test_each_condition_filters(filled: Store, conditions: dict[str, Any], count: int) -> None:
    assert len(selected(filled, **conditions)) == count


def test_pages_continue_below_a_revision(filled: Store) -> None:
    with filled.view() as reader:
        first = reader.select_changes(ChangeFilter("acme"), limit=3)
        rest = reader.select_changes(ChangeFilter("acme"), before=first[-1].revision, limit=3)
    revisions = [each.revision for each in (*first, *rest)]
    assert revisions == sorted(revisions, reverse=True)
    assert len(revisions) == 4
    assert (first[1].before, first[1].after) == ({"by": "ann"}, {"by": "bob"})
