"""What only a store in PostgreSQL can do, or get wrong: many hosts, lost connections, upgrades."""

from __future__ import annotations

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from queue import Queue
from typing import TYPE_CHECKING

import psycopg
import pytest

from pdp.domain.stored_entity import StoredEntity
from pdp.errors import ConfigError, StoreUnavailable
from pdp.store import open_store
from pdp.store.opening import location, public_url
from pdp.store.postgres import schema, store
from pdp.store.postgres.migrations import MIGRATIONS, SCHEMA, Migration
from pdp.store.postgres.session import DIALECT
from pdp.store.sql import approvals
from tests.support.postgres import postgres
from tests.support.servers import TIMEOUT_S
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from demo.postgres import PostgresServer
    from pdp.store.port import Store

REPLICAS = 10


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    """A server that the test may stop and kill. It writes to disk as in production."""
    with postgres() as server:
        yield server


def put(opened: Store, entity_id: str) -> int:
    with opened.write() as transaction:
        entity = StoredEntity("policy", "acme", entity_id, {})
        return transaction.put(entity, actor="ann", summary="Put").revision


def ids(opened: Store) -> list[str]:
    with opened.view() as reader:
        return [entity.id for entity in reader.list("policy", "acme")]


def execute(url: str, sql: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(sql.encode())
        return cursor.fetchall() if cursor.description else []


class TestSchema:
    def test_many_replicas_may_start_at_once(self, postgres_url: str) -> None:
        together = threading.Barrier(REPLICAS)

        def start(name: str) -> None:
            together.wait(TIMEOUT_S)
            with closing(open_store(postgres_url, busy_timeout_s=TIMEOUT_S)) as opened:
                put(opened, name)

        with ThreadPoolExecutor(REPLICAS) as threads:
            list(threads.map(start, map(str, range(REPLICAS))))
        with closing(open_store(postgres_url)) as opened:
            assert sorted(ids(opened)) == sorted(map(str, range(REPLICAS)))
            with opened.view() as reader:
                assert [each.revision for each in reader.changes(0)] == list(range(1, 11))

    def test_an_older_release_works_beside_an_expanded_schema(self, postgres_url: str) -> None:
        expand = Migration(
            f"ALTER TABLE {SCHEMA}.records ADD COLUMN note text NOT NULL DEFAULT ''", oldest=1
        )
        with closing(open_store(postgres_url)) as running:
            put(running, "before")
            with psycopg.connect(postgres_url, autocommit=True) as connection:
                for _ in range(2):
                    schema.prepare(connection, (*MIGRATIONS, expand))
            put(running, "after")
            with closing(open_store(postgres_url)) as started:
                put(started, "started")
                assert ids(running) == ["before", "after", "started"]
        assert execute(postgres_url, "SELECT schema_version FROM pdp.change_log") == [
            (len(MIGRATIONS) + 1,)
        ]

    def test_a_contracted_schema_stops_older_releases_whole(self, postgres_url: str) -> None:
        sql = f"COMMENT ON TABLE {SCHEMA}.records IS 'newer'"
        contract = Migration(sql, oldest=len(MIGRATIONS) + 1)
        with closing(open_store(postgres_url)) as running:
            put(running, "before")
            with psycopg.connect(postgres_url, autocommit=True) as connection:
                schema.prepare(connection, (*MIGRATIONS, contract))
            with pytest.raises(StoreUnavailable, match="newer version"):
                put(running, "after")
            assert ids(running) == ["before"]
        with pytest.raises(ConfigError, match="newer version"):
            open_store(postgres_url)

    def test_a_failed_migration_leaves_nothing_behind(self, postgres_url: str) -> None:
        broken = Migration("CREATE TABLE pdp.half (id int); SELECT 1 / 0", oldest=1)
        with (
            psycopg.connect(postgres_url, autocommit=True) as connection,
            pytest.raises(psycopg.errors.DivisionByZero),
        ):
            schema.prepare(connection, (*MIGRATIONS, broken))
        assert not execute(postgres_url, "SELECT 1 FROM pg_namespace WHERE nspname = 'pdp'")
        with closing(open_store(postgres_url)) as opened:
            put(opened, "p1")

    def test_the_schema_of_another_program_is_left_alone(self, postgres_url: str) -> None:
        execute(postgres_url, "CREATE SCHEMA pdp; CREATE TABLE pdp.theirs (id int)")
        with pytest.raises(ConfigError, match="another program"):
            open_store(postgres_url)
        tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'pdp'"
        assert execute(postgres_url, tables) == [("theirs",)]

    def test_a_schema_that_an_admin_has_created_is_used(self, postgres_url: str) -> None:
        execute(postgres_url, "CREATE SCHEMA pdp")
        with closing(open_store(postgres_url)) as opened:
            put(opened, "p1")

    @pytest.mark.parametrize(
        ("sql", "index", "parameters"),
        [
            (approvals._COUNT_OF_SUBJECT, "approvals_open", ("acme", "ann")),
            (approvals._DUE, "approvals_due", (5.0, 10)),
            (approvals._FORGET, "approvals_closed", ("approval", 5.0, 10)),
        ],
    )
    def test_approvals_are_found_by_their_indices(
        self, postgres_url: str, sql: str, index: str, parameters: tuple[object, ...]
    ) -> None:
        """The conditions of a statement must be those of the index, word by word."""
        open_store(postgres_url).close()
        with psycopg.connect(postgres_url, cursor_factory=psycopg.ClientCursor) as connection:
            connection.execute("SET search_path TO pdp")
            connection.execute("SET enable_seqscan = off")
            statement = f"EXPLAIN {DIALECT.statement(sql)}".encode()
            plan = str(connection.execute(statement, parameters).fetchall())
        assert index in plan


class TestLostConnections:
    def test_a_restarted_database_is_used_again(self, own_server: PostgresServer) -> None:
        with closing(open_store(own_server.url())) as opened:
            put(opened, "before")
            version = opened.data_version()
            own_server.kill()
            wait_until(lambda: fails(opened), "the database is known to be unavailable")
            with pytest.raises(StoreUnavailable):
                put(opened, "lost")
            with pytest.raises(StoreUnavailable):
                ids(opened)
            own_server.start()
            wait_until(lambda: not fails(opened), "the database answers again")
            assert opened.data_version() != version
            put(opened, "after")
            assert ids(opened) == ["before", "after"]

    def test_a_hanging_database_counts_as_unavailable(self, own_server: PostgresServer) -> None:
        with closing(open_store(own_server.url())) as opened, ExitStack() as undo:
            put(opened, "before")
            for process in own_server.processes():
                os.kill(process, signal.SIGSTOP)
                undo.callback(os.kill, process, signal.SIGCONT)
            wait_until(lambda: fails(opened), "the database is known to be unavailable")
            undo.close()
            wait_until(lambda: not fails(opened), "the database answers again")
            assert ids(opened) == ["before"]

    def test_a_write_whose_connection_is_lost_is_whole_or_absent(
        self, own_server: PostgresServer
    ) -> None:
        with closing(open_store(own_server.url())) as opened:
            put(opened, "before")

            def lose() -> None:
                with opened.write() as transaction:
                    entity = StoredEntity("policy", "acme", "lost", {})
                    transaction.put(entity, actor="ann", summary="Put")
                    own_server.kill()

            with pytest.raises(StoreUnavailable, match="whole or not at all"):
                lose()
            own_server.start()
            wait_until(lambda: not fails(opened), "the database answers again")
            assert ids(opened) == ["before"]

    def test_who_watches_hears_of_commits_and_of_a_new_connection(
        self, own_server: PostgresServer
    ) -> None:
        heard: Queue[int] = Queue()
        with (
            closing(open_store(own_server.url())) as opened,
            closing(open_store(own_server.url())) as other,
        ):
            opened.watch(lambda: heard.put(1))
            put(other, "p1")
            assert heard.get(timeout=TIMEOUT_S)
            own_server.kill()
            own_server.start()
            assert heard.get(timeout=TIMEOUT_S)

    def test_a_writer_that_stands_still_does_not_stop_the_others(
        self, postgres_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(store, "IDLE_S", 1)
        with (
            closing(open_store(postgres_url)) as hanging,
            closing(open_store(postgres_url, busy_timeout_s=TIMEOUT_S)) as opened,
        ):

            def hang() -> None:
                with hanging.write() as transaction:
                    entity = StoredEntity("policy", "acme", "hanging", {})
                    transaction.put(entity, actor="ann", summary="Put")
                    put(opened, "other")

            with pytest.raises(StoreUnavailable):
                hang()
            assert ids(opened) == ["other"]


def fails(opened: Store) -> bool:
    try:
        opened.data_version()
    except StoreUnavailable:
        return True
    return False


class TestUrls:
    SECRET = "s3cr3t-word"

    def test_what_is_shown_has_no_credentials(self) -> None:
        url = f"postgresql://bob:{self.SECRET}@db.example:6432/policies?sslmode=verify-full"
        assert public_url(url) == location(url) == "postgresql://db.example:6432/policies"
        several = f"postgresql://bob:{self.SECRET}@one:1,two:2/policies?sslmode=require"
        assert public_url(several) == "postgresql://one:1,two:2/policies"
        assert public_url("postgresql:///policies?host=/run/x") == (
            "postgresql:///policies?host=/run/x"
        )

    @pytest.mark.parametrize(
        "url",
        [
            f"postgresql://bob:{SECRET}@h/d?{SECRET}=1",
            f"postgresql://bob:{SECRET}%zz@h/d",
        ],
    )
    def test_a_url_that_is_not_valid_is_refused_without_its_text(self, url: str) -> None:
        with pytest.raises(ConfigError, match=r"PDP_DATABASE_URL: the URL is not valid") as caught:
            open_store(url)
        assert self.SECRET not in str(caught.value)
        assert caught.value.__cause__ is None

    @pytest.mark.parametrize("mode", ["", "?sslmode=prefer", "?sslmode=allow"])
    def test_a_connection_over_a_network_says_how_it_is_protected(self, mode: str) -> None:
        with pytest.raises(ConfigError, match="sslmode=verify-full"):
            open_store(f"postgresql://bob:{self.SECRET}@db.example/policies{mode}")

    @pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
    def test_loopback_needs_no_protection(self, host: str) -> None:
        with pytest.raises(StoreUnavailable, match="cannot be reached") as caught:
            open_store(f"postgresql://bob:{self.SECRET}@{host}:1/policies")
        assert self.SECRET not in str(caught.value)

    def test_a_missing_authority_is_not_passed_over(self) -> None:
        with pytest.raises(StoreUnavailable, match="files that the URL names for TLS"):
            open_store("postgresql://bob@127.0.0.1:1/d?sslmode=verify-full&sslrootcert=/none")

    def test_a_database_that_does_not_exist_is_named(self, postgres_server: PostgresServer) -> None:
        with pytest.raises(ConfigError, match="does not exist"):
            open_store(postgres_server.url("missing"))

    def test_a_user_who_may_not_log_in_is_named(self, postgres_server: PostgresServer) -> None:
        with pytest.raises(ConfigError, match="refuses the user"):
            open_store(postgres_server.url().replace("pdp@", "nobody@"))

    def test_a_user_who_may_not_create_is_told_what_to_grant(
        self, postgres_server: PostgresServer, postgres_url: str
    ) -> None:
        postgres_server.execute(
            "DO $$ BEGIN CREATE ROLE reader LOGIN; EXCEPTION WHEN duplicate_object THEN END $$"
        )
        with pytest.raises(ConfigError, match="GRANT CREATE"):
            open_store(postgres_url.replace("pdp@", "reader@"))

    def test_a_standby_is_refused_at_the_start(self, postgres_url: str) -> None:
        name = postgres_url.partition("@/")[2].partition("?")[0]
        execute(postgres_url, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        with pytest.raises(ConfigError, match="read-only"):
            open_store(postgres_url)
