"""The contract of the store (`pdp.store.port`), tested on each backend.

This file tests entities, the log of their changes, and transactions. `test_store_values.py` tests
which values can be stored, `test_store_sharing.py` the use of one store by several processes.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from pdp.domain.stored_entity import StoredEntity
from pdp.domain.tenant import PLATFORM
from pdp.store.port import NameTaken, Store, Transaction

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def policy(
    entity_id: str = "p1",
    *,
    tenant: str = "acme",
    kind: str = "policy",
    name: str | None = None,
    **body: Any,
) -> StoredEntity:
    return StoredEntity(kind, tenant, entity_id, body, name)


def add(transaction: Transaction, entity: StoredEntity) -> StoredEntity:
    return transaction.put(entity, actor="ann", summary=f"Put {entity.id}")


def remove(transaction: Transaction, entity: StoredEntity) -> None:
    transaction.delete(
        entity.kind, entity.tenant_id, entity.id, actor="bob", summary=f"Deleted {entity.id}"
    )


def put(store: Store, *entities: StoredEntity) -> list[StoredEntity]:
    with store.write() as transaction:
        return [add(transaction, entity) for entity in entities]


def delete(store: Store, entity: StoredEntity) -> None:
    with store.write() as transaction:
        remove(transaction, entity)


def get(store: Store, entity: StoredEntity) -> StoredEntity | None:
    with store.view() as reader:
        return reader.get(entity.kind, entity.tenant_id, entity.id)


def ids(entities: Sequence[StoredEntity]) -> list[str]:
    return [entity.id for entity in entities]


def test_a_new_store_is_empty(store: Store) -> None:
    with store.view() as reader:
        assert reader.get("policy", "acme", "p1") is None
        assert not reader.list("policy", "acme")
        assert not reader.history("policy", "acme", "p1")
        assert not reader.changes(0)
        assert reader.tenants() == frozenset()
        assert reader.revision() == 0


def test_an_entity_is_read_as_it_was_put(store: Store) -> None:
    before = time.time()
    entity = policy(name="No cards", action="block", nested={"list": [1, 2.5, None, True, "é"]})
    [stored] = put(store, entity)
    assert stored == replace(
        entity, revision=1, created_at=stored.created_at, updated_at=stored.created_at
    )
    assert before <= stored.created_at <= time.time()
    assert get(store, entity) == stored


def test_an_update_keeps_creation_time_and_order(store: Store) -> None:
    [first, _] = put(store, policy("p1", v=1), policy("p2"))
    [second] = put(store, policy("p1", v=2))
    assert (second.created_at, second.revision) == (first.created_at, 3)
    assert second.updated_at >= first.updated_at
    with store.view() as reader:
        assert reader.list("policy", "acme")[0] == second  # the order of creation
        update, creation = reader.history("policy", "acme", "p1")
    assert (creation.op, creation.before, creation.after) == ("create", None, {"v": 1})
    assert (update.op, update.before, update.after) == ("update", {"v": 1}, {"v": 2})
    assert (update.actor, update.summary, update.at) == ("ann", "Put p1", second.updated_at)


def test_tenants_and_kinds_are_separate(store: Store) -> None:
    mine = policy(name="same", v=1)
    others = [
        policy(tenant="other", name="same", v=2),
        policy(kind="override", name="same", v=3),
        policy(tenant=PLATFORM, name="same", v=4),
    ]
    put(store, mine, *others)
    delete(store, mine)
    with store.view() as reader:
        assert not reader.list("policy", "acme")
        for other in others:
            entity = reader.find(other.kind, other.tenant_id, "same")
            assert entity is not None
            assert entity.body == other.body
        assert ids(reader.list("policy", "other")) == ["p1"]
        assert len(reader.history("policy", "acme", "p1")) == 2
        assert len(reader.history("policy", "other", "p1")) == 1
        assert reader.tenants() == {"acme", "other", PLATFORM}


@pytest.mark.parametrize(
    "text", ["A", "a ", "a%", "a_", "", "\u00e5", "a\u030a", "\uff41", "a'\"`;--", "\U0001d51e"]
)
def test_ids_names_kinds_and_tenants_are_compared_exactly(store: Store, text: str) -> None:
    put(store, policy("a", tenant="a", kind="a", name="a"))
    put(store, policy(text, tenant="a", kind="a", name=text))
    put(store, policy("a", tenant=text, kind="a", name="a"))
    put(store, policy("a", tenant="a", kind=text, name="a"))
    with store.view() as reader:
        for key in (("a", "a", "a"), ("a", "a", text), ("a", text, "a"), (text, "a", "a")):
            entity = reader.get(*key)
            assert entity is not None
            assert (entity.kind, entity.tenant_id, entity.id) == key
            assert reader.find(*key) == entity
            assert [change.revision for change in reader.history(*key)] == [entity.revision]
        assert ids(reader.list("a", "a")) == ["a", text]
        assert ids(reader.list("a", text)) == ids(reader.list(text, "a")) == ["a"]
        assert ids(reader.list_tenant("a")) == ["a", text, "a"]
        assert reader.tenants() == {"a", text}


def test_lists_are_in_order_of_creation(store: Store) -> None:
    put(store, policy("z"), policy("b", kind="rule"), policy("a"))
    put(store, policy("m"), policy("z", v=2))
    delete(store, policy("a"))
    put(store, policy("y"), policy("a"))
    with store.view() as reader:
        assert ids(reader.list("policy", "acme")) == ["z", "m", "y", "a"]
        assert ids(reader.list_tenant("acme")) == ["z", "b", "m", "y", "a"]


def test_a_name_belongs_to_one_entity_until_it_is_deleted_or_renamed(store: Store) -> None:
    put(
        store, policy("p1", name="n"), policy("p2"), policy("p3")
    )  # two entities without a name do not conflict
    with store.write() as transaction:
        with pytest.raises(NameTaken) as refusal:
            add(transaction, policy("p2", name="n"))
        assert refusal.value.holder_id == "p1"
        add(transaction, policy("p1", name="n", v=2))  # its own name; the transaction continues
    delete(store, policy("p1"))
    put(store, policy("p2", name="n"))
    put(store, policy("p2", name="other"))
    put(store, policy("p1", name="n"))
    with store.view() as reader:
        entity = reader.find("policy", "acme", "n")
        assert entity is not None
        assert entity.id == "p1"
        assert [change.revision for change in reader.changes(3)] == [4, 5, 6, 7, 8]


def test_a_deleted_entity_leaves_only_its_history(store: Store) -> None:
    entity = policy(name="n", v=1)
    put(store, entity)
    delete(store, entity)
    assert get(store, entity) is None
    with store.view() as reader:
        assert reader.find("policy", "acme", "n") is None
        assert not reader.list_tenant("acme")
        deletion, _ = reader.history("policy", "acme", "p1")
        assert (deletion.op, deletion.before, deletion.after) == ("delete", {"v": 1}, None)
        assert (deletion.actor, deletion.summary) == ("bob", "Deleted p1")
        assert reader.tenants() == {"acme"}
    with pytest.raises(KeyError):
        delete(store, entity)
    with pytest.raises(KeyError):
        delete(store, policy("never"))


def test_a_deleted_entity_that_is_put_again_is_created_anew(store: Store) -> None:
    [first] = put(store, policy(v=1))
    delete(store, first)
    [again] = put(store, policy(v=2))
    assert again.created_at == again.updated_at != first.created_at
    assert get(store, again) == again
    with store.view() as reader:
        creation = reader.history("policy", "acme", "p1")[0]
    assert (creation.op, creation.before, creation.after) == ("create", None, {"v": 2})


def test_revisions_are_global_and_changes_can_be_read_from_any_revision(store: Store) -> None:
    put(store, *(policy(f"p{n}", tenant=f"t{n % 3}") for n in range(10)))
    with store.view() as reader:
        everything = reader.changes(0)
        assert [change.revision for change in everything] == list(range(1, 11))
        assert [change.entity_id for change in everything] == [f"p{n}" for n in range(10)]
        assert reader.changes(4, limit=3) == everything[4:7]
        assert not reader.changes(4, limit=0)
        assert not reader.changes(4, limit=-1)
        assert not reader.changes(10)
        assert not reader.changes(2**70)
        assert reader.revision() == 10


def test_only_the_transaction_sees_its_writes_before_the_commit(
    store: Store, open_store: Callable[[], Store]
) -> None:
    other = open_store()
    with store.write() as transaction:
        stored = add(transaction, policy(name="n"))
        assert transaction.get("policy", "acme", "p1") == stored
        assert transaction.revision() == stored.revision == 1
        assert transaction.changes(0) == transaction.new_changes
        assert [change.at for change in transaction.new_changes] == [transaction.now]
        assert get(other, stored) is None
    assert get(other, stored) == stored
    assert [change.entity_id for change in transaction.new_changes] == [
        "p1"
    ]  # readable after the commit, for publishing


def test_a_failed_transaction_changes_nothing(store: Store) -> None:
    put(store, policy("p0", name="n"))
    transactions = []

    def fail() -> None:
        with store.write() as transaction:
            transactions.append(transaction)
            remove(transaction, policy("p0"))
            add(transaction, policy("p1", tenant="new", name="n"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not transactions[0].new_changes
    with store.view() as reader:
        assert ids(reader.list_tenant("acme")) == ["p0"]
        assert reader.find("policy", "acme", "n") is not None
        assert not reader.history("policy", "new", "p1")
        assert (len(reader.changes(0)), reader.revision()) == (1, 1)
        assert reader.tenants() == {"acme"}
    [after] = put(store, policy("p1", tenant="new", name="n"))
    assert after.revision > 1


def test_pages_of_a_list(store: Store) -> None:
    entities = put(store, *(policy(f"p{each}", even=each % 2 == 0) for each in range(7)))
    put(store, replace(entities[2], body={"even": True, "changed": 1}))
    delete(store, entities[3])
    whole = ["p0", "p1", "p2", "p4", "p5", "p6"]
    with store.view() as reader:
        assert reader.count("policy", "acme") == 6
        for size in (1, 2, 3, 6, 7):
            found: list[str] = []
            after, more = 0, True
            while more:
                page = reader.page("policy", "acme", after=after, limit=size)
                assert len(page.entities) <= size
                found += ids(page.entities)
                after, more = page.last, page.more
            assert found == whole
        page = reader.page("policy", "acme", skip=4, limit=5)
        assert (ids(page.entities), page.more) == (["p5", "p6"], False)
        assert reader.page("policy", "acme", after=9, limit=0).last == 9
        assert not reader.page("policy", "other").entities


def test_pages_of_entities_with_some_values(store: Store) -> None:
    put(
        store,
        policy("a", on=True, category="x"),
        policy("b", on=False, category="x"),
        policy("c", on=True, category="it's"),
        policy("d", category="x"),
    )
    with store.view() as reader:

        def matching(**values: str | bool) -> list[str]:
            page = reader.page("policy", "acme", matching=values)
            assert reader.count("policy", "acme", values) == len(page.entities)
            return ids(page.entities)

        assert matching(on=True) == ["a", "c"]
        assert matching(on=False) == ["b"]
        assert matching(category="x") == ["a", "b", "d"]
        assert matching(on=True, category="it's") == ["c"]
        assert matching(category="\ud800") == []


def test_pages_of_a_history(store: Store) -> None:
    entity = policy()
    for value in range(3):
        put(store, replace(entity, body={"value": value}))
    delete(store, entity)
    put(store, entity)
    with store.view() as reader:
        key = ("policy", "acme", "p1")
        assert [each.revision for each in reader.history(*key)] == [5, 4, 3, 2, 1]
        assert [each.revision for each in reader.history(*key, before=4, limit=2)] == [3, 2]
        assert [each.revision for each in reader.history(*key, skip=3)] == [2, 1]
        versions = reader.history(*key, limit=2, deletions=False)
        assert [each.revision for each in versions] == [5, 3]
        assert reader.count_changes(*key) == 5
        assert reader.count_changes(*key, deletions=False) == 4
        assert reader.count_changes("policy", "acme", "p2") == 0
        assert reader.count_changes("policy", "acme", "\ud800") == 0
