"""The SQLite store beyond the contract: file, schema and error messages."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from sqlite_utils import Database

from pdp.domain.stored_entity import StoredEntity
from pdp.errors import ConfigError, PdpError, StoreUnavailable
from pdp.store.sql import approvals, transactions
from pdp.store.sqlite import migrations, schema
from pdp.store.sqlite.session import DIALECT
from pdp.store.sqlite.store import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pdp.store.port import Transaction


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The file of the store."""
    return tmp_path / "nested" / "store.db"


@pytest.fixture
def store(file: Path) -> Iterator[SqliteStore]:
    """A store with one entity, `first`."""
    with closing(open_file(file)) as store:
        put(store, "first")
        yield store


def open_file(file: Path, busy_timeout_s: float = 60.0) -> SqliteStore:
    return SqliteStore.open(f"sqlite:///{file}", busy_timeout_s=busy_timeout_s)


def add(transaction: Transaction, entity_id: str, text: str = "") -> None:
    entity = StoredEntity("policy", "acme", entity_id, {"text": text}, entity_id)
    transaction.put(entity, actor="ann", summary="Put")


def put(store: SqliteStore, entity_id: str, text: str = "") -> None:
    with store.write() as transaction:
        add(transaction, entity_id, text)


def ids(store: SqliteStore) -> list[str]:
    """Returns the ids of the entities, and checks that the changes have the same ids."""
    with store.view() as reader:
        entity_ids = [entity.id for entity in reader.list("policy", "acme")]
        assert [change.entity_id for change in reader.changes(0)] == entity_ids
        return entity_ids


def run(file: Path, *statements: str) -> list[tuple[object, ...]]:
    """Runs statements as another program would; returns the rows of the last one."""
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        return [connection.execute(statement).fetchall() for statement in statements][-1]


def test_entities_persist(store: SqliteStore, file: Path) -> None:
    store.close()
    with closing(open_file(file)) as again:
        put(again, "second")
        assert ids(again) == ["first", "second"]


def test_the_file_is_durable_and_marked_and_its_tables_are_strict(
    store: SqliteStore, file: Path
) -> None:
    assert run(file, "PRAGMA journal_mode") == [("wal",)]
    assert run(file, "PRAGMA application_id") == [(schema.APPLICATION_ID,)]
    assert run(file, "PRAGMA user_version") == [(schema.SCHEMA_VERSION,)]
    connection = store._connection
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    assert connection.execute("PRAGMA foreign_keys").fetchone() == (1,)
    assert store._version_connection.execute("PRAGMA busy_timeout").fetchone() == (0,)
    strict = "SELECT name FROM pragma_table_list WHERE strict ORDER BY name"
    tables = ["change_log", "changes", "counter_stamps", "counters", "processes", "records"]
    assert run(file, strict) == [(name,) for name in tables]
    applied = migrations.MIGRATIONS.applied(Database(connection))
    assert len(applied) == schema.SCHEMA_VERSION


def test_the_schema_enforces_unique_names(store: SqliteStore, file: Path) -> None:
    with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
        run(
            file,
            "INSERT INTO records SELECT tenant_id, kind, 'other', name, body, revision, seq,"
            " created_at, updated_at, deleted_at FROM records",
        )
    assert ids(store) == ["first"]


def test_no_statement_scans_a_whole_table(store: SqliteStore) -> None:
    statements: list[str] = []
    store._connection.set_trace_callback(statements.append)
    put(store, "second")
    with store.write() as transaction:
        transaction.delete("policy", "acme", "second", actor="ann", summary="Deleted")
        transaction.get("policy", "acme", "first")
        transaction.find("policy", "acme", "first")
        transaction.list("policy", "acme")
        transaction.list_tenant("acme")
        transaction.tenants()
        transaction.history("policy", "acme", "first")
        transaction.changes(0)
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
    # Only the list of a tenant needs a sort: the index is ordered within each kind only.
    assert [step for step in steps if "TEMP" in step] == ["USE TEMP B-TREE FOR ORDER BY"]


def test_a_write_to_a_read_only_store_is_refused(store: SqliteStore) -> None:
    store._connection.execute("PRAGMA query_only = ON")
    with pytest.raises(StoreUnavailable, match="read-only"):
        put(store, "second")
    assert ids(store) == ["first"]


def test_a_full_disk_changes_nothing_and_the_store_recovers(store: SqliteStore, file: Path) -> None:
    [(pages,)] = run(file, "PRAGMA page_count")
    store._connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreUnavailable, match="full"), store.write() as transaction:
        add(transaction, "second", "t" * 100_000)
    assert ids(store) == ["first"]
    store._connection.execute("PRAGMA max_page_count = 10000")
    put(store, "second", "t" * 100_000)
    assert ids(store) == ["first", "second"]


def test_half_a_transaction_is_never_committed_after_a_caught_error(
    store: SqliteStore, file: Path
) -> None:
    refuse = "WHEN new.id = 'second' BEGIN SELECT RAISE(ABORT, 'no'); END"
    run(file, f"CREATE TRIGGER refuse BEFORE INSERT ON records {refuse}")

    def write() -> None:
        with store.write() as transaction:
            add(transaction, "third")
            with pytest.raises(StoreUnavailable):
                add(transaction, "second")  # fails after its change was logged
            with pytest.raises(StoreUnavailable):
                transaction.revision()

    with pytest.raises(StoreUnavailable):
        write()
    assert ids(store) == ["first"]
    run(file, "DROP TRIGGER refuse")
    put(store, "second")
    assert ids(store) == ["first", "second"]


def test_a_failed_commit_changes_nothing(store: SqliteStore, file: Path) -> None:
    child = "(revision INTEGER REFERENCES changes DEFERRABLE INITIALLY DEFERRED)"
    violation = "BEGIN INSERT INTO child VALUES (0); END"
    run(
        file, f"CREATE TABLE child {child}", f"CREATE TRIGGER t AFTER INSERT ON changes {violation}"
    )
    with pytest.raises(StoreUnavailable), store.write() as transaction:
        add(transaction, "second")
    assert not transaction.new_changes
    assert ids(store) == ["first"]
    run(file, "DROP TRIGGER t")
    put(store, "second")


def test_a_damaged_body_is_an_error(store: SqliteStore, file: Path) -> None:
    for damage in ("UPDATE records SET body = '{'", "UPDATE records SET body = '[]'"):
        run(file, damage)
        with pytest.raises(StoreUnavailable, match="damaged"), store.view() as reader:
            reader.get("policy", "acme", "first")


def test_messages_contain_neither_sql_nor_paths(store: SqliteStore, file: Path) -> None:
    errors: list[PdpError] = []

    def collect(kind: type[PdpError], at: Path) -> None:
        with pytest.raises(kind) as caught, closing(open_file(at, 0.01)) as opened:
            put(opened, "second")
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


class TestDeletedFile:
    """The process can still write to the deleted file, but the store must not acknowledge it."""

    def test_no_write_starts(self, store: SqliteStore, file: Path) -> None:
        file.rename(file.with_name("moved.db"))
        with pytest.raises(StoreUnavailable, match="deleted or replaced"):
            store.data_version()
        started = False
        with pytest.raises(StoreUnavailable, match="deleted or replaced"), store.write():
            started = True
        assert not started

    def test_no_view_shows_another_file(self, store: SqliteStore, file: Path) -> None:
        file.rename(file.with_name("moved.db"))
        with pytest.raises(StoreUnavailable), store.view():
            pass
        assert not file.exists()
        SqliteStore.open(f"sqlite:///{file}").close()
        with pytest.raises(StoreUnavailable, match="deleted or replaced"), store.view():
            pass

    def test_a_write_that_has_started_is_not_acknowledged(
        self, store: SqliteStore, file: Path
    ) -> None:
        def write() -> None:
            with store.write() as transaction:
                add(transaction, "second")
                file.unlink()

        with pytest.raises(StoreUnavailable, match="deleted or replaced"):
            write()


@pytest.mark.parametrize(
    ("sql", "index"),
    [
        (
            "SELECT revision FROM changes WHERE tenant_id = ? AND revision < ?"
            " ORDER BY revision DESC LIMIT 10",
            "changes_of_tenant (tenant_id=? AND revision<?)",
        ),
        (transactions._HISTORY, "changes_of_entity (tenant_id=? AND kind=? AND entity_id=?"),
        (transactions._COUNT_CHANGES, "changes_of_entity (tenant_id=? AND kind=? AND entity_id=?)"),
        (transactions._COUNT_DELETIONS, "changes_deletions (tenant_id=? AND kind=?"),
        (transactions._PAGE.format(matching=""), "records_in_order (tenant_id=? AND kind=? AND"),
        (transactions._COUNT.format(matching=""), "records_in_order (tenant_id=? AND kind=?)"),
        (approvals._COUNT_OPEN, "approvals_open (tenant_id=?)"),
        (approvals._COUNT_OF_SUBJECT, "approvals_open (tenant_id=? AND <expr>=?)"),
        (approvals._DUE, "approvals_due (<expr><?)"),
    ],
)
def test_pages_are_read_from_an_index_without_sorting(
    store: SqliteStore, sql: str, index: str
) -> None:
    count = sql.count("?")
    plan = [
        detail
        for *_, detail in store._connection.execute(
            f"EXPLAIN QUERY PLAN {DIALECT.statement(sql)}", ("1",) * count
        )
    ]
    assert index in plan[0]
    assert not any("ORDER BY" in step for step in plan)
