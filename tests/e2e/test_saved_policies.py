"""Saved policies: what a server decides while its PostgreSQL database is unavailable."""

from __future__ import annotations

import base64
import os
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.support import servers
from tests.support.approvals import ApprovalTenant
from tests.support.authenticated_servers import KEYS, AuthenticatedServer
from tests.support.postgres import postgres
from tests.support.replicas import start_replicas, views_of, wait_for_all
from tests.support.rest.kill_switch import PROVIDERS
from tests.support.servers import ServerEnded
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx2

    from demo.postgres import PostgresServer
    from tests.support.faults import Tenant
    from tests.support.servers import Server

MODEL = {"provider": "openai", "model": "gpt-4o"}


@pytest.fixture
def database() -> Iterator[PostgresServer]:
    with postgres("fsync=off") as server:
        yield server


def key_file(directory: Path) -> Path:
    file = directory / "key"
    file.write_bytes(base64.b64encode(os.urandom(32)))
    return file


def settings(directory: Path, *, key: bool = True, **others: str) -> dict[str, str]:
    return {
        "PDP_SNAPSHOT_DIR": str(directory / "saved"),
        **({"PDP_SNAPSHOT_KEY_FILE": str(key_file(directory))} if key else {}),
        **others,
    }


def wait_until_saved(server: Server, revision: int) -> None:
    """Waits until the files have a revision, and every tenant."""

    def is_saved() -> bool:
        return server.metric("pdp_saved_policies_revision") >= revision

    wait_until(is_saved, f"revision {revision} is saved")


def saved_revisions(server: Server, revision: int) -> list[str]:
    """Returns the workers that know of files of a revision."""
    page = server.request("GET", "/metrics").text
    lines = re.findall(r'^pdp_saved_policies_revision{worker="(\d+)"} (\S+)$', page, re.MULTILINE)
    return [worker for worker, value in lines if float(value) >= revision > 0]


def wait_until_unavailable(server: Server) -> None:
    wait_until(
        lambda: "not answer" in server.request("GET", "/readyz").json()["checks"]["store"],
        "the server notices that the database is unavailable",
    )


def known_at(decision: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(decision["policies_known_at"])


def assert_blocked(decision: dict[str, Any]) -> None:
    assert (decision["outcome"], decision["reason_code"]) == ("BLOCK", "ENGINE_ERROR")
    assert "stale" not in decision


def written(writer: Tenant, *replicas: Server) -> None:
    """Writes a policy, and waits until it is in force in all replicas."""
    assert writer.create("No rivals").status_code == 201
    wait_for_all(replicas, writer.revision)


class TestWhileTheServerRuns:
    def test_a_tenant_that_is_not_in_memory_is_decided_by_its_file(
        self, tmp_path: Path, database: PostgresServer
    ) -> None:
        with (
            servers.start(tmp_path / "one", PDP_DATABASE_URL=database.url()) as one,
            servers.start(
                tmp_path / "two",
                PDP_DATABASE_URL=database.url(),
                **settings(tmp_path, key=False),
            ) as two,
        ):
            writer, reader = views_of("acme", [one, two])
            written(writer, one, two)
            wait_until_saved(two, writer.revision)
            fresh = reader.decide("Hello", explain=True)
            assert "stale" not in fresh
            assert "policies_known_at" not in fresh
            other = views_of("other", [one, two])
            written(other[0], one, two)
            wait_until_saved(two, other[0].revision)
            database.kill()
            wait_until_unavailable(two)
            blocked, allowed = other[1].decide(), other[1].decide("Hello")
            assert (blocked["outcome"], allowed["outcome"]) == ("BLOCK", "ALLOW")
            for each in (blocked, allowed):
                assert each["stale"] is True
                age = datetime.now(UTC) - known_at(each)
                assert timedelta() < age < timedelta(minutes=2)
            # What is in memory is as it was.
            assert "stale" not in reader.decide("Hello")
            assert two.metric("pdp_stale_decisions_total") == 2
            assert two.metric("pdp_saved_policies_age_seconds") > 0
            with two.client("other") as client:
                path = f"/api/admin/audit/records/{blocked['decision_id']}"
                record = client.get(path).json()
            assert record["stale"] is True
            tenant_flags = ("--tenant", "other", "--server", two.grpc_address)
            for command in (
                ("decide", "--text", "rival", *tenant_flags),
                ("audit", "show", blocked["decision_id"], *tenant_flags),
            ):
                shown = servers.run_pdp(*command).stdout
                assert f"yes: by the policies of {blocked['policies_known_at'][:16]}" in shown
            assert record["policies_known_at"] == blocked["policies_known_at"]
            database.start()
            wait_until(
                lambda: "stale" not in other[1].decide("Hello"), "the database is read again"
            )

    def test_a_change_that_the_server_knows_of_is_never_missing(
        self, tmp_path: Path, database: PostgresServer
    ) -> None:
        """The files cannot be written any more when the change comes."""
        saved = settings(tmp_path, key=False)
        with start_replicas(tmp_path, database.url(), 1) as replicas:
            (one,) = replicas
            data = tmp_path / "two"
            with servers.start(data, PDP_DATABASE_URL=database.url(), **saved) as two:
                writer, reader = views_of("acme", [one, two])
                written(writer, one, two)
                wait_until_saved(two, writer.revision)
                hidden = tmp_path / "hidden"
                (tmp_path / "saved").rename(hidden)
                assert writer.create("No more", "word").status_code == 201
                wait_for_all([one, two], writer.revision)
                wait_until(
                    lambda: (
                        "failing"
                        in two.request("GET", "/readyz").json()["checks"]["saved_policies"]
                    ),
                    "saving fails",
                )
                database.kill()
                wait_until_unavailable(two)
                hidden.rename(tmp_path / "saved")
                assert_blocked(reader.decide("Hello"))
                assert two.metric("pdp_saved_policies_refused_total") == 1

    def test_files_that_are_too_old_decide_nothing(
        self, tmp_path: Path, database: PostgresServer
    ) -> None:
        saved = settings(tmp_path, key=False, PDP_SNAPSHOT_MAX_AGE_S="4")
        with (
            servers.start(tmp_path / "one", PDP_DATABASE_URL=database.url()) as one,
            servers.start(tmp_path / "two", PDP_DATABASE_URL=database.url(), **saved) as two,
        ):
            writer, reader = views_of("acme", [one, two])
            written(writer, one, two)
            wait_until_saved(two, writer.revision)
            database.kill()
            wait_until(
                lambda: two.metric("pdp_saved_policies_age_seconds") > 4.1, "the files are too old"
            )
            assert_blocked(reader.decide("Hello"))

    @pytest.mark.parametrize("damage", ["flip", "cut", "empty"])
    def test_a_damaged_file_decides_nothing(
        self, tmp_path: Path, database: PostgresServer, damage: str
    ) -> None:
        with (
            servers.start(tmp_path / "one", PDP_DATABASE_URL=database.url()) as one,
            servers.start(
                tmp_path / "two", PDP_DATABASE_URL=database.url(), **settings(tmp_path, key=False)
            ) as two,
        ):
            writer, reader = views_of("acme", [one, two])
            written(writer, one, two)
            wait_until_saved(two, writer.revision)
            database.kill()
            wait_until_unavailable(two)
            (file,) = (
                each
                for each in (tmp_path / "saved").glob("*.policies")
                if b"No rivals" in each.read_bytes()
            )
            data = file.read_bytes()
            file.write_bytes(
                {
                    "flip": data.replace(b'"block"', b'"allow"'),
                    "cut": data[:-1],
                    "empty": b"",
                }[damage]
            )
            assert file.read_bytes() != data
            for _ in range(2):
                assert_blocked(reader.decide("Hello"))
            assert two.metric("pdp_saved_policies_refused_total") == 2
        assert len([line for line in two.lines if "no saved policies" in line]) == 1


class TestStartWithoutTheDatabase:
    def start(self, tmp_path: Path, url: str, saved: dict[str, str]) -> Server:
        return servers.start(tmp_path / "one", PDP_DATABASE_URL=url, **saved)

    def test_a_server_starts_from_files_and_takes_over_when_the_database_is_back(
        self, tmp_path: Path, database: PostgresServer
    ) -> None:
        saved = settings(tmp_path)
        with self.start(tmp_path, database.url(), saved) as server:
            (tenant,) = views_of("acme", [server])
            written(tenant, server)
            answer = server.request(
                "POST", f"{PROVIDERS}/openai/disable", json={"reason": "security_event"}
            )
            wait_until_saved(server, int(answer.headers["x-pdp-revision"]))
        for file in (tmp_path / "saved").iterdir():
            assert b"rival" not in file.read_bytes()
            assert not file.stat().st_mode & 0o077
        database.kill()
        with self.start(tmp_path, database.url(), saved) as server:
            (tenant,) = views_of("acme", [server])
            (nobody,) = views_of("nobody", [server])
            for decision, outcome in (
                (tenant.decide(), "BLOCK"),
                (tenant.decide("Hello"), "ALLOW"),
                (tenant.decide("Hello", model=MODEL), "BLOCK"),
                (nobody.decide("Hello"), "ALLOW"),
                (nobody.decide("Hello", model=MODEL), "BLOCK"),
            ):
                assert (decision["outcome"], decision["stale"]) == (outcome, True)
            assert tenant.decide("Hello", model=MODEL)["reason_code"] == "MODEL_KILL_SWITCH"
            refused = tenant.create("Lost")
            assert (refused.status_code, refused.json()["error"]["code"]) == (
                503,
                "STORE_UNAVAILABLE",
            )
            assert server.request("GET", "/readyz").status_code == 200
            checks = server.request("GET", "/readyz").json()["checks"]
            assert "s old" in checks["store"]
            assert server.metric("pdp_snapshot_age_seconds") > 0
            database.start()
            wait_until(lambda: "stale" not in nobody.decide("Hello"), "the database is in force")
            assert tenant.create("No words", "word").status_code == 201
            for text, outcome in (("word", "BLOCK"), ("rival", "BLOCK"), ("Hello", "ALLOW")):
                decision = tenant.decide(text)
                assert (decision["outcome"], "stale" in decision) == (outcome, False)
            wait_until_saved(server, tenant.revision)

    def test_changes_of_the_outage_are_in_force_after_it(
        self, tmp_path: Path, database: PostgresServer
    ) -> None:
        """The other replica can reach the database; this one starts without it."""
        saved = settings(tmp_path)
        with self.start(tmp_path, database.url(), saved) as server:
            (tenant,) = views_of("acme", [server])
            written(tenant, server)
            wait_until_saved(server, tenant.revision)
        with start_replicas(tmp_path / "other", database.url(), 1) as others:
            (other,) = views_of("acme", others)
            assert other.create("No words", "word").status_code == 201
            answer = others[0].request(
                "POST", f"{PROVIDERS}/openai/disable", json={"reason": "security_event"}
            )
            assert answer.status_code == 200
        database.kill()
        with self.start(tmp_path, database.url(), saved) as server:
            (tenant,) = views_of("acme", [server])
            before = tenant.decide("word")
            assert (before["outcome"], before["stale"]) == ("ALLOW", True)
            database.start()
            wait_until(lambda: "stale" not in tenant.decide("Hello"), "the database is in force")
            assert tenant.decide("word")["outcome"] == "BLOCK"
            assert tenant.decide("Hello", model=MODEL)["outcome"] == "BLOCK"

    def test_a_tenant_with_limits_is_blocked_until_its_counters_are_known(
        self, tmp_path: Path, database: PostgresServer
    ) -> None:
        saved = settings(tmp_path)
        with self.start(tmp_path, database.url(), saved) as server:
            body = {"scope": "user", "subject_id": "u1", "daily_request_limit": 1}
            with server.client("acme") as client:
                answer = client.post("/api/admin/limits/", json=body)
            assert answer.status_code == 201, answer.text
            wait_until_saved(server, int(answer.headers["x-pdp-revision"]))
        database.kill()
        with self.start(tmp_path, database.url(), saved) as server:
            (tenant,) = views_of("acme", [server])
            assert_blocked(tenant.decide("Hello"))
            database.start()
            wait_until(lambda: tenant.decide("Hello")["outcome"] == "ALLOW", "counters are known")

    def test_workers_share_the_files(self, tmp_path: Path, database: PostgresServer) -> None:
        saved = {**settings(tmp_path), "PDP_DATABASE_URL": database.url()}
        with servers.start_workers(tmp_path / "one", 2, **saved) as server:
            (tenant,) = views_of("acme", [server])
            written(tenant, server)
            wait_until(
                lambda: len(saved_revisions(server, tenant.revision)) == 2,
                "both workers see the files",
            )
            revision = tenant.revision
        database.kill()
        with servers.start_workers(tmp_path / "one", 2, **saved) as server:
            assert len(saved_revisions(server, revision)) == 2
            (tenant,) = views_of("acme", [server])
            for _ in range(10):  # each is a connection of its own, to one of the workers
                decision = tenant.decide()
                assert (decision["outcome"], decision["stale"]) == ("BLOCK", True)
            database.start()
            wait_until(lambda: tenant.create("No words", "word").is_success, "writes go on")
            wait_until(
                lambda: len(saved_revisions(server, tenant.revision)) == 2,
                "one worker writes the files again",
            )
            wait_until(
                lambda: not any("stale" in tenant.decide() for _ in range(10)),
                "the database is in force in both",
            )

    def test_credentials_are_those_of_the_files_and_approvals_wait(
        self, tmp_path: Path, database: PostgresServer
    ) -> None:
        url = database.url()
        saved = {**settings(tmp_path), "PDP_AUTH": "required"}
        command = ("keys", "create", "--role", "admin", "--tenant", "*")
        created = servers.run_pdp(*command, PDP_DATABASE_URL=url)
        admin = created.stdout.splitlines()[-1]
        with self.start(tmp_path, url, saved) as server:
            authenticated = AuthenticatedServer(server, admin)
            tenant = ApprovalTenant(authenticated, "acme")
            revoked = authenticated.new_key("pep", "acme")
            answer = authenticated.request("DELETE", f"{KEYS}/{revoked['api_key']['id']}", admin)
            assert answer.is_success, answer.text
            wait_until_saved(server, int(answer.headers["x-pdp-revision"]))
            authenticated.close()
        database.kill()
        with self.start(tmp_path, url, saved) as server:
            authenticated = AuthenticatedServer(server, admin)

            def decide(key: str, **fields: Any) -> httpx2.Response:
                return authenticated.request("POST", "/v1/decide", key, json=fields)

            hello = {"content": {"text": "Hello"}}
            assert decide(tenant.pep, **hello).json()["stale"] is True
            held = decide(tenant.pep, **tenant.request()).json()
            assert (held["outcome"], held["reason_code"]) == ("BLOCK", "APPROVAL_UNAVAILABLE")
            assert held["stale"] is True
            for key in (revoked["key"], ""):
                assert decide(key, **hello).status_code == 401
            authenticated.close()

    @pytest.mark.parametrize(
        ("change", "problem"),
        [
            ({"PDP_SNAPSHOT_KEY_FILE": "other"}, "another key"),
            ({"PDP_SNAPSHOT_MAX_AGE_S": "0.001"}, "too old"),
            ({"PDP_SNAPSHOT_KEY_FILE": ""}, "PDP_SNAPSHOT_KEY_FILE"),
            ({"PDP_SNAPSHOT_DIR": "elsewhere"}, "No policies have been saved"),
            ({"PDP_DATABASE_URL": "other"}, "another database"),
        ],
    )
    def test_it_does_not_start_from_files_that_may_not_be_used(
        self, tmp_path: Path, database: PostgresServer, change: dict[str, str], problem: str
    ) -> None:
        saved = {**settings(tmp_path), "PDP_DATABASE_URL": database.url()}
        with servers.start(tmp_path / "one", **saved) as server:
            wait_until_saved(server, 1)
        database.kill()
        (tmp_path / "sub").mkdir()
        values = {
            "other": str(key_file(tmp_path / "sub")),
            "elsewhere": str(tmp_path / "elsewhere"),
        }
        if "PDP_DATABASE_URL" in change:
            changed = {**saved, "PDP_DATABASE_URL": database.url("other")}
        else:
            changed = {**saved, **{name: values.get(each, each) for name, each in change.items()}}
        with pytest.raises(ServerEnded, match=problem):
            servers.start(tmp_path / "one", **{k: v for k, v in changed.items() if v})
