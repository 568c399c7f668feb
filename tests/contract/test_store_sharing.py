"""The contract of sharing: consistent views, one writer at a time, data versions, and closing."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from pdp.domain.stored_entity import Change, StoredEntity
from pdp.errors import StoreUnavailable
from tests.support.servers import TIMEOUT_S
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from pdp.store.port import Store, Transaction

WRITES = 40


def add(transaction: Transaction, entity_id: str) -> StoredEntity:
    return transaction.put(
        StoredEntity("policy", "acme", entity_id, {}), actor="ann", summary="Put"
    )


def put(store: Store, entity_id: str) -> StoredEntity:
    with store.write() as transaction:
        return add(transaction, entity_id)


def ids(store: Store) -> list[str]:
    with store.view() as reader:
        return [entity.id for entity in reader.list("policy", "acme")]


def test_a_view_shows_the_moment_when_it_was_opened(
    store: Store, open_store: Callable[..., Store]
) -> None:
    put(store, "before")
    writer = open_store()
    with store.view() as reader:
        put(writer, "after")
        assert [entity.id for entity in reader.list("policy", "acme")] == ["before"]
        assert reader.get("policy", "acme", "after") is None
        assert (reader.revision(), len(reader.changes(0))) == (1, 1)
    assert ids(store) == ["before", "after"]


def test_a_second_writer_gives_up_after_the_busy_time_out(
    store: Store, open_store: Callable[..., Store]
) -> None:
    impatient = open_store(busy_timeout_s=0.05)
    with store.write() as transaction:
        add(transaction, "first")
        with pytest.raises(StoreUnavailable, match="Another writer"):
            put(impatient, "refused")
        assert ids(impatient) == []  # reading does not wait
    put(impatient, "second")
    assert ids(store) == ["first", "second"]


def test_a_second_writer_waits_and_then_sees_the_writes_of_the_first(
    store: Store, open_store: Callable[..., Store]
) -> None:
    waiting = open_store()
    started = threading.Event()

    def second() -> list[str]:
        started.set()
        with waiting.write() as transaction:
            entities = [entity.id for entity in transaction.list("policy", "acme")]
            add(transaction, "second")
            return entities

    with ThreadPoolExecutor(1) as thread:
        with store.write() as transaction:
            entities = thread.submit(second)
            started.wait()
            add(transaction, "first")
        assert entities.result() == ["first"]
    assert ids(store) == ["first", "second"]


def test_a_follower_reads_all_changes_of_two_writers(
    store: Store, open_store: Callable[..., Store]
) -> None:
    """The follower reads from its last revision while both write, as the workers of a server do."""
    writers = {name: open_store() for name in ("a", "b")}

    def write(name: str) -> list[int]:
        return [put(writers[name], f"{name}{n}").revision for n in range(WRITES)]

    followed: list[Change] = []
    with ThreadPoolExecutor(2) as threads:
        revisions = list(map(threads.submit, [write, write], writers))
        while not all(future.done() for future in revisions) or _follow(store, followed):
            _follow(store, followed)
    acknowledged = [revision for future in revisions for revision in future.result()]
    assert sorted(acknowledged) == [change.revision for change in followed]
    assert len(set(acknowledged)) == len(set(ids(store))) == 2 * WRITES


def _follow(store: Store, followed: list[Change]) -> bool:
    with store.view() as reader:
        changes = reader.changes(followed[-1].revision if followed else 0, limit=3)
    followed += changes
    return bool(changes)


def wait_for_another(store: Store, version: int) -> None:
    wait_until(lambda: store.data_version() != version, "the commit of the other store shows")


def test_the_data_version_changes_with_every_commit_of_any_store(
    store: Store, open_store: Callable[..., Store]
) -> None:
    other = open_store()
    version = store.data_version()
    for writer in (store, other, store, other):
        put(writer, "p1")
        if writer is other:
            wait_for_another(store, version)
        assert store.data_version() != version
        version = store.data_version()


def test_the_data_version_stays_without_a_commit(store: Store) -> None:
    put(store, "p1")
    version = store.data_version()
    ids(store)

    def fail() -> None:
        with store.write() as transaction:
            add(transaction, "p2")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert store.data_version() == version


def test_another_thread_can_read_the_data_version_during_a_transaction(
    store: Store,
) -> None:
    with ThreadPoolExecutor(1) as thread:
        before = thread.submit(store.data_version).result()
        with store.write() as transaction:
            add(transaction, "p1")
            assert thread.submit(store.data_version).result(TIMEOUT_S) == before
        assert thread.submit(store.data_version).result() != before


def test_different_threads_may_use_the_store_in_turn(store: Store) -> None:
    with ThreadPoolExecutor(1) as thread:
        thread.submit(put, store, "p1").result()
        assert ids(store) == ["p1"]
        thread.submit(store.close).result()


def test_a_closed_store_is_unavailable(store: Store, open_store: Callable[..., Store]) -> None:
    put(store, "p1")
    store.close()
    store.close()
    for use in (lambda: ids(store), lambda: put(store, "p2"), store.data_version):
        with pytest.raises(StoreUnavailable, match="closed"):
            use()
    assert ids(open_store()) == ["p1"]


def test_closing_the_store_ends_its_transaction(
    store: Store, open_store: Callable[..., Store]
) -> None:
    transactions = []

    def close_within() -> None:
        with store.write() as transaction:
            transactions.append(transaction)
            add(transaction, "p1")
            store.close()
            with pytest.raises(StoreUnavailable):
                add(transaction, "p2")

    with pytest.raises(StoreUnavailable):
        close_within()
    assert not transactions[0].new_changes
    assert ids(open_store()) == []


def test_a_view_or_transaction_ends_with_its_context(store: Store) -> None:
    with store.view() as reader:
        pass
    with pytest.raises(RuntimeError):
        reader.revision()
    with store.write() as transaction:
        add(transaction, "p1")
    with pytest.raises(RuntimeError):
        add(transaction, "p2")
    assert ids(store) == ["p1"]


def test_only_one_transaction_is_open_at_a_time_and_views_beside_it(store: Store) -> None:
    with store.write() as transaction:
        add(transaction, "p1")
        assert ids(store) == []
        with pytest.raises(RuntimeError):
            put(store, "p2")
        add(transaction, "p3")
    assert ids(store) == ["p1", "p3"]
