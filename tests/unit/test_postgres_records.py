"""What only a log of records in PostgreSQL can do, or get wrong: replicas, lost connections."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pdp.domain.audit_log import Retention
from pdp.errors import ConfigError, StoreUnavailable
from pdp.store import open_audit_log
from pdp.store.opening import exists
from pdp.store.postgres.records import log as log_module
from pdp.store.postgres.records.columns import search_values
from pdp.store.postgres.records.log import PostgresAuditLog
from pdp.store.postgres.records.writer import NewRecord
from pdp.store.setting_names import AUDIT_SETTING
from tests.support.audit_logs import EVERYTHING, body, fill, ids
from tests.support.postgres import postgres
from tests.support.postgres_records import begin_next_day, opener, run
from tests.support.servers import TIMEOUT_S
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from demo.postgres import PostgresServer
    from pdp.domain.audit_log import AuditLog

REPLICAS = 10


@pytest.fixture
def open_log(postgres_url: str) -> Iterator[Callable[..., AuditLog]]:
    """Opens the log as another replica would."""
    yield from opener(postgres_url)


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    """A server that the test may stop and kill. It writes to disk as in production."""
    with postgres() as server:
        yield server


def numbers(log: AuditLog, after: int) -> tuple[list[int], int]:
    """Reads on as a tail does; returns the numbers of the records, and the place to go on from."""
    rows = log.follow(EVERYTHING, after=after, limit=1000).records
    found = [int(json.loads(each.body)["decision_id"][1:]) for each in rows]
    return found, rows[-1].sequence if rows else after


class TestReplicas:
    def test_replicas_start_append_and_read_at_once(
        self, postgres_url: str, open_log: Callable[..., AuditLog]
    ) -> None:
        """A tail over all of them loses nothing and repeats nothing."""
        together = threading.Barrier(REPLICAS + 1)
        written = threading.Event()

        def write(replica: int) -> None:
            together.wait(TIMEOUT_S)
            log = open_log()
            for number in range(30):
                log.append([body(replica * 1000 + number * 2 + each) for each in range(2)])

        def read() -> list[int]:
            together.wait(TIMEOUT_S)
            log, after, result = open_log(), 0, list[int]()
            while True:
                is_last = written.is_set()
                found, after = numbers(log, after)
                result += found
                if is_last and not found:
                    return result

        with ThreadPoolExecutor(REPLICAS + 1) as threads:
            reader = threads.submit(read)
            writers = [threads.submit(write, replica) for replica in range(REPLICAS)]
            for each in writers:
                each.result(TIMEOUT_S)
            written.set()
            tailed = reader.result(TIMEOUT_S)
        expected = [replica * 1000 + n for replica in range(REPLICAS) for n in range(60)]
        assert sorted(tailed) == expected
        verification = open_log().verify()
        assert (verification.problems, verification.records) == ((), 60 * REPLICAS)
        assert run(postgres_url, "SELECT count(*) FROM chains") == [(REPLICAS,)]

    def test_a_tail_waits_for_a_commit_that_is_late(
        self, postgres_url: str, open_log: Callable[..., AuditLog]
    ) -> None:
        """Its record has a lower number than one that is committed before it."""
        log, other = open_log(), open_log()
        log.append([body(1)])
        other.append([body(2)])
        found, after = numbers(log, 0)
        assert found == [1, 2]
        with psycopg.connect(postgres_url) as late:
            late.execute("SELECT pdp_audit.draw()").fetchall()
            other.append([body(4)])
            assert numbers(log, after) == ([], after)
            assert log.get("acme", "d4") is not None, "a look-up by id does not wait"
            late.rollback()
        assert numbers(log, after)[0] == [4]

    @settings(
        max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
    )
    @given(
        steps=st.lists(
            st.sampled_from(["begin0", "begin1", "begin2", "end0", "end1", "end2", "read"]),
            max_size=30,
        )
    )
    def test_no_order_of_commits_lets_a_tail_miss_a_record(
        self, postgres_url: str, open_log: Callable[..., AuditLog], steps: list[str]
    ) -> None:
        log = open_log()
        assert isinstance(log, PostgresAuditLog)
        writers = [open_log() for _ in range(3)]
        open_contexts: dict[int, Any] = {}
        after, seen, expected = log.last(), list[int](), 0
        first = after
        for step in [*steps, "end0", "end1", "end2", "read"]:
            replica = int(step[-1]) if step[-1].isdigit() else -1
            writer = writers[replica]
            assert isinstance(writer, PostgresAuditLog)
            if step.startswith("begin") and replica not in open_contexts:
                context = writer._writer.transaction()
                transaction = context.__enter__()
                transaction.append([NewRecord.of(body(expected), b"")])
                expected += 1
                open_contexts[replica] = context
            elif step.startswith("end") and replica in open_contexts:
                open_contexts.pop(replica).__exit__(None, None, None)
            elif step == "read":
                found, after = numbers(log, after)
                seen += found
        assert sorted(seen) == list(range(expected))
        found, _ = numbers(log, first)
        assert found == seen, "all readers see the same order"
        for each in (log, *writers):
            each.close()

    def test_the_log_verifies_while_replicas_append_and_remove(
        self, open_log: Callable[..., AuditLog]
    ) -> None:
        logs = [open_log() for _ in range(4)]
        written = threading.Event()
        text = "x" * 1000

        def write(log: AuditLog) -> int:
            for number in range(40):
                log.append([body(number * 5 + each, redacted_text=text) for each in range(5)])
            return 200

        def remove(log: AuditLog) -> int:
            while not written.is_set():
                log.checkpoint()
                log.retain(Retention(max_bytes=150_000), 0.0)
            return 0

        def check(log: AuditLog) -> tuple[str, ...]:
            problems: tuple[str, ...] = ()
            while not (written.is_set() or problems):
                problems = log.verify().problems
            return problems

        with ThreadPoolExecutor(5) as threads:
            removers = [threads.submit(remove, each) for each in logs[2:]]
            checker = threads.submit(check, open_log())
            writers = [threads.submit(write, each) for each in logs[:2]]
            total = sum(each.result(TIMEOUT_S) for each in writers)
            written.set()
            for each in removers:
                each.result(TIMEOUT_S)
            assert checker.result(TIMEOUT_S) == ()
        verification = logs[0].verify()
        removed = sum(each.records for each in verification.removed)
        assert verification.problems == ()
        assert verification.records + removed == total
        assert removed > 0

    def test_an_export_has_the_records_of_its_own_replica(self, postgres_url: str) -> None:
        """Each replica exports its own, so that each record is exported once."""
        logs = [open_audit_log(postgres_url, replica=name) for name in ("a", "b", "a")]
        for number in range(30):
            logs[number % 3].append([body(number)])
        own = [int(json.loads(each.body)["decision_id"][1:]) for each in logs[0].read_on(0, 100)]
        assert own == [n for n in range(30) if n % 3 != 1]
        page = logs[1].read_on(0, 4)
        rest = logs[1].read_on(page[-1].sequence, 100)
        assert len(page) + len(rest) == 10
        for each in logs:
            each.close()

    def test_an_export_passes_over_removed_records(self, open_log: Callable[..., AuditLog]) -> None:
        log = open_log()
        for number in range(40):
            log.append([body(number, redacted_text="x" * 2000)])
        log.retain(Retention(max_bytes=log.size() // 4), 0.0)
        remaining = len(ids(log))
        assert remaining < 15
        assert len(log.read_on(0, 5)) == 5
        assert len(log.read_on(0, 100)) == remaining


class TestDays:
    def test_each_day_has_its_own_chains_and_partitions(
        self, postgres_url: str, open_log: Callable[..., AuditLog]
    ) -> None:
        log, other = open_log(), open_log()
        for number in range(0, 10, 2):
            log.append([body(number)])
            other.append([body(number + 1)])
            begin_next_day(postgres_url)
        log.append([body(10)])
        assert ids(log) == [f"d{number}" for number in range(10, -1, -1)]
        assert numbers(log, 0)[0] == list(range(11))
        verification = log.verify()
        assert (verification.problems, verification.records) == ((), 11)
        assert run(postgres_url, "SELECT count(*) FROM chains") == [(11,)]
        sql = "SELECT count(DISTINCT tableoid) FROM records"
        assert run(postgres_url, sql) == [(6,)]

    def test_replicas_create_a_missing_partition_at_once(
        self, postgres_url: str, open_log: Callable[..., AuditLog]
    ) -> None:
        logs = [open_log() for _ in range(REPLICAS)]
        for each in logs:
            each.append([body(0)])
        begin_next_day(postgres_url)
        with ThreadPoolExecutor(REPLICAS) as threads:
            list(threads.map(lambda log: log.append([body(1)]), logs))
        verification = logs[0].verify()
        assert (verification.problems, verification.records) == ((), 2 * REPLICAS)

    def test_partitions_are_created_ahead(
        self, postgres_url: str, open_log: Callable[..., AuditLog]
    ) -> None:
        log = open_log()
        log.append([body(0)])
        log.checkpoint()
        for _ in range(2):
            begin_next_day(postgres_url)
        partitions = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'records'::regclass"
        [before] = run(postgres_url, partitions)
        log.append([body(1)])
        assert run(postgres_url, partitions) == [before]

    def test_a_day_never_comes_back(
        self, postgres_url: str, open_log: Callable[..., AuditLog]
    ) -> None:
        """If the clock of the database is set back, the log stays in its day."""
        log = open_log()
        log.append([body(0)])
        begin_next_day(postgres_url)  # the clock is a day behind from now on
        log.append([body(1)])
        log.append([body(2)])
        assert numbers(log, 0)[0] == [0, 1, 2]
        assert log.verify().problems == ()

    def test_a_search_over_many_days_finds_all(
        self, postgres_url: str, open_log: Callable[..., AuditLog]
    ) -> None:
        log = open_log()
        for number in range(20):
            log.append([body(number, request_id="r")])
            begin_next_day(postgres_url)
        assert ids(log, request_id="r") == [f"d{number}" for number in range(19, -1, -1)]
        assert log.get("acme", "d0") is not None


class TestFailures:
    def test_a_restarted_database_is_used_again(self, own_server: PostgresServer) -> None:
        with closing(open_audit_log(own_server.url())) as log:
            fill(log)
            own_server.kill()
            with pytest.raises(StoreUnavailable):
                log.append([body(90)])
            with pytest.raises(StoreUnavailable):
                log.last()
            own_server.start()

            def appends() -> bool:
                try:
                    log.append([body(12)])
                except StoreUnavailable:
                    return False
                return True

            wait_until(appends, "the log takes records again")
            verification = log.verify()
            assert (verification.problems, verification.records) == ((), 13)

    def test_an_idle_connection_that_the_database_has_ended_is_replaced(
        self, postgres_url: str, open_log: Callable[..., AuditLog]
    ) -> None:
        """No decision fails because of it, and the chain goes on."""
        log = open_log()
        log.append([body(1)])
        run(
            postgres_url,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )

        def none_is_left() -> bool:
            sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            return run(postgres_url, sql) == [(1,)]

        wait_until(none_is_left, "the connections are ended")
        log.append([body(2)])
        assert run(postgres_url, "SELECT count(*) FROM chains") == [(1,)]
        assert log.verify().problems == ()

    def test_an_append_to_a_database_that_hangs_fails_in_time(
        self, own_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(log_module, "MARGIN_S", 0.5)
        with closing(open_audit_log(own_server.url(), busy_timeout_s=0.5)) as log:
            log.append([body(1)])
            processes = own_server.processes()
            for each in processes:
                os.kill(each, signal.SIGSTOP)
            try:
                begin = time.monotonic()
                with pytest.raises(StoreUnavailable):
                    log.append([body(2)])
                assert time.monotonic() - begin < TIMEOUT_S / 2
            finally:
                for each in processes:
                    os.kill(each, signal.SIGCONT)

    def test_a_read_only_database_refuses_records(
        self, postgres_url: str, open_log: Callable[..., AuditLog]
    ) -> None:
        log = open_log()
        log.append([body(1)])
        database = postgres_url.partition("@/")[2].partition("?")[0]
        run(postgres_url, f"ALTER DATABASE {database} SET default_transaction_read_only = on")
        with closing(psycopg.connect(postgres_url, autocommit=True)) as admin:
            admin.execute("SET default_transaction_read_only = off")
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        with pytest.raises(StoreUnavailable):
            log.append([body(2)])

    def test_a_commit_that_no_standby_confirms_is_none(self, own_server: PostgresServer) -> None:
        with closing(open_audit_log(own_server.url(), busy_timeout_s=1.0)) as log:
            log.append([body(1)])
            own_server.set("synchronous_standby_names=*")
            wait_until(
                lambda: own_server.execute("SHOW synchronous_standby_names") == [("*",)],
                "the setting is in force",
            )
            with pytest.raises(StoreUnavailable):
                log.append([body(2)])

    def test_a_tampered_chain_is_not_continued(
        self, postgres_url: str, open_log: Callable[..., AuditLog]
    ) -> None:
        """The records after it are in a new chain, so they are not lost."""
        log = open_log()
        log.append([body(1)])
        run(postgres_url, "UPDATE chains SET batches = 9")
        with pytest.raises(StoreUnavailable, match="pdp audit verify"):
            log.append([body(2)])
        log.append([body(3)])
        assert ids(log) == ["d3", "d1"]
        assert not log.verify().intact


class TestOpening:
    def test_a_log_that_does_not_exist_is_not_created(self, postgres_url: str) -> None:
        assert not exists(postgres_url, AUDIT_SETTING)
        open_audit_log(postgres_url).close()
        assert exists(postgres_url, AUDIT_SETTING)

    def test_a_database_that_cannot_be_reached_is_not_mistaken_for_none(self) -> None:
        with pytest.raises(StoreUnavailable):
            exists("postgresql://pdp@/x?host=/nowhere", AUDIT_SETTING)

    def test_the_schema_of_another_program_is_left_alone(self, postgres_url: str) -> None:
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            connection.execute("CREATE SCHEMA pdp_audit; CREATE TABLE pdp_audit.theirs (id int)")
        with pytest.raises(ConfigError, match="another program"):
            open_audit_log(postgres_url)

    def test_a_reader_alone_writes_nothing(
        self, postgres_url: str, open_log: Callable[..., AuditLog]
    ) -> None:
        log = open_log()
        log.checkpoint()
        log.retain(Retention(0.0, 1), 1e11)
        assert (log.last(), log.verify().problems) == (0, ())
        assert run(postgres_url, "SELECT count(*) FROM chains") == [(0,)]


@pytest.mark.parametrize(
    ("text", "tenant", "policies"),
    [
        ('{"tenant_id":"a"}', "a", ()),
        ('{"tenant_id":"a\\u0000b"}', "a\ufffdb", ()),
        ('{"tenant_id":"a\\ud800"}', "a\ufffd", ()),
        ('{"tenant_id":5}', None, ()),
        ("[]", None, ()),
        ("{", None, ()),
        ('{"tenant_id":"a","matches":[{"policy_id":"q"},{"policy_id":"p"},{"policy_id":"q"},{}]}',
         "a", ("p", "q")),
    ],
)  # fmt: skip
def test_columns_hold_what_the_database_can(
    text: str, tenant: str | None, policies: tuple[str, ...]
) -> None:
    values = search_values(text.encode())
    assert (values.columns.tenant_id, values.policy_ids) == (tenant, policies)
