"""The contract of the store: what a compaction of the change log keeps."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

import pytest

from pdp.domain.stored_entity import Change, StoredEntity
from pdp.domain.tenant import PLATFORM
from pdp.store.port import ChangeRetention, Store

if TYPE_CHECKING:
    from collections.abc import Sequence

KEPT, OTHER = "kept", "other"
ENTITIES = [
    (kind, tenant, entity_id)
    for kind in (KEPT, OTHER)
    for tenant in (PLATFORM, "acme", "rival")
    for entity_id in ("a", "b")
]


def fill(store: Store, count: int, seed: int = 1) -> None:
    chance = random.Random(seed)  # noqa: S311 - test data
    for number in range(count):
        kind, tenant, entity_id = chance.choice(ENTITIES)
        with store.write() as transaction:
            if transaction.get(kind, tenant, entity_id) and chance.random() < 0.3:
                transaction.delete(kind, tenant, entity_id, actor="ann", summary="Deleted")
            else:
                entity = StoredEntity(kind, tenant, entity_id, {"number": number})
                transaction.put(entity, actor="ann", summary="Put")


def compact(store: Store, until: float | None = None) -> int:
    """Runs all steps; returns how many changes were removed."""
    retention = ChangeRetention(frozenset({KEPT}), time.time() + 60 if until is None else until)
    removed = 0
    while True:
        with store.write() as transaction:
            step = transaction.compact(retention)
        removed += step.removed
        if not step.more:
            return removed


def everything(store: Store) -> Sequence[Change]:
    with store.view() as reader:
        return reader.changes(0, 10_000)


def stays(change: Change, newest: int) -> bool:
    return change.kind == KEPT or change.tenant_id == PLATFORM or change.revision == newest


def test_a_removal_keeps_versions_the_platform_and_the_newest_change(store: Store) -> None:
    fill(store, 300)
    with store.write() as transaction:
        entity = StoredEntity(OTHER, "acme", "a", {"number": 1000})
        transaction.put(entity, actor="ann", summary="Put")
    before = everything(store)
    newest = before[-1].revision
    with store.view() as reader:
        tenants, entities = reader.tenants(), reader.list_tenant("acme")
    kept = [each for each in before if stays(each, newest)]
    assert compact(store) == len(before) - len(kept) > 50
    assert list(everything(store)) == kept
    with store.view() as reader:
        assert reader.revision() == newest
        assert reader.removed_changes().through == newest - 1
        assert reader.removed_changes().until == before[-2].at
        assert reader.tenants() == tenants
        assert reader.list_tenant("acme") == entities
        assert reader.creation_time(OTHER, "acme", "a") > 0
        assert reader.creation_time(OTHER, "acme", "none") == 0


def test_younger_changes_are_not_touched(store: Store) -> None:
    fill(store, 50)
    before = everything(store)
    assert compact(store, until=before[0].at) == 0
    boundary = before[20].at
    compact(store, until=boundary)
    expected = [each for each in before if each.at >= boundary or stays(each, 0)]
    assert list(everything(store)) == expected
    with store.view() as reader:
        assert reader.removed_changes().through < before[20].revision


def test_changes_after_the_removed_ones_keep_the_bodies_before_them(store: Store) -> None:
    fill(store, 200)
    before = everything(store)
    boundary = before[120].at
    compact(store, until=boundary)
    assert list(everything(store)) == [
        each for each in before if each.at >= boundary or stays(each, 0)
    ]
    fill(store, 100, seed=2)
    before = everything(store)
    boundary = before[-50].at
    compact(store, until=boundary)
    assert list(everything(store)) == [
        each for each in before if each.at >= boundary or stays(each, 0)
    ]


def test_a_rolled_back_compaction_changes_nothing(store: Store) -> None:
    fill(store, 100)
    before = everything(store)
    retention = ChangeRetention(frozenset({KEPT}), time.time() + 60)

    def fail() -> None:
        with store.write() as transaction:
            transaction.compact(retention)
            raise ValueError("rolled back")

    with pytest.raises(ValueError, match="rolled back"):
        fail()
    assert everything(store) == before
    with store.view() as reader:
        assert reader.removed_changes().through == 0


def test_an_empty_store_is_compacted(store: Store) -> None:
    assert compact(store) == 0
