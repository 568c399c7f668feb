"""The contract of counters: exact totals, complete reads by stamp, and no logged changes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from pdp.domain.usage import MAX_COUNT, Counter, CounterId, Counts
from pdp.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pdp.store.port import Store


def day(subject_id: str = "u1", *, tenant: str = "acme", start: int = 0) -> CounterId:
    return CounterId(tenant, "user", subject_id, "day", start)


def add(store: Store, additions: Mapping[CounterId, Counts]) -> None:
    with store.write() as transaction:
        transaction.add_counts(additions)


def read(store: Store, since: int = 0, limit: int = 1000) -> list[Counter]:
    with store.view() as reader:
        return list(reader.counters(since, limit))


def totals(store: Store) -> dict[CounterId, Counts]:
    return {counter.id: counter.counts for counter in read(store)}


def test_additions_add_up(store: Store) -> None:
    add(store, {day(): Counts(1, 20, 300), day("u2"): Counts(5)})
    add(store, {day(): Counts(2, 30, 400)})
    assert totals(store) == {day(): Counts(3, 50, 700), day("u2"): Counts(5)}


def test_every_part_of_the_id_identifies_a_counter(store: Store) -> None:
    ids = [
        CounterId("a", "user", "x", "day", 0),
        CounterId("b", "user", "x", "day", 0),
        CounterId("a", "group", "x", "day", 0),
        CounterId("a", "user", "X", "day", 0),
        CounterId("a", "user", "x", "month", 0),
        CounterId("a", "user", "x", "day", 86_400),
    ]
    add(store, {each: Counts(number) for number, each in enumerate(ids, 1)})
    assert totals(store) == {each: Counts(number) for number, each in enumerate(ids, 1)}


def test_a_negative_addition_subtracts(store: Store) -> None:
    add(store, {day(): Counts(3, 50, 70)})
    add(store, {day(): Counts(-1, -50, 0)})
    assert totals(store) == {day(): Counts(2, 0, 70)}


@pytest.mark.parametrize("first", [Counts(-1, -MAX_COUNT, -5), Counts()])
def test_a_total_is_never_negative(store: Store, first: Counts) -> None:
    add(store, {day(): first})
    add(store, {day(): Counts(-7, -7, -7)})
    assert totals(store) == {day(): Counts()}


def test_a_total_stays_within_the_numbers_of_json(store: Store) -> None:
    for _ in range(3):
        add(store, {day(): Counts(1, MAX_COUNT, MAX_COUNT * 1000)})
    assert totals(store) == {day(): Counts(3, MAX_COUNT, MAX_COUNT)}


def test_reading_from_the_last_stamp_misses_nothing_and_repeats_nothing(store: Store) -> None:
    add(store, {day(f"u{n}"): Counts(1) for n in range(5)})
    first = read(store, limit=3)
    rest = read(store, first[-1].stamp)
    assert [counter.stamp for counter in first + rest] == sorted(
        {counter.stamp for counter in first + rest}
    )
    assert {counter.id for counter in first + rest} == {day(f"u{n}") for n in range(5)}
    stamp = rest[-1].stamp
    assert read(store, stamp) == []
    add(store, {day("u1"): Counts(1)})
    assert [(counter.id, counter.counts) for counter in read(store, stamp)] == [
        (day("u1"), Counts(2))
    ]


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_that_is_not_positive_returns_no_counters(store: Store, limit: int) -> None:
    add(store, {day(): Counts(1)})
    assert read(store, limit=limit) == []


def test_old_windows_are_removed_and_stamps_are_never_used_again(store: Store) -> None:
    add(store, {day(start=0): Counts(1), day(start=86_400): Counts(2)})
    last = read(store)[-1].stamp
    with store.write() as transaction:
        transaction.forget_counters("month", 10**9)
        transaction.forget_counters("day", 10**9)
    assert read(store) == []
    add(store, {day(): Counts(1)})
    assert read(store, last)[0].stamp > last


def test_only_windows_that_began_before_are_removed(store: Store) -> None:
    add(store, {day(start=0): Counts(1), day(start=86_400): Counts(2)})
    with store.write() as transaction:
        transaction.forget_counters("day", 86_400)
    assert totals(store) == {day(start=86_400): Counts(2)}


def test_counting_makes_no_change_and_no_revision(store: Store) -> None:
    version = store.data_version()
    add(store, {day(): Counts(1)})
    with store.view() as reader:
        assert (reader.revision(), reader.changes(0), reader.tenants()) == (0, (), frozenset())
    assert store.data_version() != version


def test_a_rollback_undoes_additions(store: Store) -> None:
    def failing() -> None:
        with store.write() as transaction:
            transaction.add_counts({day(): Counts(1)})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing()
    assert read(store) == []


@pytest.mark.parametrize("subject_id", ["nul\0", "\ud800"])
def test_an_id_that_cannot_be_stored_is_refused(store: Store, subject_id: str) -> None:
    with store.write() as transaction:
        with pytest.raises(InvalidArgument, match="subject_id"):
            transaction.add_counts({day(): Counts(1), day(subject_id): Counts(1)})
        transaction.add_counts({day("fine"): Counts(1)})
    assert totals(store) == {day("fine"): Counts(1)}


def test_counters_persist(store: Store, open_store: Callable[..., Store]) -> None:
    add(store, {day(): Counts(1, 2, 3)})
    store.close()
    assert totals(open_store()) == {day(): Counts(1, 2, 3)}


def test_many_processes_add_to_one_counter(open_store: Callable[..., Store]) -> None:
    stores = [open_store() for _ in range(4)]

    def work(store: Store) -> None:
        for _ in range(25):
            add(store, {day(): Counts(1, 10, 100)})

    with ThreadPoolExecutor(len(stores)) as pool:
        list(pool.map(work, stores))
    assert totals(stores[0]) == {day(): Counts(100, 1000, 10_000)}
