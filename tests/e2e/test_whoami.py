"""WhoAmI: every credential learns what it may do (docs/access.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import pdp
from pdp.domain.access import INCLUDED_ROLES, ROLES
from pdp.transport.methods import methods
from tests.support import servers, tokens
from tests.support.authenticated_servers import AuthenticatedServer, authenticated_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WHOAMI = "/v1/whoami"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuthenticatedServer]:
    """A server that requires credentials, API keys or tokens."""
    folder = tmp_path_factory.mktemp("whoami")
    secret = folder / "secret"
    secret.write_bytes(tokens.SECRET)
    settings = {
        "PDP_JWT_ISSUER": tokens.ISSUER,
        "PDP_JWT_AUDIENCE": tokens.AUDIENCE,
        "PDP_JWT_SECRET_FILE": str(secret),
    }
    with authenticated_server(folder, **settings) as opened:
        yield opened


def test_a_key_learns_its_name_and_tenant(server: AuthenticatedServer) -> None:
    created = server.new_key("editor", "acme", owner="ada", expires_at="2099-12-31T00:00:00Z")
    caller = server.request("GET", WHOAMI, created["key"]).json()
    assert caller.pop("methods")
    assert caller == {
        "name": f"key:{created['api_key']['id']}",
        "roles": ["pep", "auditor", "editor"],
        "tenant_id": "acme",
        "tenants": ["acme"],
        "platform": False,
        "kind": "api_key",
        "expires_at": "2099-12-31T00:00:00Z",
        "person": "ada",
        "version": pdp.__version__,
    }


def test_a_key_for_all_tenants_has_none_of_its_own(server: AuthenticatedServer) -> None:
    caller = server.request("GET", WHOAMI, server.admin).json()
    assert (caller["tenant_id"], caller["tenants"], caller["platform"]) == ("", ["*"], True)
    assert caller["expires_at"] is None


def test_a_key_for_several_tenants_need_not_name_one(server: AuthenticatedServer) -> None:
    caller = server.request("GET", WHOAMI, server.key("auditor", "b", "a")).json()
    assert (caller["tenant_id"], caller["tenants"], caller["platform"]) == ("", ["a", "b"], False)


def test_a_rotated_key_expires_when_its_old_secret_does(server: AuthenticatedServer) -> None:
    created = server.new_key("pep", "acme")
    path = f"/api/admin/api-keys/{created['api_key']['id']}/rotate"
    rotated = server.request("POST", path, server.admin, json={"overlap_s": 3600}).json()
    (old, _new) = rotated["api_key"]["secrets"]
    before = server.request("GET", WHOAMI, created["key"]).json()
    assert before["expires_at"] == old["expires_at"] is not None
    assert server.request("GET", WHOAMI, rotated["key"]).json()["expires_at"] is None


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("bound_to", ["acme", "*"])
def test_the_methods_are_those_that_the_role_and_the_scope_allow(
    server: AuthenticatedServer, role: str, bound_to: str
) -> None:
    """tests/e2e/test_access.py calls each method to compare the contracts with the checks."""
    allowed = {
        method.name
        for method in methods()
        if method.callers & INCLUDED_ROLES[role] and (method.scope == "tenant" or bound_to == "*")
    }
    caller = server.request("GET", WHOAMI, server.key(role, bound_to)).json()
    assert caller["methods"] == sorted(allowed)
    assert set(caller["roles"]) == INCLUDED_ROLES[role]


def test_the_operations_of_the_api_description_have_these_names(
    server: AuthenticatedServer,
) -> None:
    """Only a stream of requests has no operation."""
    paths = server.request("GET", "/openapi.json").json()["paths"]
    operations = {each["operationId"] for path in paths.values() for each in path.values()}
    caller = server.request("GET", WHOAMI, server.admin).json()
    assert set(caller["methods"]) - operations == {"DecideStream"}


def test_a_token_learns_its_subject_and_expiry(server: AuthenticatedServer) -> None:
    token = tokens.token("HS256", tokens.SECRET, tenants=["b", "a"], roles=["approver", "nope"])
    headers = {"Authorization": f"Bearer {token}"}
    caller = server.request("GET", WHOAMI, headers=headers).json()
    assert (caller["name"], caller["person"], caller["kind"]) == ("jwt:ada", "ada", "jwt")
    assert (caller["roles"], caller["tenants"]) == (["approver"], ["a", "b"])
    assert caller["expires_at"] == "2100-01-01T00:00:00Z"


def test_a_token_that_expires_beyond_all_calendars_has_no_expiry(
    server: AuthenticatedServer,
) -> None:
    token = tokens.token("HS256", tokens.SECRET, exp=10**15)
    headers = {"Authorization": f"Bearer {token}"}
    assert server.request("GET", WHOAMI, headers=headers).json()["expires_at"] is None


def test_strangers_learn_nothing(server: AuthenticatedServer) -> None:
    answer = server.request("GET", WHOAMI)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "UNAUTHENTICATED")


def test_in_development_mode_every_caller_is_an_admin(tmp_path: Path) -> None:
    with servers.start(tmp_path) as server:
        caller = server.request("GET", WHOAMI).json()
    assert (caller["name"], caller["kind"], caller["platform"]) == (
        "dev-admin",
        "development",
        True,
    )
    assert set(caller["roles"]) == INCLUDED_ROLES["admin"]


def test_a_caller_on_the_same_machine_is_local(tmp_path: Path) -> None:
    with servers.start(tmp_path, PDP_AUTH="local-pep", PDP_LOCAL_TENANT="acme") as server:
        caller = server.request("GET", WHOAMI).json()
    assert (caller["name"], caller["kind"], caller["roles"]) == ("local-pep", "local", ["pep"])
    assert caller["tenant_id"] == "acme"
