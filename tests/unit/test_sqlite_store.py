"""The SQLite store beyond the contract: its file, its schema, and what it says when it fails."""

from __future__ import annotations

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from typing import TYPE_CHECKING, Final

import pytest
from sqlite_utils import Database
from sqlite_utils.migrations import Migrations

from pdp.domain.record import Record
from pdp.errors import ConfigError, PdpError, StoreUnavailable
from pdp.store import migrations
from pdp.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pdp.store.port import Transaction

OPENERS: Final = 8


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the store of the test is."""
    return tmp_path / "kept" / "store.db"


@pytest.fixture
def store(file: Path) -> Iterator[SqliteStore]:
    """A store that has one record, `first`."""
    with closing(opened(file)) as store:
        put(store, "first")
        yield store


def opened(file: Path, busy_timeout_s: float = 60.0) -> SqliteStore:
    return SqliteStore.open(f"sqlite:///{file}", busy_timeout_s=busy_timeout_s)


def add(transaction: Transaction, entity_id: str, text: str = "") -> None:
    record = Record("policy", "acme", entity_id, {"text": text}, entity_id)
    transaction.put(record, actor="ann", summary="Put")


def put(store: SqliteStore, entity_id: str, text: str = "") -> None:
    with store.write() as transaction:
        add(transaction, entity_id, text)


def ids(store: SqliteStore) -> list[str]:
    """The ids of the records, which must be those of the changes."""
    with store.read() as reader:
        found = [record.id for record in reader.list("policy", "acme")]
        assert [change.entity_id for change in reader.changes(0)] == found
        return found


def run(file: Path, *statements: str) -> list[tuple[object, ...]]:
    """What another program does to the file; returns the rows of the last statement."""
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        return [connection.execute(statement).fetchall() for statement in statements][-1]


def test_a_relative_url_is_below_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with closing(SqliteStore.open("sqlite:///new/dir/a%20b é.db")) as store:
        put(store, "first")
        monkeypatch.chdir("/")
        assert ids(store) == ["first"]
    assert (tmp_path / "new/dir/a%20b é.db").is_file()


NO_FILES: Final = """
    store.db /store.db sqlite:/a sqlite:// sqlite:/// sqlite://host/store.db sqlite:///:memory:
    sqlite:///directory/ sqlite:///a.db?mode=ro sqlite:///a\0b SQLITE:///a.db postgresql:///a.db
"""


@pytest.mark.parametrize("url", ["", *NO_FILES.split()])
def test_a_url_that_is_not_of_a_file_is_refused(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"must be sqlite:///"):
        SqliteStore.open(url)
    assert not list(tmp_path.iterdir())


def test_reopening_keeps_everything(store: SqliteStore, file: Path) -> None:
    store.close()
    with closing(opened(file)) as again:
        put(again, "second")
        assert ids(again) == ["first", "second"]


def test_the_file_is_durable_marked_and_strict(store: SqliteStore, file: Path) -> None:
    assert run(file, "PRAGMA journal_mode") == [("wal",)]
    assert run(file, "PRAGMA application_id") == [(migrations.APPLICATION_ID,)]
    assert run(file, "PRAGMA user_version") == [(migrations.SCHEMA_VERSION,)]
    connection = store._connection
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    assert connection.execute("PRAGMA foreign_keys").fetchone() == (1,)
    assert store._watcher.execute("PRAGMA busy_timeout").fetchone() == (0,)
    strict = "SELECT name FROM pragma_table_list WHERE strict ORDER BY name"
    assert run(file, strict) == [("changes",), ("records",)]
    applied = migrations.MIGRATIONS.applied(Database(connection))
    assert len(applied) == migrations.SCHEMA_VERSION


def test_the_schema_itself_keeps_names_apart(store: SqliteStore, file: Path) -> None:
    with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
        run(
            file,
            "INSERT INTO records SELECT tenant_id, kind, 'other', name, body, revision, seq,"
            " created_at, updated_at, deleted_at FROM records",
        )
    assert ids(store) == ["first"]


def test_no_statement_reads_a_whole_table(store: SqliteStore) -> None:
    statements: list[str] = []
    store._connection.set_trace_callback(statements.append)
    put(store, "second")
    with store.write() as transaction:
        transaction.delete("policy", "acme", "second", actor="ann", summary="Deleted")
    with store.read() as reader:
        reader.get("policy", "acme", "first")
        reader.find("policy", "acme", "first")
        reader.list("policy", "acme")
        reader.list_tenant("acme")
        reader.tenants()
        reader.history("policy", "acme", "first")
        reader.changes(0)
    store._connection.set_trace_callback(None)
    steps = [
        step
        for statement in statements
        for *_, step in store._connection.execute(f"EXPLAIN QUERY PLAN {statement}")
    ]
    assert {step for step in steps if step.startswith("SCAN")} <= {
        "SCAN tenant",
        "SCAN CONSTANT ROW",
    }
    # Only the list of a tenant's records, whose index orders them within each kind, is sorted.
    assert [step for step in steps if "TEMP" in step] == ["USE TEMP B-TREE FOR ORDER BY"]


@pytest.mark.parametrize("size", [10, 100_000])
def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path, size: int) -> None:
    file = tmp_path / "notes.txt"
    file.write_bytes(b"n" * size)
    with pytest.raises(ConfigError, match="not a store of this product"):
        opened(file)
    assert file.read_bytes() == b"n" * size


@pytest.mark.parametrize(
    "statement", ["CREATE TABLE mine (a)", "PRAGMA application_id = 7", "PRAGMA user_version = 7"]
)
def test_a_database_of_another_program_is_refused_and_left_alone(
    tmp_path: Path, statement: str
) -> None:
    file = tmp_path / "other.db"
    run(file, statement)
    content = file.read_bytes()
    with pytest.raises(ConfigError, match="another program"):
        opened(file)
    assert file.read_bytes() == content


def test_a_store_of_a_newer_version_is_refused(store: SqliteStore, file: Path) -> None:
    store.close()
    run(file, f"PRAGMA user_version = {migrations.SCHEMA_VERSION + 1}")
    with pytest.raises(ConfigError, match="newer version"):
        opened(file)


def test_a_place_where_no_file_can_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "directory.db").mkdir()
    with pytest.raises(ConfigError, match="cannot be opened or created"):
        opened(tmp_path / "directory.db")
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="directory cannot be made"):
        opened(tmp_path / "file" / "store.db")


def test_many_may_open_a_new_store_at_once(tmp_path: Path) -> None:
    barrier = threading.Barrier(OPENERS)

    def start(file: Path) -> None:
        barrier.wait()
        opened(file).close()

    with ThreadPoolExecutor(OPENERS) as threads:
        for round_ in range(10):
            list(threads.map(start, [tmp_path / f"{round_}.db"] * OPENERS))


def test_opening_waits_for_a_writer_only_where_it_must_migrate(tmp_path: Path, file: Path) -> None:
    with closing(opened(file)) as store, store.write():
        opened(file, busy_timeout_s=0.01).close()
    new = tmp_path / "new.db"
    with closing(sqlite3.connect(new, isolation_level=None)) as other, ThreadPoolExecutor() as pool:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="Another writer"):
            opened(new, busy_timeout_s=0.05)
        waiting = pool.submit(opened, new)
        assert not wait([waiting], timeout=0.2).done
        other.execute("ROLLBACK")
        waiting.result().close()


def test_a_migration_that_fails_leaves_nothing(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failing = Migrations("pdp")

    @failing()
    def good(db: Database) -> None:
        db.execute("CREATE TABLE good (a)")

    @failing()
    def bad(db: Database) -> None:
        db.execute("CREATE TABLE good (a)")

    with monkeypatch.context() as patch:
        patch.setattr(migrations, "MIGRATIONS", failing)
        with pytest.raises(ConfigError):
            opened(file)
    assert run(file, "SELECT * FROM sqlite_master") == []
    opened(file).close()


def test_a_store_that_can_only_be_read_says_so(store: SqliteStore) -> None:
    store._connection.execute("PRAGMA query_only = ON")
    with pytest.raises(StoreUnavailable, match="only be read"):
        put(store, "second")
    assert ids(store) == ["first"]


def test_a_full_disk_leaves_nothing_and_can_be_survived(store: SqliteStore, file: Path) -> None:
    [(pages,)] = run(file, "PRAGMA page_count")
    store._connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreUnavailable, match="full"), store.write() as transaction:
        add(transaction, "second", "t" * 100_000)
    assert ids(store) == ["first"]
    store._connection.execute("PRAGMA max_page_count = 10000")
    put(store, "second", "t" * 100_000)
    assert ids(store) == ["first", "second"]


def test_an_error_that_was_caught_does_not_commit_the_half(store: SqliteStore, file: Path) -> None:
    refuse = "WHEN new.id = 'second' BEGIN SELECT RAISE(ABORT, 'no'); END"
    run(file, f"CREATE TRIGGER refuse BEFORE INSERT ON records {refuse}")

    def write() -> None:
        with store.write() as transaction:
            add(transaction, "third")
            with pytest.raises(StoreUnavailable):
                add(transaction, "second")  # its change was logged by then
            with pytest.raises(StoreUnavailable):
                transaction.revision()

    with pytest.raises(StoreUnavailable):
        write()
    assert ids(store) == ["first"]
    run(file, "DROP TRIGGER refuse")
    put(store, "second")
    assert ids(store) == ["first", "second"]


def test_a_commit_that_fails_leaves_nothing(store: SqliteStore, file: Path) -> None:
    child = "(revision INTEGER REFERENCES changes DEFERRABLE INITIALLY DEFERRED)"
    break_it = "BEGIN INSERT INTO child VALUES (0); END"
    run(file, f"CREATE TABLE child {child}", f"CREATE TRIGGER t AFTER INSERT ON changes {break_it}")
    with pytest.raises(StoreUnavailable), store.write() as transaction:
        add(transaction, "second")
    assert not transaction.written
    assert ids(store) == ["first"]
    run(file, "DROP TRIGGER t")
    put(store, "second")


def test_a_damaged_body_is_not_taken_for_a_policy(store: SqliteStore, file: Path) -> None:
    for damage in ("UPDATE records SET body = '{'", "UPDATE records SET body = '[]'"):
        run(file, damage)
        with pytest.raises(StoreUnavailable, match="damaged"), store.read() as reader:
            reader.get("policy", "acme", "first")


def test_messages_hold_neither_sql_nor_paths(store: SqliteStore, file: Path) -> None:
    errors: list[PdpError] = []

    def collect(kind: type[PdpError], at: Path) -> None:
        with pytest.raises(kind) as caught, closing(opened(at, 0.01)) as opened_:
            put(opened_, "second")
        errors.append(caught.value)

    with store.write():
        collect(StoreUnavailable, file)
    run(file, "ALTER TABLE records RENAME COLUMN seq TO secret_column")
    collect(StoreUnavailable, file)
    collect(ConfigError, file.parent)
    (file.parent / "notes.db").write_bytes(b"n" * 5000)
    collect(ConfigError, file.parent / "notes.db")
    for error in errors:
        assert isinstance(error.__cause__, sqlite3.Error)
        for secret in (*file.parts[1:], "notes.db", "records", "column", "SELECT", "INSERT"):
            assert secret not in error.message
