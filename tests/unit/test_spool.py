"""The spool: order, cursors of connectors, size limit, and use by several processes."""

from __future__ import annotations

import sqlite3
import stat
import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from pdp.errors import ConfigError
from pdp.export.spool import DEAD_DROPPED, Spool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    new_spool = Spool(tmp_path / "exports.db", 10_000)
    new_spool.attach(["a", "b"])
    yield new_spool
    new_spool.close()


def add(spool: Spool, *names: str, size: int = 10) -> None:
    spool.append([(name, 1.0, b"x" * size) for name in names])


def waiting(spool: Spool, connector: str) -> list[str]:
    return [each.uid for each in spool.batch(connector, 1_000, 1_000_000)]


def take(spool: Spool, connector: str, count: int) -> None:
    spool.acknowledge(connector, spool.batch(connector, count, 1_000_000))


def test_each_connector_has_its_own_cursor(spool: Spool) -> None:
    add(spool, "1", "2", "3")
    take(spool, "a", 2)
    assert (waiting(spool, "a"), waiting(spool, "b")) == (["3"], ["1", "2", "3"])
    take(spool, "b", 3)
    take(spool, "a", 1)
    assert spool.waiting_bytes == 0
    assert spool._connection.execute("SELECT COUNT(*) FROM events").fetchone() == (0,)
    assert spool.statuses()["a"].delivered == 3


def test_a_batch_is_bounded_and_has_at_least_one_event(spool: Spool) -> None:
    add(spool, "1", "2", "3", size=100)
    assert [each.uid for each in spool.batch("a", 2, 1_000)] == ["1", "2"]
    assert [each.uid for each in spool.batch("a", 9, 250)] == ["1", "2"]
    assert [each.uid for each in spool.batch("a", 9, 1)] == ["1"]


def test_a_full_spool_drops_and_counts_the_oldest_events(spool: Spool) -> None:
    add(spool, *(str(number) for number in range(10)), size=900)
    take(spool, "a", 8)
    add(spool, "10", "11", size=900)
    statuses = spool.statuses()
    assert waiting(spool, "a") == ["8", "9", "10", "11"]
    assert waiting(spool, "b") == [str(number) for number in range(2, 12)]
    assert (statuses["a"].dropped, statuses["b"].dropped) == (0, 2)
    assert spool.waiting_bytes == 9_000


def test_a_new_connector_starts_with_the_next_event(spool: Spool) -> None:
    add(spool, "1")
    spool.attach(["a", "c"])
    add(spool, "2")
    assert waiting(spool, "a") == ["1", "2"]
    assert waiting(spool, "c") == ["2"]
    assert spool.statuses().keys() == {"a", "c"}
    take(spool, "a", 2)
    assert waiting(spool, "c") == ["2"], "the events of a removed connector are discarded"


def test_the_spool_persists(spool: Spool, tmp_path: Path) -> None:
    add(spool, "1", "2")
    spool.append([("3", 1.0, b"y")], {"changes": 7})
    take(spool, "a", 1)
    spool.record_failure("b", "down")
    other = Spool(tmp_path / "exports.db", 10_000)
    other.attach(["a", "b"])
    assert waiting(other, "a") == ["2", "3"]
    assert other.mark("changes") == 7
    standing = other.statuses()["b"]
    assert (standing.waiting, standing.last_error) == (3, "down")
    assert standing.failing_since is not None
    take(other, "b", 1)
    assert other.statuses()["b"].failing_since is None
    other.close()
    mode = (tmp_path / "exports.db").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600, "it contains webhook URLs"


def test_a_failed_transaction_changes_nothing(spool: Spool) -> None:
    def fail() -> None:
        with spool.transaction():
            add(spool, "1")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert waiting(spool, "a") == []
    assert spool.waiting_bytes == 0


def test_dead_letters_are_resent_to_their_own_connector(spool: Spool) -> None:
    add(spool, "1", "2")
    for connector in ("a", "b"):
        batch = spool.batch(connector, 2, 1_000)
        spool.acknowledge(connector, batch, [(batch[0], "no good")])
    assert [(each.destination, each.uid) for each in spool.dead_letters()] == [
        ("a", "1"),
        ("b", "1"),
    ]
    assert (spool.statuses()["a"].dead, spool.statuses()["a"].delivered) == (1, 1)
    assert spool.resend(destination="a") == 1
    assert (waiting(spool, "a"), waiting(spool, "b")) == (["1"], [])
    assert spool.count_dead_letters() == 1
    assert spool.resend([99]) == 0
    take(spool, "a", 1)
    assert spool.resend() == 1
    assert (waiting(spool, "a"), waiting(spool, "b")) == ([], ["1"])


def test_the_number_of_dead_letters_is_bounded(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pdp.export.spool.MAX_DEAD", 3)
    add(spool, *"12345")
    batch = spool.batch("a", 5, 1_000)
    spool.acknowledge("a", batch, [(each, "no good") for each in batch])
    assert [each.uid for each in spool.dead_letters()] == ["3", "4", "5"]
    assert spool.mark(DEAD_DROPPED) == 2


def test_a_file_that_is_not_a_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "exports.db").write_bytes(b"not a database, whatever its name says" * 100)
    with pytest.raises(sqlite3.DatabaseError):
        Spool(tmp_path / "exports.db", 1)


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("CREATE TABLE events (x)", "is not a spool"),
        ("PRAGMA user_version = 99", "newer version"),
    ],
    ids=["another program", "a newer version"],
)
def test_another_database_is_refused_and_unchanged(
    tmp_path: Path, statement: str, message: str
) -> None:
    file = tmp_path / "exports.db"
    if "version" in statement:
        Spool(file, 1).close()
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(statement)
        connection.commit()
    before = file.read_bytes()
    with pytest.raises(ConfigError, match=message):
        Spool(file, 1)
    assert file.read_bytes() == before


def test_processes_that_start_at_the_same_time_share_one_spool(tmp_path: Path) -> None:
    """As the workers of a new server do."""
    barrier = threading.Barrier(8)
    failures: list[Exception] = []

    def start() -> None:
        barrier.wait()
        try:
            spool = Spool(tmp_path / "exports.db", 1_000)
            spool.attach(["a"])
            spool.close()
        except (sqlite3.Error, ConfigError) as error:
            failures.append(error)

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
