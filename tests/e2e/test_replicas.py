"""Replicas on one PostgreSQL: what one acknowledges holds for all, also when something fails."""

from __future__ import annotations

import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx2
import psycopg
import pytest

from pdp.bootstrap.recording import RecordingOptions
from pdp.domain.decision import Outcome
from pdp.embedded import Engine
from tests.support.approvals import ESCALATE, ApprovalTenant, approval_of
from tests.support.authenticated_servers import AuthenticatedServer, create_key
from tests.support.postgres import postgres
from tests.support.replicas import start_replicas, views_of, wait_for_all
from tests.support.rest.kill_switch import PROVIDERS
from tests.support.servers import TIMEOUT_S
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from demo.postgres import PostgresServer
    from tests.support.faults import Tenant
    from tests.support.servers import Server

WRITES = 8
CALLERS = 40


@pytest.fixture(scope="module")
def database_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The URL of the database of `replicas`."""
    url = postgres_server.create_database()
    yield url
    postgres_server.drop_database(url)


@pytest.fixture(scope="module")
def replicas(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Server]]:
    with start_replicas(tmp_path_factory.mktemp("replicas"), database_url) as started:
        yield started


class TestAgreement:
    def test_a_change_through_any_replica_comes_into_force_in_all(
        self, replicas: list[Server], tenant: str
    ) -> None:
        views = views_of(tenant, replicas)
        for number, writer in enumerate(views):
            assert writer.create(f"No {number}", f"word{number}").status_code == 201
            wait_for_all(replicas, writer.revision)
            assert {each.decide(f"word{number}")["outcome"] for each in views} == {"BLOCK"}
        assert all(not each.lost() for each in views)

    def test_a_decision_through_another_replica_waits_for_ones_own_write(
        self, replicas: list[Server], tenant: str
    ) -> None:
        writer, _, reader = views_of(tenant, replicas)
        for number in range(WRITES):
            writer.create(f"No {number}", f"word{number}")
            decision = reader.decide(f"word{number}", min_revision=writer.revision)
            assert decision["outcome"] == "BLOCK"

    def test_concurrent_writes_through_all_replicas_are_all_there_in_one_order(
        self, replicas: list[Server], tenant: str
    ) -> None:
        views = views_of(tenant, replicas)
        revisions: list[int] = []

        def write(index: int) -> None:
            view = views[index % len(views)]
            answer = view.create(f"No {index}", f"word{index}")
            assert answer.status_code == 201, answer.text
            revisions.append(int(answer.headers["x-pdp-revision"]))

        with ThreadPoolExecutor(len(views)) as threads:
            list(threads.map(write, range(WRITES * 3)))
        assert len(set(revisions)) == len(views[0].written) == WRITES * 3
        wait_for_all(replicas, max(revisions))
        for each in views:
            assert not each.lost()
            assert each.decide("word7 word23")["outcome"] == "BLOCK"

    def test_a_name_is_given_once_over_all_replicas(
        self, replicas: list[Server], tenant: str
    ) -> None:
        views = views_of(tenant, replicas)
        together = threading.Barrier(len(views))

        def write(index: int) -> int:
            together.wait(TIMEOUT_S)
            return views[index].create("The only one").status_code

        with ThreadPoolExecutor(len(views)) as threads:
            statuses = sorted(threads.map(write, range(len(views))))
        assert statuses == [201, 409, 409]

    def test_a_provider_that_is_switched_off_is_off_in_all(self, replicas: list[Server]) -> None:
        one, other, _ = replicas
        for action, outcome in (("disable", "BLOCK"), ("enable", "ALLOW")):
            body = {"reason": "security_event"} if action == "disable" else {}
            answer = one.request("POST", f"{PROVIDERS}/openai/{action}", json=body)
            assert answer.status_code == 200, answer.text
            request = {
                "content": {"text": "Hello"},
                "model": {"provider": "openai", "model": "gpt-4o"},
                "min_revision": int(answer.headers["x-pdp-revision"]),
            }
            assert other.request("POST", "/v1/decide", json=request).json()["outcome"] == outcome


def test_an_embedded_engine_follows_the_same_database(
    replicas: list[Server], database_url: str, tenant: str, tmp_path: Path
) -> None:
    writer = views_of(tenant, replicas)[0]
    records = RecordingOptions(f"sqlite:///{tmp_path}/audit.db")
    with Engine.open(database_url, records=records) as engine:
        assert engine.decide(text="zebra", tenant_id=tenant).allowed
        writer.create("No zebras", "zebra")
        decision = engine.decide(min_revision=writer.revision, text="zebra", tenant_id=tenant)
    assert decision.outcome == Outcome.BLOCK


def test_one_approval_gives_one_pass_over_all_replicas(tmp_path: Path, postgres_url: str) -> None:
    admin = create_key(tmp_path, "admin", "*", postgres_url)
    with start_replicas(tmp_path, postgres_url, count=2, PDP_AUTH="required") as replicas:
        asked = AuthenticatedServer(replicas[0], admin)
        rule = {"name": "e", "conditions": {"content_regex": "escalate"}, "action": ESCALATE}
        tenant = ApprovalTenant(asked, "acme", (rule,))
        held = tenant.decide(content={"text": "escalate"})
        tenant.approve(held)
        token = approval_of(held)["token"]
        body = {**tenant.request(content={"text": "escalate"}), "tokens": [token]}
        together = threading.Barrier(CALLERS)

        def call(number: int) -> dict[str, Any]:
            with replicas[number % 2].client() as client:
                together.wait(TIMEOUT_S)
                answer = client.post("/v1/decide", json=body, headers={"X-API-Key": tenant.pep})
            decision: dict[str, Any] = answer.json()
            return decision

        with ThreadPoolExecutor(CALLERS) as threads:
            decisions = list(threads.map(call, range(CALLERS)))
        asked.close()
    assert sum(each["allowed"] for each in decisions) == 1
    refused = [each["reason_code"] for each in decisions if not each["allowed"]]
    assert set(refused) == {"TOKEN_USED"}


class TestFaults:
    def test_decisions_go_on_without_the_database(self, tmp_path: Path) -> None:
        with (
            postgres() as database,
            start_replicas(tmp_path, database.url(), count=2) as replicas,
        ):
            views = views_of("acme", replicas)
            views[0].create("No rivals")
            wait_for_all(replicas, views[0].revision)
            assert {each.decide()["outcome"] for each in views} == {"BLOCK"}
            database.kill()
            for replica, view in zip(replicas, views, strict=True):
                wait_for_store(replica, "not answer")
                assert replica.request("GET", "/readyz").status_code == 200
                assert view.decide()["outcome"] == "BLOCK"
                assert view.decide("Hello")["outcome"] == "ALLOW"
                refused = view.create("Lost")
                assert (refused.status_code, refused.json()["error"]["code"]) == (
                    503,
                    "STORE_UNAVAILABLE",
                )
                wait_until(lambda: age_of(replica) > 1, "the age of policies shows")  # noqa: B023
            database.start()
            wait_for_store(replicas[1], "ok")
            assert views[1].create("After").status_code == 201
            wait_for_all(replicas, views[1].revision)
            assert all(not each.lost() for each in views)

    def test_a_tenant_that_is_not_in_memory_is_blocked_while_the_database_is_unavailable(
        self, tmp_path: Path
    ) -> None:
        with (
            postgres() as database,
            start_replicas(tmp_path, database.url(), count=2) as replicas,
        ):
            writer, unaware = views_of("acme", replicas)
            writer.create("No rivals")
            wait_for_all(replicas, writer.revision)
            database.kill()
            wait_for_store(replicas[1], "not answer")
            decision = unaware.decide("Hello")
            assert (decision["outcome"], decision["reason_code"]) == ("BLOCK", "ENGINE_ERROR")

    def test_a_killed_replica_loses_nothing(self, tmp_path: Path, postgres_url: str) -> None:
        with start_replicas(tmp_path, postgres_url) as replicas:
            views = views_of("acme", replicas)

            def write() -> None:
                for number in range(WRITES * 3):
                    try:
                        views[0].create(f"No {number}", f"word{number}")
                    except httpx2.HTTPError:
                        return

            writing = threading.Thread(target=write)
            writing.start()
            wait_until(lambda: len(views[0].written) >= WRITES, "some are written")
            replicas[0].process.send_signal(signal.SIGKILL)
            writing.join(TIMEOUT_S)
            assert views[1].create("After").status_code == 201
            assert not views[1].lost()
            wait_for_all(replicas[1:], views[1].revision)
            assert not views[2].lost()
            assert views[2].decide("word3")["outcome"] == "BLOCK"

    def test_what_the_database_has_lost_goes_out_of_force(
        self, tmp_path: Path, postgres_url: str
    ) -> None:
        """A standby without the last commits becomes the primary, and the next change gets the
        revision of a lost one.
        """
        with start_replicas(tmp_path, postgres_url, count=2) as replicas:
            writer, reader = views_of("acme", replicas)
            writer.create("Kept", "kept")
            writer.create("Lost", "lost")
            wait_for_all(replicas, writer.revision)
            assert reader.decide("lost")["outcome"] == "BLOCK"
            with psycopg.connect(postgres_url) as connection:
                connection.execute("SET search_path TO pdp")
                connection.execute("DELETE FROM records WHERE name = 'Lost'")
                connection.execute("DELETE FROM changes WHERE revision = %s", [writer.revision])
                connection.execute("UPDATE change_log SET commits = commits - 1")
            with psycopg.connect(postgres_url) as connection:
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            for each in (writer, reader):
                wait_for_outcome(each, "lost", "ALLOW")
            lost = writer.revision
            assert writer.create("New", "new").status_code == 201
            assert writer.revision == lost
            for each in (writer, reader):
                wait_for_outcome(each, "new", "BLOCK")
                assert each.decide("kept")["outcome"] == "BLOCK"
                assert each.decide("lost")["outcome"] == "ALLOW"


def age_of(replica: Server) -> float:
    return replica.metric("pdp_snapshot_age_seconds")


def wait_for_store(replica: Server, words: str) -> None:
    """Waits until `/readyz` says something of the store."""

    def says() -> bool:
        return words in replica.request("GET", "/readyz").json()["checks"]["store"]

    wait_until(says, f"/readyz says of the store: {words}")


def wait_for_outcome(tenant: Tenant, text: str, outcome: str) -> None:
    wait_until(lambda: tenant.decide(text)["outcome"] == outcome, f"{text} has outcome {outcome}")
