"""Signed tokens on real servers, over both transports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pdp._gen.pdp.v1 import decide_pb2
from pdp.client import CallFailed
from pdp.client.remote import RemoteClient
from tests.support import servers
from tests.support.tokens import AUDIENCE, ISSUER, LONG_AGO, SECRET, jwk, jwks, token

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SETTINGS = {"PDP_AUTH": "required", "PDP_JWT_ISSUER": ISSUER, "PDP_JWT_AUDIENCE": AUDIENCE}


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The key set file of the server."""
    file = tmp_path_factory.mktemp("keys") / "keys.json"
    file.write_bytes(jwks())
    return file


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, keys: Path) -> Iterator[servers.Server]:
    """A server that accepts tokens signed with a key set."""
    folder = tmp_path_factory.mktemp("tokens")
    with servers.start(
        folder, patch="short-polling", PDP_JWT_JWKS=str(keys), **SETTINGS
    ) as started:
        yield started


def ask(
    server: servers.Server, bearer: str, verb: str = "POST", path: str = "/v1/decide"
) -> tuple[int, str]:
    """Requests a decision over HTTP; returns the status and the reason."""
    more: dict[str, Any] = {"json": {}} if verb == "POST" else {}
    answer = server.request(verb, path, headers={"Authorization": f"Bearer {bearer}"}, **more)
    return answer.status_code, answer.json().get("error", {}).get("code", "OK")


def over_grpc(server: servers.Server, bearer: str) -> str:
    """Requests a decision over gRPC; returns the reason."""
    credential = (("authorization", f"Bearer {bearer}"),)
    with RemoteClient(
        server.grpc_address, timeout_s=servers.TIMEOUT_S, credential=credential
    ) as remote:
        try:
            remote.call("Decide", decide_pb2.DecideRequest())
        except CallFailed as refusal:
            return refusal.code
    return "OK"


def test_no_warning_asks_for_a_key(server: servers.Server) -> None:
    """If tokens are accepted, the log does not ask for a first key: callers can exist already."""
    assert not any("NO CALLER HAS ACCESS" in line for line in server.lines)


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_claims_set_role_and_tenants(server: servers.Server, algorithm: str) -> None:
    """The role and the tenant come from the token's claims."""
    pep = token(algorithm, roles=["pep"])
    assert ask(server, pep) == (200, "OK")
    assert over_grpc(server, pep) == "OK"
    assert ask(server, pep, "GET", "/v1/org/policy") == (403, "ACCESS_DENIED")
    auditor = token(algorithm, roles=["auditor"])
    assert ask(server, auditor, "GET", "/v1/org/policy") == (200, "OK")
    assert ask(server, auditor) == (403, "ACCESS_DENIED")
    assert ask(server, token(algorithm, tenants=[])) == (400, "INVALID_ARGUMENT")


@pytest.mark.parametrize(
    "changes",
    [{"aud": "other"}, {"iss": "other"}, {"exp": LONG_AGO}, {"kid": "other"}],
    ids=("audience", "issuer", "expired", "key"),
)
def test_invalid_tokens_are_refused(server: servers.Server, changes: dict[str, str]) -> None:
    """The response is the same for every fault of a token."""
    assert ask(server, token(**changes)) == (401, "UNAUTHENTICATED")
    assert over_grpc(server, token(**changes)) == "UNAUTHENTICATED"


def test_the_change_log_names_the_subject(server: servers.Server) -> None:
    """The change log shows the subject of the token."""
    editor = token(roles=["editor"], sub="grace@example.org")
    with server.client(Authorization=f"Bearer {editor}") as client:
        client.post("/policies/cust_1", json={"sensitive_fields": ["ssn"]})
        (version,) = client.get("/policies/cust_1/versions").json()["versions"]
    assert version["changed_by"] == "jwt:grace@example.org"


def test_token_keys_change_without_a_restart(server: servers.Server, keys: Path) -> None:
    """When a key is removed from the set, tokens signed with it become invalid."""
    old, new = token("RS256"), token("ES256")
    keys.write_bytes(jwks(jwk("ES256")))
    server.wait_for_event("token keys reloaded")
    assert ask(server, old) == (401, "UNAUTHENTICATED")
    assert ask(server, new) == (200, "OK")
    keys.write_bytes(jwks())
    server.wait_for_event("token keys reloaded")
    assert ask(server, old) == (200, "OK")


def test_tokens_can_be_signed_with_a_shared_secret(tmp_path: Path) -> None:
    """A secret file enables HS256; a secret that is too short prevents the start."""
    file = tmp_path / "secret"
    file.write_bytes(SECRET)
    settings = {**SETTINGS, "PDP_JWT_SECRET_FILE": str(file)}
    with servers.start(tmp_path / "data", **settings) as server:
        assert ask(server, token("HS256", SECRET, kid="any")) == (200, "OK")
        assert ask(server, token("HS256", SECRET[::-1])) == (401, "UNAUTHENTICATED")
        assert over_grpc(server, token("RS256")) == "UNAUTHENTICATED"
        assert SECRET.decode() not in "".join(server.lines)
    file.write_bytes(SECRET[:31])
    with servers.launch(tmp_path / "data", **settings) as refusal:
        assert refusal.wait() == 78
    assert "PDP_JWT_SECRET_FILE" in refusal.lines[0]
