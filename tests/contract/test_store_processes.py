"""The contract of server processes: who is seen, and that nothing else changes by it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from pdp.domain.server_process import SeenProcess, ServerProcess
from pdp.errors import StoreUnavailable
from pdp.store.sql import processes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pdp.store.port import Store


def process(process_id: str = "a", **fields: Any) -> ServerProcess:
    values = {
        "host": "h",
        "pid": 7,
        "worker": 1,
        "version": "1.0",
        "revision": 42,
        "policies_age_s": 0.25,
        "draining": False,
        **fields,
    }
    return ServerProcess(process_id, **values)


def seen(store: Store) -> Sequence[SeenProcess]:
    with store.view() as reader:
        return reader.processes()


def ids(store: Store) -> list[str]:
    return [each.process.process_id for each in seen(store)]


def backdate(store: Store, seconds: float) -> None:
    """Moves all times to the past."""
    with store.write() as transaction:
        execute: Any = transaction._execute  # type: ignore[attr-defined] # no use case does this
        execute(
            "UPDATE processes SET started_at = started_at - ?, seen_at = seen_at - ?",
            seconds,
            seconds,
        )


def test_a_process_is_seen_as_it_says(store: Store) -> None:
    store.write_process(process())
    [only] = seen(store)
    assert only.process == process()
    assert only.started_at == only.seen_at
    assert only.unseen_s >= 0
    assert only.state == "serving"


def test_a_process_that_is_written_again_keeps_its_start(store: Store) -> None:
    store.write_process(process())
    backdate(store, 20)
    [first] = seen(store)
    later = process(revision=43, policies_age_s=1.5, draining=True)
    store.write_process(later)
    [again] = seen(store)
    assert (again.process, again.started_at, again.state) == (later, first.started_at, "draining")
    assert again.seen_at > first.seen_at


def test_a_process_that_is_not_seen_is_lost_then_forgotten(store: Store) -> None:
    store.write_process(process("a"))
    backdate(store, 31)
    store.write_process(process("b"))
    assert [(each.process.process_id, each.state) for each in seen(store)] == [
        ("a", "lost"),
        ("b", "serving"),
    ]
    backdate(store, 570)
    store.write_process(process("c"))
    assert ids(store) == ["b", "c"]


def test_a_process_that_leaves_is_removed(store: Store) -> None:
    store.write_process(process("a"))
    store.write_process(process("b"))
    store.remove_process("a")
    store.remove_process("unknown")
    assert ids(store) == ["b"]


def test_the_number_of_processes_is_bounded(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that were seen last are kept."""
    monkeypatch.setattr(processes, "MAX_PROCESSES", 3)
    for each in "abcde":
        backdate(store, 1)
        store.write_process(process(each))
    assert ids(store) == ["c", "d", "e"]


def test_processes_make_no_revision(store: Store) -> None:
    store.write_process(process())
    with store.view() as reader:
        assert reader.revision() == 0
        assert reader.changes(0) == ()
        assert reader.tenants() == frozenset()


def test_other_stores_see_them(open_store: Callable[..., Store]) -> None:
    first, second = open_store(), open_store()
    first.write_process(process("a"))
    second.write_process(process("b"))
    assert ids(first) == ids(second) == ["a", "b"]


def test_any_thread_writes_them(store: Store) -> None:
    store.write_process(process())

    def write(number: int) -> None:
        with suppress(StoreUnavailable):  # a process does not wait long for other writers
            store.write_process(process(f"p{number}"))

    with ThreadPoolExecutor(8) as threads:
        for number in range(32):
            threads.submit(write, number).add_done_callback(lambda done: done.result())
    assert "a" in ids(store)


def test_a_closed_store_takes_no_process(store: Store) -> None:
    store.close()
    with pytest.raises(StoreUnavailable):
        store.write_process(process())
    with pytest.raises(StoreUnavailable):
        store.remove_process("a")
