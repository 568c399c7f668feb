"""Servers whose limits are counted together: `PDP_LIMITS_URL` on real processes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

import grpc
import pytest

from demo.ports import free_port
from pdp._gen.pdp.v1 import decide_pb2, decide_pb2_grpc
from pdp.cases import ClientTarget
from pdp.client.remote import RemoteClient
from pdp.embedded import Engine
from pdp.errors import ConfigError
from tests.support import servers
from tests.support.certificates import new_authority
from tests.support.counter_servers import CounterProcess, counter_server
from tests.support.decision_cases import case_checks, cases
from tests.support.rest.limits import PATH, ask, code, make, outcome
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx2

    from pdp.cases import Case, Suite
    from tests.support.decision_cases import CaseCheck
    from tests.support.servers import Server

PATIENT: Final = {"PDP_LIMITS_BUDGET_MS": "1000"}
"""A budget that a busy machine keeps."""

USAGE: Final = f"{PATH}usage"
TENANT: Final = "acme"

pytestmark = pytest.mark.usefixtures("same_day")


@pytest.fixture(scope="module")
def counters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CounterProcess]:
    """A server of counters for the tests of this module."""
    with counter_server(tmp_path_factory.mktemp("counters")) as running:
        yield running


@pytest.fixture(scope="module")
def pdp(counters: CounterProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that uses them."""
    folder = tmp_path_factory.mktemp("pdp")
    with servers.start(folder, PDP_LIMITS_URL=counters.url, **PATIENT) as running:
        yield running


@pytest.fixture
def caller(pdp: Server, tenant: str) -> Iterator[httpx2.Client]:
    """A client of a new tenant."""
    with pdp.client(tenant) as opened:
        yield opened


@pytest.fixture(scope="module")
def check(pdp: Server) -> Iterator[CaseCheck]:
    """Checks decision cases on the server."""
    with RemoteClient(pdp.grpc_address) as remote:
        yield from case_checks(ClientTarget(remote))


@pytest.mark.parametrize(
    ("suite", "case"), [each for each in cases() if each.values[0].file.stem == "limits"]
)
def test_a_case_about_limits_gets_the_expected_decision(
    suite: Suite, case: Case, check: CaseCheck, pdp: Server
) -> None:
    check(suite, case)
    for name in ("counted_alone", "timeouts", "refusals", "connections_lost"):
        assert pdp.metric(f"pdp_limits_{name}_total") == 0


class TestReplicas:
    def test_three_servers_let_exactly_the_bound_pass(
        self, counters: CounterProcess, tmp_path: Path
    ) -> None:
        """Each has a database of its own, so they share nothing else."""
        with ExitStack() as stack:
            clients = []
            for name in ("one", "two", "three"):
                server = stack.enter_context(
                    servers.start(tmp_path / name, PDP_LIMITS_URL=counters.url, **PATIENT)
                )
                clients.append(stack.enter_context(server.client("racing")))
                make(clients[-1], daily_request_limit=40)
            with ThreadPoolExecutor(6) as pool:
                outcomes = list(pool.map(outcome, clients * 30))
            assert outcomes.count("ALLOW") == 40
            usage = [each.get(USAGE).json()[0]["daily_request_limit"]["used"] for each in clients]
        assert usage == [40, 40, 40]

    def test_workers_let_exactly_the_bound_pass(
        self, counters: CounterProcess, tmp_path: Path
    ) -> None:
        with servers.start_workers(
            tmp_path, PDP_LIMITS_URL=counters.url, PDP_LIMITS_BUDGET_MS="1000"
        ) as fleet:
            with fleet.client("fleet") as client:
                revision = client.post(
                    PATH, json={"scope": "user", "subject_id": "u1", "daily_request_limit": 20}
                ).headers["x-pdp-revision"]
            outcomes = []
            for _ in range(40):  # each connection may be another worker's
                with fleet.client("fleet") as client:
                    body = {**ask(), "min_revision": int(revision)}
                    outcomes.append(client.post("/v1/decide", json=body).json()["outcome"])
            assert outcomes == ["ALLOW"] * 20 + ["BLOCK"] * 20


class TestCalls:
    def test_items_of_a_batch_count_in_order(self, caller: httpx2.Client) -> None:
        make(caller, daily_token_limit=10)
        sizes = [4, 4, 4, 2, 1]
        body = {"requests": [ask(tokens=size) for size in sizes]}
        answer = caller.post("/v1/decide/batch", json=body).json()
        assert [each["outcome"] for each in answer["responses"]] == [
            "ALLOW", "ALLOW", "BLOCK", "ALLOW", "BLOCK"
        ]  # fmt: skip

    def test_an_item_may_use_what_one_before_it_did_not(self, caller: httpx2.Client) -> None:
        make(caller, daily_token_limit=10)
        policy = {"name": "No rivals", "category": "custom", "pattern": "rival", "action": "block"}
        assert caller.post("/api/v1/static-policies", json=policy).is_success
        items = [{**ask(tokens=10), "content": {"text": "rival"}}, ask(tokens=10), ask(tokens=1)]
        answer = caller.post("/v1/decide/batch", json={"requests": items}).json()
        assert [each["outcome"] for each in answer["responses"]] == ["BLOCK", "ALLOW", "BLOCK"]

    def test_a_large_batch_counts_every_item_once(self, caller: httpx2.Client) -> None:
        make(caller, daily_request_limit=70)
        large = {**ask(), "content": {"text": "word " * 20_000}}
        items = [large if place == 40 else ask() for place in range(100)]
        answer = caller.post("/v1/decide/batch", json={"requests": items}).json()
        passed = [each["outcome"] for each in answer["responses"]]
        assert passed == ["ALLOW"] * 70 + ["BLOCK"] * 30

    def test_messages_and_texts_of_a_stream_count_in_order(
        self, pdp: Server, caller: httpx2.Client, tenant: str
    ) -> None:
        make(caller, daily_request_limit=3)
        request = decide_pb2.DecideRequest(
            tenant_id=tenant, subject=decide_pb2.Subject(user_id="u1")
        )
        item = decide_pb2.DecideStreamRequest(request=request)
        chunk = decide_pb2.StreamChunk(stream_id="s", text="plain", last=True)
        text = decide_pb2.DecideStreamRequest(request=request, chunk=chunk)
        with grpc.insecure_channel(pdp.grpc_address) as channel:
            stub = decide_pb2_grpc.DecideServiceStub(channel)
            answers = list(stub.DecideStream(iter([item, text, item, item])))
        assert [each.response.allowed for each in answers] == [True, True, True, False]

    def test_a_simulation_shows_the_usage_and_uses_nothing(self, caller: httpx2.Client) -> None:
        make(caller, daily_request_limit=2)
        outcome(caller)
        for _ in range(2):
            answer = caller.post("/api/admin/policy/simulate", json=ask()).json()
            (layer,) = (each for each in answer["layers"] if each["layer"] == "limits")
            (quota,) = layer["quotas"]
            assert quota["daily_request_limit"]["used"] == 1
        assert [outcome(caller), outcome(caller)] == ["ALLOW", "BLOCK"]

    def test_the_usage_report(self, caller: httpx2.Client) -> None:
        make(caller, daily_request_limit=5, requests_per_minute=2)
        outcome(caller, tokens=30, cost_usd=0.1)
        (usage,) = caller.get(USAGE).json()
        assert usage["requests_per_minute"]["used"] == 1
        assert usage["daily_token_limit"]["used"] == 30
        assert usage["monthly_cost_limit_usd"]["used"] == 0.1


class TestFaults:
    def test_decisions_go_on_and_say_so(self, tmp_path: Path) -> None:
        secret = "s3cret-word"
        with (
            counter_server(tmp_path / "counters", "--requirepass", secret) as counters,
            servers.start(
                tmp_path / "pdp",
                PDP_LIMITS_URL=f"valkey://:{secret}@127.0.0.1:{counters.port}",
                PDP_LOG_LEVEL="debug",
                **PATIENT,
            ) as server,
            server.client(TENANT) as client,
        ):
            make(client, daily_request_limit=3)
            assert outcome(client) == "ALLOW"
            assert server.metric("pdp_limits_shared") == 1
            counters.kill()
            wait_until(lambda: server.metric("pdp_limits_shared") == 0, "the loss is noticed")
            answer = client.post("/v1/decide", json={**ask(), "explain": True}).json()
            assert answer["outcome"] == "ALLOW"
            assert any(
                row["reason"].startswith("counted by this server alone: the connection to")
                for row in answer["trace"]
            )
            assert [outcome(client), outcome(client)] == ["ALLOW", "BLOCK"]
            assert code(client.get(USAGE)) == (503, "STORE_UNAVAILABLE")
            assert server.metric("pdp_limits_counted_alone_total") == 3
            assert server.metric("pdp_counters_unwritten") > 0
            counters.start()
            wait_until(lambda: server.metric("pdp_limits_shared") == 1, "they are used again")
            (usage,) = client.get(USAGE).json()
            assert usage["daily_request_limit"]["used"] == 2  # the first was in the old process
            assert server.metric("pdp_counters_unwritten") == 0
        assert any("limits are counted by this process alone" in line for line in server.lines)
        assert not any(secret in line for line in server.lines)

    def test_a_server_starts_without_them(self, tmp_path: Path) -> None:
        url = f"redis://127.0.0.1:{free_port()}"
        with (
            servers.start(tmp_path, PDP_LIMITS_URL=url) as server,
            server.client(TENANT) as client,
        ):
            make(client, daily_request_limit=1)
            assert [outcome(client), outcome(client)] == ["ALLOW", "BLOCK"]


class TestTls:
    def test_the_certificate_of_the_server_is_verified(self, tmp_path: Path) -> None:
        authority, foreign = new_authority(), new_authority("another")
        ca_file, _ = authority.write(tmp_path, "ca")
        foreign_file, _ = foreign.write(tmp_path, "foreign")
        cert, key = authority.issue("counters").write(tmp_path, "server")
        flags = ("--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", ca_file)
        with counter_server(tmp_path / "counters", *map(str, flags), tls=True) as counters:
            own = f"ssl_certfile={cert}&ssl_keyfile={key}"
            for ca, ready in ((ca_file, 1), (foreign_file, 0)):
                url = f"{counters.url}?ssl_ca_certs={ca}&{own}"
                with servers.start(tmp_path / ca.stem, PDP_LIMITS_URL=url, **PATIENT) as server:
                    assert server.metric("pdp_limits_shared") == ready


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"PDP_LIMITS_URL": "http://:hidden@host"}, "PDP_LIMITS_URL: the value is not the URL"),
        ({"PDP_LIMITS_URL": "hidden"}, "PDP_LIMITS_URL: the value is not the URL of a server"),
        ({"PDP_LIMITS_URL": "valkey://u:hidden@h:x"}, "PDP_LIMITS_URL: is not a URL, or its port"),
        ({"PDP_LIMITS_URL": "valkey://:hidden@"}, "PDP_LIMITS_URL: is not the URL of a server"),
        ({"PDP_LIMITS_URL": "valkey://:hidden@h/x"}, "has a path that is not the number"),
        ({"PDP_LIMITS_URL": "valkey://:hidden@h?ssl_ca_certs=f"}, "which need TLS"),
        ({"PDP_LIMITS_URL": "valkeys://:hidden@h?ssl_cert_reqs=none"}, "options that do not exist"),
        ({"PDP_LIMITS_URL": "valkeys://:hidden@h?ssl_ca_certs="}, "options without a value"),
        ({"PDP_LIMITS_URL": "valkeys://:hidden@h?ssl_keyfile=f"}, "but not ssl_certfile"),
        ({"PDP_LIMITS_URL": "rediss://:hidden@h?ssl_ca_certs=/none"}, "ssl_ca_certs: the file"),
        ({"PDP_LIMITS_BUDGET_MS": "5"}, "PDP_LIMITS_BUDGET_MS: is used only with PDP_LIMITS_URL"),
        ({"PDP_LIMITS_URL": "redis://h", "PDP_LIMITS_BUDGET_MS": "0"}, "a whole number from 1 to"),
    ],
)
def test_settings_that_cannot_be_used_prevent_the_start(
    tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    result = servers.run_pdp("serve", PDP_AUTH="dev", PDP_DATA_DIR=str(tmp_path), **settings)
    assert result.returncode == 78
    assert message in result.stderr
    assert "hidden" not in result.stderr


def test_a_server_that_follows_another_one_refuses_them(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("pdp_x")
    result = servers.run_pdp(
        "serve",
        PDP_AUTH="dev",
        PDP_DATA_DIR=str(tmp_path),
        PDP_FOLLOW="http://127.0.0.1:1",
        PDP_FOLLOW_KEY_FILE=str(key),
        PDP_LIMITS_URL="redis://h",
    )
    assert result.returncode == 78
    assert "PDP_LIMITS_URL: a server that follows another one counts no limits" in result.stderr


def test_decisions_outside_a_server_refuse_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No server would see what they count."""
    monkeypatch.setenv("PDP_LIMITS_URL", "redis://127.0.0.1")
    monkeypatch.setenv("PDP_DATA_DIR", str(tmp_path))
    with pytest.raises(ConfigError, match="PDP_LIMITS_URL: only a server uses shared counters"):
        Engine.open()
    settings: Any = {"PDP_LIMITS_URL": "redis://127.0.0.1", "PDP_DATA_DIR": str(tmp_path)}
    result = servers.run_pdp("decide", "--embedded", "--text", "hello", **settings)
    assert result.returncode == 78
    assert "PDP_LIMITS_URL: only a server uses shared counters" in result.stderr
