"""Opening a SQLite store: URLs, files, and several processes at the same time."""

from __future__ import annotations

import os
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from typing import TYPE_CHECKING, Final

import pytest
from sqlite_utils.migrations import Migrations

from pdp.errors import ConfigError, StoreUnavailable
from pdp.store.sqlite import migrations, schema
from pdp.store.sqlite.audit_log import SqliteAuditLog
from pdp.store.sqlite.store import SqliteStore

if TYPE_CHECKING:
    from pathlib import Path

    from sqlite_utils import Database

OPENERS: Final = 8

INVALID_URLS: Final = """
    store.db /store.db sqlite:/a sqlite:// sqlite:/// sqlite://host/store.db sqlite:///:memory:
    sqlite:///directory/ sqlite:///a.db?mode=ro sqlite:///a\0b SQLITE:///a.db postgresql:///a.db
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The file of the store."""
    return tmp_path / "nested" / "store.db"


def open_file(file: Path, busy_timeout_s: float = 60.0) -> SqliteStore:
    return SqliteStore.open(f"sqlite:///{file}", busy_timeout_s=busy_timeout_s)


def run(file: Path, *statements: str) -> list[tuple[object, ...]]:
    """Runs statements as another program would; returns the rows of the last one."""
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        return [connection.execute(statement).fetchall() for statement in statements][-1]


def test_a_relative_path_is_below_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with closing(SqliteStore.open("sqlite:///new/dir/a%20b é.db")) as store:
        monkeypatch.chdir("/")
        store.data_version()
    assert (tmp_path / "new/dir/a%20b é.db").is_file()


@pytest.mark.parametrize("url", ["", *INVALID_URLS.split()])
def test_an_invalid_url_is_refused(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"^PDP_DATABASE_URL: .* Use sqlite:///PATH"):
        SqliteStore.open(url)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("size", [10, 100_000])
def test_a_file_that_is_not_a_database_is_refused_and_unchanged(tmp_path: Path, size: int) -> None:
    file = tmp_path / "notes.txt"
    file.write_bytes(b"n" * size)
    with pytest.raises(ConfigError, match="not a database of this product"):
        open_file(file)
    assert file.read_bytes() == b"n" * size


@pytest.mark.parametrize(
    "statement", ["CREATE TABLE mine (a)", "PRAGMA application_id = 7", "PRAGMA user_version = 7"]
)
def test_a_database_of_another_program_is_refused_and_unchanged(
    tmp_path: Path, statement: str
) -> None:
    file = tmp_path / "other.db"
    run(file, statement)
    content = file.read_bytes()
    with pytest.raises(ConfigError, match="another program"):
        open_file(file)
    assert file.read_bytes() == content


def test_a_store_of_a_newer_version_is_refused(file: Path) -> None:
    open_file(file).close()
    run(file, f"PRAGMA user_version = {schema.SCHEMA_VERSION + 1}")
    with pytest.raises(ConfigError, match="newer version"):
        open_file(file)


def test_a_path_that_cannot_be_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "directory.db").mkdir()
    with pytest.raises(ConfigError, match="cannot be opened or created"):
        open_file(tmp_path / "directory.db")
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="directory of the database cannot be created"):
        open_file(tmp_path / "file" / "store.db")


def test_many_threads_can_open_a_new_store_at_the_same_time(tmp_path: Path) -> None:
    barrier = threading.Barrier(OPENERS)

    def start(file: Path) -> None:
        barrier.wait()
        open_file(file).close()

    with ThreadPoolExecutor(OPENERS) as threads:
        for round_ in range(10):
            list(threads.map(start, [tmp_path / f"{round_}.db"] * OPENERS))


def test_opening_waits_for_a_writer_only_if_it_must_migrate(tmp_path: Path, file: Path) -> None:
    with closing(open_file(file)) as store, store.write():
        open_file(file, busy_timeout_s=0.01).close()
    new = tmp_path / "new.db"
    with closing(sqlite3.connect(new, isolation_level=None)) as other, ThreadPoolExecutor() as pool:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="Another writer"):
            open_file(new, busy_timeout_s=0.05)
        waiting = pool.submit(open_file, new)
        assert not wait([waiting], timeout=0.2).done
        other.execute("ROLLBACK")
        waiting.result().close()


def test_a_failed_migration_changes_nothing(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
            open_file(file)
    assert run(file, "SELECT * FROM sqlite_master") == []
    open_file(file).close()


@pytest.mark.parametrize("kind", [SqliteStore, SqliteAuditLog], ids=["policies", "records"])
def test_only_the_owner_can_read_the_files(
    file: Path, kind: type[SqliteStore | SqliteAuditLog]
) -> None:
    """The umask does not matter. SQLite gives its own files the permissions of the database."""
    before = os.umask(0)
    try:
        with closing(kind.open(f"sqlite:///{file}")):
            rights = {each.name: each.stat().st_mode & 0o777 for each in file.parent.iterdir()}
    finally:
        os.umask(before)
    assert rights == dict.fromkeys(["store.db", "store.db-wal", "store.db-shm"], 0o600)


@pytest.mark.parametrize("kind", [SqliteStore, SqliteAuditLog])
def test_only_the_owner_can_use_a_directory_that_is_created(
    tmp_path: Path, kind: type[SqliteStore | SqliteAuditLog]
) -> None:
    """The umask does not matter. A directory that exists keeps its permissions."""
    existing = tmp_path / "existing"
    existing.mkdir()
    existing.chmod(0o755)
    before = os.umask(0)
    try:
        for directory in (tmp_path / "new", existing):
            with closing(kind.open(f"sqlite:///{directory}/store.db")):
                pass
    finally:
        os.umask(before)
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
    assert existing.stat().st_mode & 0o777 == 0o755
