"""API keys on real servers: created, rotated and revoked, over the API and by `pdp keys`."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import grpc
import pytest

from pdp._gen.pdp.v1 import decide_pb2
from pdp.cli.exit_codes import Exit
from pdp.client import CallFailed
from tests.support import servers
from tests.support.authenticated_servers import KEYS, AuthenticatedServer, authenticated_server
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

DECIDE: Final = "/v1/decide"
ROOT: Final = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuthenticatedServer]:
    """A server that requires credentials."""
    with authenticated_server(tmp_path_factory.mktemp("keys")) as opened:
        yield opened


def counts(server: AuthenticatedServer, key: str) -> bool:
    """Returns whether the server accepts the key; both transports must agree."""
    over_http = server.request("POST", DECIDE, key, json={})
    with server.remote(key) as remote:
        try:
            remote.call("Decide", decide_pb2.DecideRequest())
        except CallFailed as refusal:
            over_grpc = refusal.code
        else:
            over_grpc = "OK"
    assert (over_http.status_code, over_grpc) in {(200, "OK"), (401, "UNAUTHENTICATED")}
    return over_grpc == "OK"


def test_a_key_is_valid_from_creation_to_revocation(server: AuthenticatedServer) -> None:
    """A key works as soon as it is created, and stops as soon as the revocation is answered."""
    creation = server.new_key("pep", "acme")
    key, path = creation["key"], f"{KEYS}/{creation['api_key']['id']}"
    assert counts(server, key)
    assert server.request("DELETE", path, server.admin).status_code == 204
    assert not counts(server, key)
    assert server.request("GET", path, server.admin).status_code == 404
    assert server.request("DELETE", path, server.admin).status_code == 404


def test_a_rotated_key_is_valid_beside_the_new_one(server: AuthenticatedServer) -> None:
    """The old secret works during the overlap; without an overlap it stops at once."""
    creation = server.new_key("pep", "acme")
    path = f"{KEYS}/{creation['api_key']['id']}/rotate"
    second = server.request("POST", path, server.admin, json={"overlap_s": 600}).json()
    assert counts(server, creation["key"])
    assert counts(server, second["key"])
    expiries = [each["expires_at"] for each in second["api_key"]["secrets"]]
    assert expiries[0] is not None
    assert expiries[1] is None
    third = server.request("POST", path, server.admin, json={"overlap_s": 0}).json()
    assert not counts(server, creation["key"])
    assert not counts(server, second["key"])
    assert counts(server, third["key"])
    assert len(third["api_key"]["secrets"]) == 1


def test_the_number_of_secrets_of_a_key_is_limited(server: AuthenticatedServer) -> None:
    """A key has a limited number of secrets, so a rotation can be refused."""
    path = f"{KEYS}/{server.new_key('pep', 'acme')['api_key']['id']}/rotate"
    answers = [server.request("POST", path, server.admin, json={}) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 200, 400, 400]


def test_a_key_is_returned_once_and_not_stored(server: AuthenticatedServer) -> None:
    """No list, audit trail, database or log contains the secret of a key."""
    creation = server.new_key("auditor", "acme")
    secret = creation["key"].rpartition("_")[2]
    shown = [
        server.request("GET", path, server.admin).text
        for path in (
            KEYS,
            f"{KEYS}/{creation['api_key']['id']}",
            "/api/admin/audit/platform-changes",
        )
    ]
    assert creation["api_key"]["id"] in shown[2]
    database = server.server.data_dir / "pdp.db"
    with sqlite3.connect(database) as opened:
        (digest,) = opened.execute("SELECT after FROM changes ORDER BY revision DESC").fetchone()
    assert "sha256" in digest
    raw = b"".join(path.read_bytes() for path in database.parent.glob("pdp.db*"))
    for text in (*shown, digest, raw.decode("latin-1"), "".join(server.server.lines)):
        assert secret not in text
    for text in shown:
        assert "sha256" not in text


@pytest.mark.parametrize(
    ("fields", "at_fault"),
    [
        ({"role": "root"}, "role"),
        ({"role": ""}, "role"),
        ({"name": ""}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"tenants": ["a", "*"]}, "tenants"),
        ({"tenants": ["a", "a"]}, "tenants"),
        ({"tenants": ["../a"]}, "tenants[0]"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"expires_at": "9999-01-01T00:00:00Z"}, "expires_at"),
    ],
)
def test_invalid_keys_are_refused(
    server: AuthenticatedServer, fields: dict[str, Any], at_fault: str
) -> None:
    """The error names the invalid field."""
    body = {"name": "n", "role": "pep", "tenants": ["acme"], **fields}
    answer = server.request("POST", KEYS, server.admin, json=body)
    assert answer.status_code == 400
    assert [each["field"] for each in answer.json()["error"]["details"]] == [at_fault]


def test_the_change_log_names_the_key(server: AuthenticatedServer) -> None:
    """The change log shows the id of the key that the call used."""
    creation = server.new_key("editor", "acme")
    body = {"sensitive_fields": ["ssn"]}
    server.request("POST", "/policies/cust_1", creation["key"], json=body)
    versions = server.request("GET", "/policies/cust_1/versions", creation["key"]).json()[
        "versions"
    ]
    assert versions[0]["changed_by"] == f"key:{creation['api_key']['id']}"


class TestCommand:
    """`pdp keys`, on the database of a running server."""

    def run(self, server: AuthenticatedServer, *arguments: str) -> subprocess.CompletedProcess[str]:
        return servers.run_pdp("keys", *arguments, PDP_DATABASE_URL=server.server.database_url)

    def test_the_command_creates_rotates_and_revokes_keys(
        self, server: AuthenticatedServer
    ) -> None:
        """The server applies each change of the command within moments."""
        creation = self.run(server, "create", "--role", "pep", "--tenant", "acme", "--name", "gw")
        assert creation.returncode == Exit.OK
        key = creation.stdout.splitlines()[-1]
        (key_id,) = (line.split()[-1] for line in creation.stdout.splitlines() if "id:" in line)
        wait_until(lambda: counts(server, key), "the use of the key is counted")
        listed = self.run(server, "list").stdout
        assert key_id in listed
        assert key[:20] in listed
        assert key not in listed
        rotated = self.run(server, "rotate", key_id, "--overlap-s", "0", "--json")
        fresh = servers.json_output(rotated)["key"]
        wait_until(lambda: counts(server, fresh), "the use of the rotated key is counted")
        assert not counts(server, key)
        assert self.run(server, "revoke", key_id).returncode == Exit.OK
        wait_until(lambda: not counts(server, fresh), "the counts of the key are gone")

    @pytest.mark.parametrize(
        ("arguments", "code", "message"),
        [
            (("create", "--role", "root", "--tenant", "a"), Exit.INVALID, "role"),
            (("create", "--role", "pep"), Exit.USAGE, "--tenant"),
            (
                ("create", "--role", "pep", "--tenant", "a", "--expires-days", "-1"),
                Exit.INVALID,
                "expires_at",
            ),
            (("rotate", "none"), Exit.INVALID, "there is no API key none"),
            (("revoke", "none"), Exit.INVALID, "there is no API key none"),
        ],
    )
    def test_invalid_commands_are_refused(
        self, server: AuthenticatedServer, arguments: tuple[str, ...], code: Exit, message: str
    ) -> None:
        """The command shows the reason and creates no key."""
        answer = self.run(server, *arguments)
        assert answer.returncode == code, answer.stderr
        assert message in answer.stderr
        assert "aa_live_" not in answer.stdout


class TestClients:
    """Clients send the credential that they are configured with."""

    def test_the_command_line_sends_its_key(self, server: AuthenticatedServer) -> None:
        """The command takes the key from an option or from the environment."""
        key = server.key("pep", "acme")
        ask = ("decide", "--text", "hello", "--json", "--server", server.server.grpc_address)
        assert servers.run_pdp(*ask, PDP_API_KEY=key).returncode == Exit.OK
        assert servers.run_pdp(*ask, "--key", key).returncode == Exit.OK
        assert servers.run_pdp(*ask, "--token", key).returncode == Exit.OK
        refusal = servers.run_pdp(*ask)
        assert refusal.returncode == Exit.INVALID
        assert servers.json_output(refusal)["error"]["code"] == "UNAUTHENTICATED"
        assert "PDP_API_KEY" in refusal.stderr
        both = servers.run_pdp(*ask, "--key", key, "--token", key)
        assert both.returncode == Exit.CONFIG
        assert key not in both.stderr

    def test_the_python_client_sends_its_key(self, server: AuthenticatedServer) -> None:
        """The client takes the key from an argument or from the environment."""
        code = (
            "import asyncio, sys, pdp_client as pdp\n"
            "key = sys.argv[2] if len(sys.argv) > 2 else None\n"
            "with pdp.connect(sys.argv[1], api_key=key) as channel:\n"
            "    stub = pdp.DecideServiceStub(channel)\n"
            "    print(stub.Decide(pdp.DecideRequest(), timeout=60).allowed)\n"
            "    answers = stub.DecideStream(iter([pdp.DecideStreamRequest()]))\n"
            "    print(next(answers).response.allowed)\n"
            "async def main():\n"
            "    async with pdp.connect_async(sys.argv[1], api_key=key) as channel:\n"
            "        stub = pdp.DecideServiceStub(channel)\n"
            "        print((await stub.Decide(pdp.DecideRequest(), timeout=60)).allowed)\n"
            "asyncio.run(main())\n"
        )
        key, address = server.key("pep", "acme"), server.server.grpc_address
        assert python(code, address, key) == ["True"] * 3
        assert python(code, address, PDP_API_KEY=key) == ["True"] * 3


def python(code: str, *arguments: str, **settings: str) -> list[str]:
    """Runs a program that uses the client; returns its output."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=servers.environment(PYTHONPATH=str(ROOT / "clients/python"), **settings),
        capture_output=True,
        text=True,
        timeout=servers.TIMEOUT_S,
        check=True,
    )
    return done.stdout.split()


def test_a_revocation_is_in_force_in_every_worker(tmp_path: Path) -> None:
    """Every worker refuses the key after its revocation."""
    grpc_address, http_address = servers.free_addresses()
    settings = {
        "PDP_WORKERS": "2",
        "PDP_GRPC_LISTEN": grpc_address,
        "PDP_HTTP_LISTEN": http_address,
    }

    def all_say(server: AuthenticatedServer, key: str, status: int) -> bool:
        return all(
            server.server.request("POST", DECIDE, json={}, headers={"X-API-Key": key}).status_code
            == status
            for _ in range(16)
        )

    with authenticated_server(tmp_path, **settings) as server:
        creation = server.new_key("pep", "acme")
        wait_until(lambda: all_say(server, creation["key"], 200), "every worker accepts the key")
        server.request("DELETE", f"{KEYS}/{creation['api_key']['id']}", server.admin)
        wait_until(lambda: all_say(server, creation["key"], 401), "every worker refuses the key")


class TestRates:
    """`PDP_RATE_PER_S` limits the calls of each credential."""

    def test_http_calls_over_the_rate_are_refused(self, tmp_path: Path) -> None:
        """The response is 429 with Retry-After; other credentials are not affected."""
        settings = {"PDP_RATE_PER_S": "0.001", "PDP_RATE_BURST": "2"}
        with authenticated_server(tmp_path, **settings) as slow:
            one, two = slow.key("pep", "one"), slow.key("pep", "two")
            answers = [slow.request("POST", DECIDE, one, json={}) for _ in range(3)]
            assert [each.status_code for each in answers] == [200, 200, 429]
            assert answers[2].json()["error"]["code"] == "RATE_LIMITED"
            assert 900 < int(answers[2].headers["retry-after"]) <= 1000
            assert slow.request("POST", DECIDE, two, json={}).status_code == 200

    def test_grpc_calls_over_the_rate_are_refused(self, tmp_path: Path) -> None:
        """The status is RESOURCE_EXHAUSTED, with RetryInfo."""
        from google.rpc import error_details_pb2, status_pb2  # noqa: PLC0415 - for this test

        settings = {"PDP_RATE_PER_S": "0.001", "PDP_RATE_BURST": "1"}
        with authenticated_server(tmp_path, **settings) as server:
            credential = (("x-api-key", server.admin),)
            with grpc.insecure_channel(server.server.grpc_address) as channel:
                decide = channel.unary_unary(
                    "/pdp.v1.DecideService/Decide",
                    request_serializer=decide_pb2.DecideRequest.SerializeToString,
                    response_deserializer=decide_pb2.DecideResponse.FromString,
                )
                decide(decide_pb2.DecideRequest(), metadata=credential)
                with pytest.raises(grpc.RpcError) as limited:
                    decide(decide_pb2.DecideRequest(), metadata=credential)
        error: Any = limited.value
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        raw = dict(error.trailing_metadata())["grpc-status-details-bin"]
        retry = error_details_pb2.RetryInfo()
        assert any(each.Unpack(retry) for each in status_pb2.Status.FromString(raw).details)
        assert 900 < retry.retry_delay.seconds <= 1000


def test_many_unauthenticated_calls_are_counted_and_do_not_affect_others(
    server: AuthenticatedServer,
) -> None:
    """A valid key still works during many calls with unknown keys, which the metrics count."""
    for number in range(300):
        assert server.request("POST", DECIDE, f"aa_live_{number}", json={}).status_code == 401
    assert server.request("POST", DECIDE, server.admin, json={}).status_code == 200
    metrics = server.request("GET", "/metrics").text
    (line,) = (
        line
        for line in metrics.splitlines()
        if 'credentials_refused_total{reason="unknown"' in line
    )
    assert float(line.split()[-1]) >= 300
