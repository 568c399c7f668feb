"""What every store promises (`pdp.store.port`), asked of each backend in the same words.

Here: records, the log of their changes, and transactions. `test_store_values.py` asks what can be
kept, `test_store_sharing.py` how several users of one store get on.
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


def add(transaction: Transaction, record: StoredEntity) -> StoredEntity:
    return transaction.put(record, actor="ann", summary=f"Put {record.id}")


def remove(transaction: Transaction, record: StoredEntity) -> None:
    transaction.delete(
        record.kind, record.tenant_id, record.id, actor="bob", summary=f"Deleted {record.id}"
    )


def put(store: Store, *records: StoredEntity) -> list[StoredEntity]:
    with store.write() as transaction:
        return [add(transaction, record) for record in records]


def delete(store: Store, record: StoredEntity) -> None:
    with store.write() as transaction:
        remove(transaction, record)


def get(store: Store, record: StoredEntity) -> StoredEntity | None:
    with store.read() as reader:
        return reader.get(record.kind, record.tenant_id, record.id)


def ids(records: Sequence[StoredEntity]) -> list[str]:
    return [record.id for record in records]


def test_a_fresh_store_has_nothing(store: Store) -> None:
    with store.read() as reader:
        assert reader.get("policy", "acme", "p1") is None
        assert not reader.list("policy", "acme")
        assert not reader.history("policy", "acme", "p1")
        assert not reader.changes(0)
        assert reader.tenants() == frozenset()
        assert reader.revision() == 0


def test_a_record_comes_back_as_it_was_put(store: Store) -> None:
    before = time.time()
    record = policy(name="No cards", action="block", nested={"list": [1, 2.5, None, True, "é"]})
    [kept] = put(store, record)
    assert kept == replace(
        record, revision=1, created_at=kept.created_at, updated_at=kept.created_at
    )
    assert before <= kept.created_at <= time.time()
    assert get(store, record) == kept


def test_an_update_keeps_what_the_creation_has_set(store: Store) -> None:
    [first, _] = put(store, policy("p1", v=1), policy("p2"))
    [second] = put(store, policy("p1", v=2))
    assert (second.created_at, second.revision) == (first.created_at, 3)
    assert second.updated_at >= first.updated_at
    with store.read() as reader:
        assert reader.list("policy", "acme")[0] == second  # still the first
        update, creation = reader.history("policy", "acme", "p1")
    assert (creation.op, creation.before, creation.after) == ("create", None, {"v": 1})
    assert (update.op, update.before, update.after) == ("update", {"v": 1}, {"v": 2})
    assert (update.actor, update.summary, update.at) == ("ann", "Put p1", second.updated_at)


def test_tenants_and_kinds_are_apart(store: Store) -> None:
    mine = policy(name="same", v=1)
    others = [
        policy(tenant="other", name="same", v=2),
        policy(kind="override", name="same", v=3),
        policy(tenant=PLATFORM, name="same", v=4),
    ]
    put(store, mine, *others)
    delete(store, mine)
    with store.read() as reader:
        assert not reader.list("policy", "acme")
        for other in others:
            found = reader.find(other.kind, other.tenant_id, "same")
            assert found is not None
            assert found.body == other.body
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
    with store.read() as reader:
        for key in (("a", "a", "a"), ("a", "a", text), ("a", text, "a"), (text, "a", "a")):
            got = reader.get(*key)
            assert got is not None
            assert (got.kind, got.tenant_id, got.id) == key
            assert reader.find(*key) == got
            assert [change.revision for change in reader.history(*key)] == [got.revision]
        assert ids(reader.list("a", "a")) == ["a", text]
        assert ids(reader.list("a", text)) == ids(reader.list(text, "a")) == ["a"]
        assert ids(reader.list_tenant("a")) == ["a", text, "a"]
        assert reader.tenants() == {"a", text}


def test_lists_are_in_order_of_creation(store: Store) -> None:
    put(store, policy("z"), policy("b", kind="rule"), policy("a"))
    put(store, policy("m"), policy("z", v=2))
    delete(store, policy("a"))
    put(store, policy("y"), policy("a"))
    with store.read() as reader:
        assert ids(reader.list("policy", "acme")) == ["z", "m", "y", "a"]
        assert ids(reader.list_tenant("acme")) == ["z", "b", "m", "y", "a"]


def test_a_name_belongs_to_one_record_until_it_is_deleted_or_renamed(store: Store) -> None:
    put(store, policy("p1", name="n"), policy("p2"), policy("p3"))  # no name is not a name
    with store.write() as transaction:
        with pytest.raises(NameTaken) as taken:
            add(transaction, policy("p2", name="n"))
        assert taken.value.holder_id == "p1"
        add(transaction, policy("p1", name="n", v=2))  # its own, and the transaction goes on
    delete(store, policy("p1"))
    put(store, policy("p2", name="n"))
    put(store, policy("p2", name="other"))
    put(store, policy("p1", name="n"))
    with store.read() as reader:
        found = reader.find("policy", "acme", "n")
        assert found is not None
        assert found.id == "p1"
        assert [change.revision for change in reader.changes(3)] == [4, 5, 6, 7, 8]


def test_a_deleted_record_is_gone_but_for_its_history(store: Store) -> None:
    record = policy(name="n", v=1)
    put(store, record)
    delete(store, record)
    assert get(store, record) is None
    with store.read() as reader:
        assert reader.find("policy", "acme", "n") is None
        assert not reader.list_tenant("acme")
        deletion, _ = reader.history("policy", "acme", "p1")
        assert (deletion.op, deletion.before, deletion.after) == ("delete", {"v": 1}, None)
        assert (deletion.actor, deletion.summary) == ("bob", "Deleted p1")
        assert reader.tenants() == {"acme"}
    with pytest.raises(KeyError):
        delete(store, record)
    with pytest.raises(KeyError):
        delete(store, policy("never"))


def test_a_record_put_again_after_its_deletion_is_created_anew(store: Store) -> None:
    [first] = put(store, policy(v=1))
    delete(store, first)
    [again] = put(store, policy(v=2))
    assert again.created_at == again.updated_at != first.created_at
    assert get(store, again) == again
    with store.read() as reader:
        creation = reader.history("policy", "acme", "p1")[0]
    assert (creation.op, creation.before, creation.after) == ("create", None, {"v": 2})


def test_revisions_are_global_and_the_log_can_be_read_on_from_any(store: Store) -> None:
    put(store, *(policy(f"p{n}", tenant=f"t{n % 3}") for n in range(10)))
    with store.read() as reader:
        everything = reader.changes(0)
        assert [change.revision for change in everything] == list(range(1, 11))
        assert [change.entity_id for change in everything] == [f"p{n}" for n in range(10)]
        assert reader.changes(4, limit=3) == everything[4:7]
        assert not reader.changes(4, limit=0)
        assert not reader.changes(4, limit=-1)
        assert not reader.changes(10)
        assert not reader.changes(2**70)
        assert reader.revision() == 10


def test_a_transaction_sees_what_it_writes_and_nobody_else_does(
    store: Store, open_store: Callable[[], Store]
) -> None:
    other = open_store()
    with store.write() as transaction:
        kept = add(transaction, policy(name="n"))
        assert transaction.get("policy", "acme", "p1") == kept
        assert transaction.revision() == kept.revision == 1
        assert transaction.changes(0) == transaction.new_changes
        assert [change.at for change in transaction.new_changes] == [transaction.now]
        assert get(other, kept) is None
    assert get(other, kept) == kept
    assert [change.entity_id for change in transaction.new_changes] == ["p1"]  # for who publishes


def test_a_transaction_that_fails_leaves_nothing(store: Store) -> None:
    put(store, policy("kept", name="n"))
    transactions = []

    def fail() -> None:
        with store.write() as transaction:
            transactions.append(transaction)
            remove(transaction, policy("kept"))
            add(transaction, policy("p1", tenant="new", name="n"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not transactions[0].new_changes
    with store.read() as reader:
        assert ids(reader.list_tenant("acme")) == ["kept"]
        assert reader.find("policy", "acme", "n") is not None
        assert not reader.history("policy", "new", "p1")
        assert (len(reader.changes(0)), reader.revision()) == (1, 1)
        assert reader.tenants() == {"acme"}
    [after] = put(store, policy("p1", tenant="new", name="n"))
    assert after.revision > 1
