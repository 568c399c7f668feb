"""Replicas that share the log of decision records in PostgreSQL."""

from __future__ import annotations

import json
import signal
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

import httpx2
import pytest

from pdp.domain.audit_log import RecordFilter
from pdp.store import open_audit_log
from tests.support import servers
from tests.support.faults import RIVAL
from tests.support.postgres import postgres
from tests.support.postgres_records import run
from tests.support.replicas import start_replicas, views_of, wait_for_all
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from demo.postgres import PostgresServer
    from tests.support.faults import Tenant
    from tests.support.servers import Server

AUDIT: Final = "/api/admin/audit"
DECISIONS: Final = 10
"""How many decisions a test makes through each replica."""


@pytest.fixture(scope="module")
def database_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The database of policies and records."""
    url = postgres_server.create_database()
    yield url
    postgres_server.drop_database(url)


@pytest.fixture(scope="module")
def replicas(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Server]]:
    directory = tmp_path_factory.mktemp("replicas")
    with start_replicas(directory, database_url, PDP_AUDIT_URL=database_url) as started:
        yield started


def blocking_views(tenant: str, replicas: list[Server]) -> list[Tenant]:
    """Returns the tenant, as each replica has it; a word is blocked, so decisions have records."""
    views = views_of(tenant, replicas)
    views[0].create("No rivals")
    wait_for_all(replicas, views[0].revision)
    return views


def listed(server: Server, tenant: str, **filters: Any) -> list[str]:
    with server.client(tenant) as client:
        answer = client.get(f"{AUDIT}/records", params={"limit": 1000, **filters})
    assert answer.status_code == httpx2.codes.OK, answer.text
    return [each["decision_id"] for each in answer.json()["records"]]


def test_a_decision_through_one_replica_is_read_through_all(
    replicas: list[Server], tenant: str
) -> None:
    views = blocking_views(tenant, replicas)
    ids = [view.decide()["decision_id"] for view in views for _ in range(DECISIONS)]
    for each in replicas:
        assert listed(each, tenant) == ids[::-1]
        with each.client(tenant) as client:
            assert client.get(f"{AUDIT}/records/{ids[0]}").status_code == httpx2.codes.OK
            exported = client.get(f"{AUDIT}/export").text.splitlines()
            assert [json.loads(line)["decision_id"] for line in exported] == ids
            assert client.get(f"{AUDIT}/verify").json()["problems"] == []
        assert not (each.data_dir / "audit.db").exists()


def test_pages_of_several_replicas_make_one_list(replicas: list[Server], tenant: str) -> None:
    views = blocking_views(tenant, replicas)
    ids = [view.decide()["decision_id"] for _ in range(DECISIONS) for view in views]
    pages: list[str] = []
    cursor = ""
    for number in range(100):
        with replicas[number % len(replicas)].client(tenant) as client:
            page = client.get(f"{AUDIT}/records", params={"limit": 4, "cursor": cursor}).json()
        pages += [each["decision_id"] for each in page["records"]]
        cursor = page.get("next_cursor", "")
        if not cursor:
            break
    assert pages == ids[::-1]


def test_a_tail_has_the_decisions_of_all_replicas(replicas: list[Server], tenant: str) -> None:
    views = blocking_views(tenant, replicas)
    expected = len(views) * DECISIONS
    decided: list[str] = []

    def decide(view: Tenant) -> None:
        decided.extend(view.decide()["decision_id"] for _ in range(DECISIONS))

    tailed: list[str] = []
    with (
        replicas[0].client(tenant) as client,
        client.stream("GET", f"{AUDIT}/tail", params={"cursor": "0"}) as tail,
    ):
        threads = [threading.Thread(target=decide, args=(view,)) for view in views]
        for each in threads:
            each.start()
        for line in tail.iter_lines():
            tailed.append(json.loads(line)["decision_id"])
            if len(tailed) == expected:
                break
        for each in threads:
            each.join()
    assert sorted(tailed) == sorted(decided)


def test_commands_read_the_log_without_a_server(
    replicas: list[Server], database_url: str, tenant: str
) -> None:
    [view, *_] = blocking_views(tenant, replicas)
    decision = view.decide()["decision_id"]
    embedded = ("--embedded", "--database-url", database_url)
    verified = servers.run_pdp("audit", "verify", "--json", *embedded, PDP_AUDIT_URL=database_url)
    assert servers.json_output(verified)["intact"] is True
    shown = servers.run_pdp(
        "audit",
        "show",
        decision,
        "--json",
        "--tenant",
        tenant,
        *embedded,
        PDP_AUDIT_URL=database_url,
    )
    assert servers.json_output(shown)["decision_id"] == decision


def test_a_log_that_does_not_exist_does_not_verify(postgres_url: str) -> None:
    open_audit_log(postgres_url).close()
    run(postgres_url, "DROP SCHEMA pdp_audit CASCADE")
    verified = servers.run_pdp("audit", "verify", "--embedded", PDP_AUDIT_URL=postgres_url)
    assert verified.returncode != 0


def test_an_export_to_parquet_is_refused_with_a_reason(postgres_url: str, tmp_path: Path) -> None:
    open_audit_log(postgres_url).close()
    arguments = ("audit", "export", "--format", "parquet", "--output", str(tmp_path / "export"))
    refused = servers.run_pdp(*arguments, PDP_DATABASE_URL=postgres_url, PDP_AUDIT_URL=postgres_url)
    assert refused.returncode != 0
    assert "PDP_AUDIT_URL: records in PostgreSQL cannot be exported to Parquet" in refused.stderr


def test_a_password_is_never_shown(postgres_url: str, tmp_path: Path) -> None:
    url = postgres_url.replace("pdp@", "pdp:secret-word@").replace("?host=", "?host=/nowhere,")
    with servers.launch(tmp_path, PDP_AUDIT_URL=url.replace("/nowhere,", "/nowhere#")) as server:
        assert server.wait() != 0
    assert "secret-word" not in "".join(server.lines)


class TestFailures:
    def test_no_record_that_was_acknowledged_is_lost_with_a_replica(
        self, tmp_path: Path, tenant: str
    ) -> None:
        """One of three is killed while all decide."""
        with postgres() as database:
            url = database.url()
            with start_replicas(tmp_path, url, PDP_AUDIT_URL=url) as started:
                views = blocking_views(tenant, started)
                acknowledged: list[str] = []
                stop = threading.Event()

                def decide(view: Tenant) -> None:
                    with view.client() as client:
                        while not stop.is_set():
                            try:
                                answer = client.post(
                                    "/v1/decide", json={"content": {"text": RIVAL}}
                                )
                            except httpx2.HTTPError:
                                return
                            assert answer.json()["outcome"] == "BLOCK"
                            acknowledged.append(answer.json()["decision_id"])

                threads = [threading.Thread(target=decide, args=(view,)) for view in views * 2]
                for each in threads:
                    each.start()
                wait_until(lambda: len(acknowledged) > 100, "decisions are recorded")
                started[0].process.send_signal(signal.SIGKILL)
                count = len(acknowledged)
                wait_until(lambda: len(acknowledged) > count + 100, "the others go on")
                stop.set()
                for each in threads:
                    each.join()
            with closing(open_audit_log(url)) as log:
                recorded = {
                    json.loads(each.body)["decision_id"]
                    for each in log.follow(RecordFilter(tenant), after=0, limit=100_000).records
                }
                assert set(acknowledged) <= recorded
                assert log.verify().problems == ()

    def test_a_decision_that_cannot_be_recorded_is_blocked(
        self, tmp_path: Path, tenant: str
    ) -> None:
        with postgres() as database:
            settings = {"PDP_AUDIT_URL": database.url()}
            with servers.start(tmp_path, **settings) as server:
                with server.client(tenant) as client:
                    org = {"logging_level": "full"}
                    assert client.put("/v1/org/policy", json=org).is_success
                [view] = views_of(tenant, [server])
                assert view.decide("hello")["allowed"] is True
                database.kill()
                blocked = view.decide("hello")
                assert (blocked["outcome"], blocked["reason_code"]) == ("BLOCK", "ENGINE_ERROR")
                checks = server.request("GET", "/readyz").json()["checks"]
                assert checks["audit"].startswith("failing")
                database.start()
                wait_until(lambda: view.decide("hello")["allowed"], "records are written again")
                assert server.request("GET", "/readyz").json()["checks"]["audit"] == "ok"

    def test_decisions_in_async_mode_do_not_wait_for_the_database(
        self, tmp_path: Path, tenant: str
    ) -> None:
        with postgres() as database:
            settings = {"PDP_AUDIT_URL": database.url(), "PDP_AUDIT_MODE": "async"}
            with servers.start(tmp_path, **settings) as server:
                [view] = blocking_views(tenant, [server])
                database.kill()
                ids = [view.decide()["decision_id"] for _ in range(DECISIONS)]
                database.start()

                def are_written() -> bool:
                    try:
                        return listed(server, tenant) == ids[::-1]
                    except AssertionError:
                        return False

                wait_until(are_written, "the records that waited are written")
