"""The contract of `Store.view`: consistent views of any thread, beside a transaction."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from pdp.domain.stored_entity import StoredEntity
from pdp.errors import StoreUnavailable
from tests.support.servers import TIMEOUT_S

if TYPE_CHECKING:
    from pdp.store.port import Store, Transaction

VIEWS = 12


def add(transaction: Transaction, entity_id: str) -> None:
    entity = StoredEntity("policy", "acme", entity_id, {})
    transaction.put(entity, actor="ann", summary="Put")


def put(store: Store, entity_id: str) -> None:
    with store.write() as transaction:
        add(transaction, entity_id)


def ids(store: Store) -> list[str]:
    with store.view() as reader:
        return [entity.id for entity in reader.list("policy", "acme")]


def test_a_view_shows_what_was_committed_when_it_was_opened(store: Store) -> None:
    put(store, "before")
    with store.view() as reader:
        put(store, "after")
        assert [entity.id for entity in reader.list("policy", "acme")] == ["before"]
        assert reader.revision() == 1
    assert ids(store) == ["before", "after"]


def test_a_view_does_not_wait_for_a_transaction(store: Store) -> None:
    put(store, "before")
    with store.write() as transaction:
        add(transaction, "uncommitted")
        with ThreadPoolExecutor(1) as thread:
            assert thread.submit(ids, store).result(TIMEOUT_S) == ["before"]
    assert ids(store) == ["before", "uncommitted"]


def test_any_number_of_threads_have_views_at_the_same_time(store: Store) -> None:
    put(store, "before")
    together = threading.Barrier(VIEWS)

    def read(_: int) -> int:
        with store.view() as reader:
            together.wait(TIMEOUT_S)
            return len(reader.list("policy", "acme"))

    with ThreadPoolExecutor(VIEWS) as threads:
        assert list(threads.map(read, range(VIEWS))) == [1] * VIEWS
    assert ids(store) == ["before"]


def test_a_view_ends_with_its_context(store: Store) -> None:
    with store.view() as reader:
        pass
    with pytest.raises(RuntimeError, match="ended"):
        reader.revision()
    with pytest.raises(ZeroDivisionError), store.view():
        raise ZeroDivisionError
    assert ids(store) == []


def test_a_closed_store_has_no_views(store: Store) -> None:
    with store.view() as reader:
        store.close()
        assert reader.revision() == 0
    for _ in range(2):
        with pytest.raises(StoreUnavailable), store.view():
            pass
