"""Faults of three replicas under load, on real processes; docs/faults.md has the table.

Each test checks: no acknowledged write is lost, no answered decision lacks its record, no decision
was more permissive than the policies, and all replicas agree afterwards.
"""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg
import pytest

from pdp.store.postgres import schema
from pdp.store.postgres.migrations import MIGRATIONS, Migration
from tests.support import servers
from tests.support.network import Network
from tests.support.postgres import PostgresOnDisk, postgres
from tests.support.replica_load import agree, check, under_load
from tests.support.replicas import restart, start_replicas
from tests.support.server_patches import CLOCK_COMMAND
from tests.support.servers import TIMEOUT_S
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from demo.postgres import PostgresServer
    from tests.support.replica_load import ReplicaLoad
    from tests.support.servers import Server

pytestmark = pytest.mark.soak

WRITES = 5
SYNCHRONOUS = ("synchronous_standby_names=*",)


@contextmanager
def load(replicas: list[Server], fault: str, records_url: str = "") -> Iterator[ReplicaLoad]:
    """Runs the load around a fault, then checks what is left; prints the time until agreement."""
    with under_load(replicas, records_url) as result:
        result.wait_for_writes(WRITES)
        yield result
        seconds = agree(replicas, f"After {fault}")
        result.wait_for_writes(WRITES)
    check(result, replicas)
    print(
        f"{fault}: {len(result.acknowledged)} writes, {result.load.answers.total()} decisions,"
        f" {result.load.unserved} calls not served, agreement after {seconds:.2f} s"
    )
    for each in replicas:
        each.process.send_signal(signal.SIGTERM)
        each.process.wait(TIMEOUT_S)
    assert not result.unrecorded()


def test_a_killed_replica(tmp_path: Path) -> None:
    with postgres() as database, start_replicas(tmp_path, database.url()) as replicas:
        killed = replicas[0]
        with load(replicas, "kill of a replica") as result:
            killed.process.send_signal(signal.SIGKILL)
            killed.process.wait(TIMEOUT_S)
            result.wait_for_writes(WRITES)
            replicas[0] = restart(killed, database.url())


def test_a_killed_database(tmp_path: Path) -> None:
    with (
        postgres() as database,
        start_replicas(tmp_path, database.url()) as replicas,
        load(replicas, "kill of the database") as result,
    ):
        database.kill()
        result.load.wait_for(3 * len(replicas))  # decisions go on
        database.start()


def test_a_killed_replica_that_records_in_the_database(tmp_path: Path) -> None:
    with postgres() as database:
        url = database.url()
        with (
            start_replicas(tmp_path, url, PDP_AUDIT_URL=url) as replicas,
            load(replicas, "kill of a replica, shared records", url) as result,
        ):
            killed = replicas[0]
            killed.process.send_signal(signal.SIGKILL)
            killed.process.wait(TIMEOUT_S)
            result.wait_for_writes(WRITES)
            replicas[0] = restart(killed, url, PDP_AUDIT_URL=url)


def test_a_killed_database_that_has_the_records(tmp_path: Path) -> None:
    """Decisions that must be recorded are BLOCK until it is back."""
    with postgres() as database:
        url = database.url()
        with (
            start_replicas(tmp_path, url, PDP_AUDIT_URL=url) as replicas,
            load(replicas, "kill of the database, shared records", url) as result,
        ):
            database.kill()
            result.load.wait_for(3 * len(replicas))
            database.start()


@pytest.mark.parametrize("how", ["hold", "cut"])
def test_a_network_that_is_interrupted(tmp_path: Path, how: str) -> None:
    with postgres() as database, Network(database.socket) as network:
        direct = database.url()
        url = f"postgresql://pdp@127.0.0.1:{network.port}/postgres"
        with (
            start_replicas(tmp_path / "far", url, count=1) as far,
            start_replicas(tmp_path / "near", direct, count=2) as near,
        ):
            replicas = [*near, *far]
            with load(replicas, f"{how} of the network") as result:
                getattr(network, how)()
                if how == "hold":
                    wait_until(lambda: far[0].metric("pdp_snapshot_age_seconds") > 1, "it is noted")
                result.load.wait_for(3 * len(replicas))
                network.release()


def test_a_full_disk(tmp_path: Path) -> None:
    with (
        PostgresOnDisk("max_wal_size=8MB", "min_wal_size=2MB", size_mb=96) as database,
        start_replicas(tmp_path, database.url()) as replicas,
        load(replicas, "full disk of the database") as result,
    ):
        database.disk.fill()
        result.load.wait_for(3 * len(replicas))
        wait_until(lambda: not writes(database), "the database cannot write")
        database.disk.free()
        if not database.runs():
            database.start()


def test_a_standby_becomes_the_primary(tmp_path: Path) -> None:
    with postgres() as primary, postgres(copy_of=primary) as standby:
        primary.set(*SYNCHRONOUS)
        url = (
            f"postgresql://pdp@/postgres?host={primary.directory},{standby.directory}"
            "&target_session_attrs=read-write"
        )
        with (
            start_replicas(tmp_path, url) as replicas,
            load(replicas, "failover to a standby") as result,
        ):
            primary.kill()
            result.load.wait_for(3 * len(replicas))
            standby.execute("SELECT pg_promote()")


def test_clocks_that_are_ten_minutes_apart(tmp_path: Path) -> None:
    with postgres() as database:
        replicas = []
        try:
            for number, seconds in enumerate((-600, 0, 600)):
                folder = tmp_path / f"replica{number}"
                folder.mkdir()
                (folder / "clock").write_text(str(seconds))
                settings = {"PDP_DATABASE_URL": database.url()}
                replicas.append(servers.start(folder, command=CLOCK_COMMAND, **settings))
            with load(replicas, "clocks ten minutes apart") as result:
                result.wait_for_writes(WRITES)
            times = [
                at for (at,) in database.execute("SELECT at FROM pdp.changes ORDER BY revision")
            ]
            assert times == sorted(times)
            assert times[-1] - times[0] < 600
        finally:
            for each in replicas:
                each.__exit__(None, None, None)


def test_a_rolling_upgrade(tmp_path: Path) -> None:
    """The newer release expands the schema; old replicas work beside it until they are replaced."""
    with (
        postgres() as database,
        start_replicas(tmp_path, database.url()) as replicas,
        load(replicas, "rolling upgrade") as result,
    ):
        expand = Migration("ALTER TABLE pdp.records ADD COLUMN note text", oldest=1)
        with psycopg.connect(database.url(), autocommit=True) as connection:
            schema.prepare(connection, (*MIGRATIONS, expand))
        for number, old in enumerate(list(replicas)):
            replicas[number] = restart(old, database.url())
            result.wait_for_writes(1)


def writes(database: PostgresServer) -> bool:
    """Returns whether the database still takes a write of some size."""
    try:
        database.execute(
            "CREATE TABLE IF NOT EXISTS filler (text text);"
            "INSERT INTO filler SELECT repeat(md5(n::text), 100) FROM generate_series(1, 3000) AS n"
        )
    except psycopg.Error:
        return False
    return True
