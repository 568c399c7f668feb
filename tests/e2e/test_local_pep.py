"""`PDP_AUTH=local-pep`: on loopback and Unix sockets, callers without a credential may decide."""

from __future__ import annotations

import socket
import zlib
from typing import TYPE_CHECKING, Any, Final

import grpc
import pytest

from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp._gen.pdp.v1 import org_policy_pb2 as org_pb
from pdp._gen.pdp.v1.decide_pb2_grpc import DecideServiceStub
from pdp._gen.pdp.v1.org_policy_pb2_grpc import OrgPolicyServiceStub
from pdp.cli.exit_codes import Exit
from pdp.client.remote import open_channel
from tests.support import manifests as kubernetes
from tests.support import servers
from tests.support.certificates import new_authority
from tests.support.grpc_fronts import FRONTS
from tests.support.tls_servers import settings_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SETTINGS: Final[dict[str, Any]] = {"PDP_AUTH": "local-pep", "PDP_LOCAL_TENANT": "acme"}
RULE: Final = {"name": "No rivals", "category": "custom", "pattern": "rival", "action": "block"}


@pytest.fixture(
    scope="module",
    params=[
        *FRONTS,
        "workers",
    ],
)
def folder_and_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, servers.Server]]:
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "workers":
        started = servers.start_workers(folder, **SETTINGS)
    else:
        started = servers.start(folder, PDP_GRPC_SERVER=request.param, **SETTINGS)
    with started as server:
        yield folder, server


@pytest.fixture
def server(folder_and_server: tuple[Path, servers.Server]) -> servers.Server:
    return folder_and_server[1]


@pytest.fixture(scope="module")
def admin(folder_and_server: tuple[Path, servers.Server]) -> str:
    """The key of an admin."""
    folder, _ = folder_and_server
    ran = servers.run_pdp(
        "keys", "create", "--role", "admin", "--tenant", "*", PDP_DATA_DIR=str(folder)
    )
    assert ran.returncode == Exit.OK, ran.stderr
    return ran.stdout.splitlines()[-1]


def refusal(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


class TestWithoutACredential:
    def test_decisions_are_for_the_one_tenant(self, server: servers.Server, admin: str) -> None:
        """Over HTTP and gRPC, its policies are used."""
        with server.client("acme", **{"X-API-Key": admin}) as owner:
            created = owner.post("/api/v1/static-policies", json=RULE).raise_for_status()
        revision = int(created.headers["x-pdp-revision"])
        text = {"content": {"text": "a rival"}, "min_revision": revision}
        assert server.request("POST", "/v1/decide", json=text).json()["outcome"] == "BLOCK"
        batch = server.request("POST", "/v1/decide/batch", json={"requests": [text]}).json()
        assert batch["responses"][0]["outcome"] == "BLOCK"
        message = pb.DecideRequest(content=pb.Content(text="a rival"), min_revision=revision)
        with open_channel(server.grpc_address) as channel:
            stub = DecideServiceStub(channel)
            assert stub.Decide(message).outcome == pb.OUTCOME_BLOCK
            [answer] = stub.DecideStream(iter([pb.DecideStreamRequest(request=message)]))
            assert answer.response.outcome == pb.OUTCOME_BLOCK

    @pytest.mark.parametrize(
        "exempt",
        [
            {"groups": ["sre"]},
            {"everyone": True, "expression": "'sre' in groups"},
            {"everyone": True, "expression": "'sre' in subject.groups"},
            {"everyone": True, "expression": "not ('contractors' in groups)"},
            {"everyone": True, "expression": "count(subject.groups) < 9"},
        ],
    )
    def test_groups_of_the_request_lift_nothing(
        self, server: servers.Server, admin: str, exempt: dict[str, Any]
    ) -> None:
        """An exception for a group holds for callers with a credential only."""
        word = f"forbidden{zlib.crc32(str(exempt).encode())}"
        rule = {**RULE, "name": f"No {word}", "pattern": word}
        body: dict[str, Any] = {
            "content": {"text": f"the {word}"},
            "subject": {"groups": ["sre"]},
        }
        with server.client("acme", **{"X-API-Key": admin}) as owner:
            created = owner.post("/api/v1/static-policies", json=rule).json()["policy"]
            exception = {
                "name": f"{word} for SRE",
                "reason": "incident",
                "ticket": "T-1",
                "policies": [created["id"]],
                "valid_until": "2999-01-01T00:00:00Z",
                **exempt,
            }
            answer = owner.post("/v1/exceptions", json=exception)
            assert answer.status_code == 201, answer.text
            body["min_revision"] = int(answer.headers["x-pdp-revision"])
            assert owner.post("/v1/decide", json=body).json()["outcome"] == "ALLOW"
        assert server.request("POST", "/v1/decide", json=body).json()["outcome"] == "BLOCK"
        batch = server.request("POST", "/v1/decide/batch", json={"requests": [body]}).json()
        assert batch["responses"][0]["outcome"] == "BLOCK"

    def test_other_tenants_are_refused(self, server: servers.Server) -> None:
        answer = server.request("POST", "/v1/decide", json={"tenant_id": "other"})
        assert refusal(answer) == (403, "TENANT_MISMATCH")
        headers = {"X-Tenant-ID": "other"}
        answer = server.request("POST", "/v1/decide", json={}, headers=headers)
        assert refusal(answer) == (403, "TENANT_MISMATCH")
        with open_channel(server.grpc_address) as channel, pytest.raises(grpc.RpcError) as failed:
            DecideServiceStub(channel).Decide(pb.DecideRequest(tenant_id="other"))
        assert failed.value.code() is grpc.StatusCode.PERMISSION_DENIED

    @pytest.mark.parametrize(
        ("method", "path", "body"),
        [
            ("GET", "/v1/org/policy", None),
            ("POST", "/api/v1/static-policies", RULE),
            ("GET", "/api/admin/audit/records", None),
            ("POST", "/v1/simulate", {"request": {}}),
            ("POST", "/api/admin/kill-switch/models:disable", {"model": "m", "reason": "other"}),
            ("POST", "/api/admin/api-keys", {"name": "x", "role": "admin", "tenants": ["*"]}),
        ],
    )
    def test_everything_else_needs_a_key(
        self, server: servers.Server, admin: str, method: str, path: str, body: Any
    ) -> None:
        answer = server.request(method, path, json=body)
        assert refusal(answer) == (403, "ACCESS_DENIED")
        answer = server.request(method, path, json=body, headers={"X-API-Key": admin})
        assert answer.status_code != 403

    def test_everything_else_needs_a_key_over_grpc(
        self, server: servers.Server, admin: str
    ) -> None:
        request = org_pb.GetOrgPolicyRequest()
        with open_channel(server.grpc_address) as channel:
            stub = OrgPolicyServiceStub(channel)
            with pytest.raises(grpc.RpcError) as failed:
                stub.GetOrgPolicy(request)
            stub.GetOrgPolicy(request, metadata=(("x-api-key", admin),))
        assert failed.value.code() is grpc.StatusCode.PERMISSION_DENIED

    @pytest.mark.parametrize(
        "headers",
        [
            {"X-API-Key": ""},
            {"X-API-Key": "aa_live_wrong"},
            {"Authorization": ""},
            {"Authorization": "Bearer x"},
            {"Authorization": "Basic eDp5"},
        ],
    )
    def test_a_credential_that_is_not_valid_is_refused(
        self, server: servers.Server, headers: dict[str, str]
    ) -> None:
        """A caller with a wrong key must not become another caller."""
        answer = server.request("POST", "/v1/decide", json={}, headers=headers)
        assert refusal(answer) == (401, "UNAUTHENTICATED")
        metadata = tuple((name.lower(), value) for name, value in headers.items())
        with open_channel(server.grpc_address) as channel, pytest.raises(grpc.RpcError) as failed:
            DecideServiceStub(channel).Decide(pb.DecideRequest(), metadata=metadata)
        assert failed.value.code() is grpc.StatusCode.UNAUTHENTICATED

    @pytest.mark.parametrize(
        "headers",
        [
            {"Host": "pdp.example"},
            {"Origin": "https://pdp.example"},
            {"Origin": "http://localhost:1"},
        ],
    )
    def test_web_pages_are_refused(self, server: servers.Server, headers: dict[str, str]) -> None:
        answer = server.request("POST", "/v1/decide", json={}, headers=headers)
        assert refusal(answer) == (403, "HOST_REFUSED")
        own = {"Origin": server.http_url}
        assert server.request("POST", "/v1/decide", json={}, headers=own).status_code == 200

    def test_the_address_of_the_peer_is_not_used(self, server: servers.Server) -> None:
        """Headers of proxies change nothing."""
        headers = {"X-Forwarded-For": "203.0.113.7", "Forwarded": "for=203.0.113.7"}
        answer = server.request("POST", "/v1/decide", json={}, headers=headers)
        assert answer.status_code == 200


def test_unix_sockets(tmp_path: Path) -> None:
    grpc_path, http_path = tmp_path / "g.sock", tmp_path / "h.sock"
    listen = {"PDP_GRPC_LISTEN": f"unix:{grpc_path}", "PDP_HTTP_LISTEN": f"unix:{http_path}"}
    with servers.start(tmp_path / "data", **SETTINGS, **listen):
        with open_channel(f"unix:{grpc_path}") as channel:
            assert DecideServiceStub(channel).Decide(pb.DecideRequest(tenant_id="acme")).allowed
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(servers.TIMEOUT_S)
            connection.connect(str(http_path))
            head = "POST /v1/decide HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            body = "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
            connection.sendall((head + body).encode())
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200 ")


def test_a_certificate_that_is_no_credential(tmp_path: Path) -> None:
    """With TLS, a certificate that the table does not have is a call without a credential."""
    authority = new_authority()
    authority.write(tmp_path, "ca")
    authority.issue("server").write(tmp_path, "server")
    authority.issue("known", uri="spiffe://example.org/known").write(tmp_path, "known")
    authority.issue("other", uri="spiffe://example.org/other").write(tmp_path, "other")
    table = '[[client]]\nidentity = "spiffe://example.org/known"\ntenants = ["beta"]\n'
    (tmp_path / "clients.toml").write_text(table)
    settings = settings_of(tmp_path, mutual=True)
    table_setting = {"PDP_CLIENTS_FILE": str(tmp_path / "clients.toml")}
    with servers.start(tmp_path / "data", **SETTINGS, **settings, **table_setting) as server:
        for client, tenant in (("known", "beta"), ("other", "acme")):
            options: dict[str, Any] = {
                "PDP_SERVER": server.grpc_address,
                "PDP_TLS_CA_FILE": str(tmp_path / "ca.crt"),
                "PDP_TLS_CLIENT_CERT_FILE": str(tmp_path / f"{client}.crt"),
                "PDP_TLS_CLIENT_KEY_FILE": str(tmp_path / f"{client}.key"),
            }
            for named in ("acme", "beta"):
                ran = servers.run_pdp("decide", "--text", "hello", "--tenant", named, **options)
                assert ran.returncode == (Exit.OK if named == tenant else Exit.INVALID), ran.stderr


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"PDP_LOCAL_TENANT": ""}, "PDP_LOCAL_TENANT: is required"),
        ({"PDP_GRPC_LISTEN": "0.0.0.0:0"}, "PDP_GRPC_LISTEN: 0.0.0.0:0 is not a loopback"),
        ({"PDP_HTTP_LISTEN": "[::]:0"}, "PDP_HTTP_LISTEN: [::]:0 is not a loopback"),
        ({"PDP_AUTH": "required"}, "PDP_LOCAL_TENANT: is used only with PDP_AUTH=local-pep"),
    ],
)
def test_it_does_not_start_if_others_can_reach_it(
    tmp_path: Path, settings: dict[str, str], message: str
) -> None:
    with servers.launch(tmp_path / "data", **{**SETTINGS, **settings}) as server:
        assert server.wait() == Exit.CONFIG
        assert message in "".join(server.lines)


def test_the_manifest_of_the_sidecar(tmp_path: Path) -> None:
    """A server with its environment starts, answers the app, and passes each of its probes."""
    manifest = kubernetes.objects((kubernetes.MANIFESTS / "sidecar.yaml").read_text("utf-8"))
    places = {"PDP_DATA_DIR", "PDP_GRPC_LISTEN", "PDP_HTTP_LISTEN"}
    environment: dict[str, Any] = {
        name: value
        for name, value in kubernetes.environment(manifest).items()
        if name not in places
    }
    assert environment["PDP_AUTH"] == "local-pep"
    sidecar = kubernetes.server(manifest)
    probes = [value for name, value in sidecar.items() if name.endswith("Probe")]
    assert len(probes) == 2
    with servers.start(tmp_path / "data", **environment) as server:
        assert server.request("POST", "/v1/decide", json={}).status_code == 200
        for probe in probes:
            command, *arguments = probe["exec"]["command"]
            assert command == "pdp"
            ran = servers.run_pdp(*arguments, PDP_SERVER=server.grpc_address, **environment)
            assert (ran.returncode, ran.stdout) == (Exit.OK, "SERVING\n"), ran.stderr
    ran = servers.run_pdp(*arguments, PDP_SERVER=server.grpc_address, **environment)
    assert ran.returncode == Exit.UNAVAILABLE
