"""`pdp serve --follow`: a server that decides by the policies of another one."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import pdp_client as pdp
import pytest

from pdp.cli.exit_codes import Exit
from tests.support import servers
from tests.support.approvals import ApprovalTenant
from tests.support.central_servers import TENANT, CentralServer, central_server
from tests.support.certificates import new_authority
from tests.support.grpc_fronts import FRONTS
from tests.support.servers import TIMEOUT_S
from tests.support.tls_servers import settings_of
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.xdist_group("follow server")

ATTACK: Final = {"tool": "sql", "arguments": {"query": "1; DROP TABLE users;"}}


def settings_for(central: CentralServer, folder: Path) -> dict[str, str]:
    """Returns the settings of a server that follows, with its key in a file."""
    key_file = folder / "follower.key"
    key_file.write_text(f"{central.follower_key}\n")
    return {
        "PDP_AUTH": "local-pep",
        "PDP_LOCAL_TENANT": TENANT,
        "PDP_FOLLOW": f"http://{central.address}",
        "PDP_FOLLOW_KEY_FILE": str(key_file),
        "PDP_FOLLOW_TENANTS": TENANT,
    }


def checks(server: servers.Server) -> dict[str, str]:
    answer: dict[str, str] = server.request("GET", "/readyz").json()["checks"]
    return answer


def revision(server: servers.Server) -> float:
    return server.metric("pdp_snapshot_revision")


@contextmanager
def follower(
    central: CentralServer, folder: Path, *, wait: bool = True, **settings: str
) -> Iterator[servers.Server]:
    """Starts a server that follows, and waits until it has policies."""
    folder.mkdir(exist_ok=True)
    with servers.start(folder, **{**settings_for(central, folder), **settings}) as server:
        if wait:
            wait_until(lambda: revision(server) > 0, "the policies are here")
        yield server


@pytest.fixture
def central(tmp_path: Path) -> Iterator[CentralServer]:
    """A server to follow."""
    with central_server(tmp_path / "central") as server:
        yield server


@pytest.mark.parametrize("front", FRONTS)
def test_it_decides_while_the_other_server_is_down(
    central: CentralServer, tmp_path: Path, front: str
) -> None:
    with follower(central, tmp_path / "f", PDP_GRPC_SERVER=front) as server:
        assert server.announcement["follows"] == f"http://{central.address}"
        blocked = central.block("platypus")
        wait_until(lambda: revision(server) >= blocked, "the policy is here")
        central.stop()
        with pdp.Client(server.grpc_address, timeout=TIMEOUT_S) as client:
            assert client.decide({"content": "hello"}).allowed
            assert not client.decide({"content": "a platypus"}).allowed
            batch = client.decide_batch([{"content": "hello"}, ATTACK])
            assert [each.allowed for each in batch] == [True, False]
            assert "".join(client.release(["some ", "words"])) == "some words"
            with pytest.raises(pdp.Denied):
                list(client.release(["a ", "platypus"]))
        answer = server.request("POST", "/v1/decide", json={"content": {"text": "a platypus"}})
        assert answer.json()["allowed"] is False
        assert server.metric("pdp_calls_forwarded_total") == 0
        wait_until(lambda: "cannot be reached" in checks(server)["follow_acme"], "it is shown")
        central.start()
        wait_until(lambda: server.metric("pdp_records_unsent") == 0, "all is reported")
        assert {each["outcome"] for each in central.records()} == {"BLOCK"}


def test_what_it_cannot_decide_is_passed_on(central: CentralServer, tmp_path: Path) -> None:
    limit = {"scope": "user", "subject_id": "ann", "requests_per_minute": 1}
    made = central.running.request(
        "POST", "/api/admin/limits/", central.running.admin, TENANT, json=limit
    )
    assert made.is_success, made.text
    by_ann = {"content": "hello", "subject": {"user_id": "ann"}}
    with (
        follower(central, tmp_path / "f") as server,
        pdp.Client(server.grpc_address, timeout=TIMEOUT_S) as client,
    ):
        assert client.decide(by_ann).allowed
        refused = client.decide(by_ann)
        assert (refused.reason_code, refused.retry_after is not None) == ("LIMIT_EXCEEDED", True)
        assert client.decide({"content": "hello", "want_input_hash": True}).input_hash
        [first, second] = client.decide_batch([{"content": "hello"}, by_ann])
        assert first.allowed
        assert not second.allowed
        stream = client.release(["some ", "words"], {"subject": {"user_id": "bob"}})
        assert "".join(stream) == "some words"
        with pytest.raises(pdp.Denied):
            list(client.release(["some ", "words"], {"subject": {"user_id": "ann"}}))
        assert server.metric("pdp_calls_forwarded_total") == 6
        central.stop()
        denied = client.decide(by_ann)
        assert (denied.allowed, denied.reason_code) == (False, pdp.UNAVAILABLE)
        assert client.decide({"content": "hello", "subject": {"user_id": "bob"}}).allowed


def test_a_stream_of_requests_is_decided_one_by_one(central: CentralServer, tmp_path: Path) -> None:
    with (
        follower(central, tmp_path / "f") as server,
        pdp.connect(server.grpc_address) as channel,
    ):
        asked = [
            pdp.DecideRequest(content=pdp.Content(text="hello"), want_input_hash=wants)
            for wants in (False, True, False)
        ]
        stub: Any = pdp.DecideServiceStub(channel)
        messages = [pdp.DecideStreamRequest(request=each) for each in asked]
        answers = list(stub.DecideStream(iter(messages), timeout=TIMEOUT_S))
        assert [each.response.allowed for each in answers] == [True, True, True]
        assert [bool(each.response.input_hash) for each in answers] == [False, True, False]
        assert server.metric("pdp_calls_forwarded_total") == 1


def test_no_request_for_another_tenant_is_passed_on(central: CentralServer, tmp_path: Path) -> None:
    central.follower_key = central.running.key("follower", "*")
    foreign = pdp.DecideRequest(tenant_id="other", tokens=["a token"])
    text = pdp.DecideRequest(tenant_id="other", want_input_hash=True)
    with (
        follower(central, tmp_path / "f") as server,
        pdp.connect(server.grpc_address) as channel,
    ):
        stub: Any = pdp.DecideServiceStub(channel)
        messages = [
            pdp.DecideStreamRequest(request=foreign),
            pdp.DecideStreamRequest(request=text, chunk=pdp.StreamChunk(stream_id="t", text="x")),
        ]
        for answer in stub.DecideStream(iter(messages), timeout=TIMEOUT_S):
            assert answer.response.outcome == pdp.OUTCOME_BLOCK
            assert answer.response.reason_code == "TENANT_MISMATCH"
        for body in ({"tenant_id": "other", "tokens": ["a token"]}, {"tenant_id": "other"}):
            answer = server.request("POST", "/v1/decide", json=body)
            assert answer.status_code == 403
        assert server.metric("pdp_calls_forwarded_total") == 0


def test_a_second_person_approves(central: CentralServer, tmp_path: Path) -> None:
    tenant = ApprovalTenant(central.running, TENANT)
    with (
        follower(central, tmp_path / "f") as server,
        pdp.Client(server.grpc_address, timeout=TIMEOUT_S) as client,
    ):
        wait_until(lambda: revision(server) >= tenant.revision, "the rule is here")
        held = client.decide(tenant.request())
        assert held.outcome == "ESCALATE"
        approval = held.obligations.approval
        assert approval is not None
        answer = central.running.request(
            "POST", f"/v1/approvals/{approval.id}/approve", tenant.bob, json={"reason": "fine"}
        )
        assert answer.is_success, answer.text
        assert client.decide({**tenant.request(), "tokens": [approval.token]}).allowed
        again = client.decide({**tenant.request(), "tokens": [approval.token]})
        assert not again.allowed


def test_groups_that_are_not_trusted_here_are_not_trusted_there(
    central: CentralServer, tmp_path: Path
) -> None:
    central.block("platypus")
    exception = {
        "name": "Zoologists",
        "reason": "They study them",
        "ticket": "T-1",
        "groups": ["zoo"],
        "policies": [central.policy_id],
        "valid_until": "2099-01-01T00:00:00Z",
    }
    made = central.running.request(
        "POST", "/v1/exceptions", central.running.admin, TENANT, json=exception
    )
    assert made.is_success, made.text
    asked = {"content": {"text": "a platypus"}, "subject": {"user_id": "u", "groups": ["zoo"]}}
    passed_on = {**asked, "want_input_hash": True}
    with follower(central, tmp_path / "f") as server:
        ready = int(made.headers["x-pdp-revision"])
        wait_until(lambda: revision(server) >= ready, "the exception is here")
        for body in (asked, passed_on):
            answer = server.request("POST", "/v1/decide", json=body).json()
            assert answer["allowed"] is False
            trusted = central.running.request(
                "POST", "/v1/decide", central.follower_key, json=body
            ).json()
            assert trusted["allowed"] is True
        assert server.metric("pdp_calls_forwarded_total") == 1


def test_it_has_no_policies_of_its_own(central: CentralServer, tmp_path: Path) -> None:
    with follower(central, tmp_path / "f", PDP_AUTH="dev", PDP_LOCAL_TENANT="") as server:
        answer = server.request("GET", "/api/v1/static-policies", headers={"X-Tenant-ID": TENANT})
        assert answer.status_code == 503
        assert answer.json()["error"]["code"] == "STORE_UNAVAILABLE"
        assert "the server that it follows" in answer.json()["error"]["message"]


def test_it_goes_on_after_a_kill_while_the_other_server_is_down(
    central: CentralServer, tmp_path: Path
) -> None:
    with (
        follower(central, tmp_path / "f") as server,
        pdp.Client(server.grpc_address, timeout=TIMEOUT_S) as client,
    ):
        central.stop()
        made = client.decide(ATTACK).decision_id
        server.process.kill()
    with follower(central, tmp_path / "f") as server:
        with pdp.Client(server.grpc_address, timeout=TIMEOUT_S) as client:
            assert client.decide({"content": "hello"}).allowed
            other = client.decide(ATTACK).decision_id
        central.start()
        wait_until(lambda: len(central.records()) == 2, "both are reported")
        assert {each["decision_id"] for each in central.records()} == {made, other}


def test_without_policies_and_without_the_other_server_it_denies(
    central: CentralServer, tmp_path: Path
) -> None:
    central.stop()
    with follower(central, tmp_path / "f", wait=False) as server:
        answer = server.request("POST", "/v1/decide", json={"content": {"text": "hello"}})
        assert answer.status_code == 503
        assert answer.json()["error"]["code"] == "STORE_UNAVAILABLE"
        with pdp.Client(server.grpc_address) as client:
            assert client.decide({"content": "hello"}).reason_code == pdp.UNAVAILABLE
            with pytest.raises(pdp.Denied):
                list(client.release(["some ", "words"]))


def test_tls_to_the_other_server(tmp_path: Path) -> None:
    authority = new_authority()
    authority.write(tmp_path, "ca")
    authority.issue("server").write(tmp_path, "server")
    tls = settings_of(tmp_path)
    with central_server(tmp_path / "central", **tls) as central:
        url: Any = {"PDP_FOLLOW": f"https://localhost:{central.address.rpartition(':')[2]}"}
        ca_file = str(tmp_path / "ca.crt")
        with follower(central, tmp_path / "f", PDP_FOLLOW_CA_FILE=ca_file, **url) as server:
            answer = server.request("POST", "/v1/decide", json={"content": {"text": "hello"}})
            assert answer.json()["allowed"] is True
            assert server.metric("pdp_calls_forwarded_total") == 0
        with follower(central, tmp_path / "g", wait=False, **url) as server:  # not a public CA
            answer = server.request("POST", "/v1/decide", json={"content": {"text": "hello"}})
            assert answer.status_code == 503


@pytest.mark.parametrize(
    ("changes", "setting"),
    [
        ({"PDP_FOLLOW": "http://pdp.example:50051"}, "PDP_FOLLOW"),
        ({"PDP_FOLLOW": "https://pdp.example"}, "PDP_FOLLOW"),
        ({"PDP_FOLLOW": "pdp.example:50051"}, "PDP_FOLLOW"),
        ({"PDP_FOLLOW": ""}, "PDP_FOLLOW"),
        ({"PDP_FOLLOW_KEY_FILE": "/nowhere/key"}, "PDP_FOLLOW_KEY_FILE"),
        ({"PDP_FOLLOW_KEY_FILE": "/dev/null"}, "PDP_FOLLOW_KEY_FILE"),
        ({"PDP_FOLLOW_SIGNING_KEY": "AAAA"}, "PDP_FOLLOW_SIGNING_KEY"),
        ({"PDP_FOLLOW_TENANTS": "a,b c"}, "PDP_FOLLOW_TENANTS"),
        ({"PDP_FOLLOW_CERT_FILE": "/nowhere/cert"}, "PDP_FOLLOW_CERT_KEY_FILE"),
        ({"PDP_FOLLOW_KEY_FILE": ""}, "PDP_FOLLOW_KEY_FILE"),
        ({"PDP_FOLLOW_MAX_AGE_S": "0"}, "PDP_FOLLOW_MAX_AGE_S"),
        ({"PDP_WORKERS": "2"}, "PDP_WORKERS"),
    ],
)
def test_settings_that_cannot_be_used(
    tmp_path: Path, changes: dict[str, str], setting: str
) -> None:
    (tmp_path / "key").write_text("a key")
    settings = {
        "PDP_AUTH": "local-pep",
        "PDP_LOCAL_TENANT": TENANT,
        "PDP_FOLLOW": "http://127.0.0.1:1",
        "PDP_FOLLOW_KEY_FILE": str(tmp_path / "key"),
        **changes,
    }
    ended = servers.run_pdp("serve", cwd=tmp_path, PDP_DATA_DIR=str(tmp_path), **settings)
    assert ended.returncode == Exit.CONFIG
    assert setting in ended.stderr


def test_an_error_of_the_other_server_is_an_error(central: CentralServer, tmp_path: Path) -> None:
    with (
        follower(central, tmp_path / "f") as server,
        pdp.Client(server.grpc_address, timeout=TIMEOUT_S) as client,
    ):
        never = client.decide({"content": "hello", "min_revision": 1 << 40})
        assert never.reason_code == pdp.UNAVAILABLE
        assert server.metric("pdp_calls_forwarded_total") >= 1
