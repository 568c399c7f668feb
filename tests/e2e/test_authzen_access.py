"""Who may call AuthZEN: each role for its own tenant, for another and for none; and how often."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from pdp.domain.access import INCLUDED_ROLES, PEP, ROLES
from tests.e2e.test_access import ALL, OTHER, OWN
from tests.support.authenticated_servers import AuthenticatedServer, authenticated_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EVALUATION: Final = "/access/v1/evaluation"
EVALUATIONS: Final = "/access/v1/evaluations"
PATHS: Final = (
    EVALUATION,
    EVALUATIONS,
    "/access/v1/search/subject",
    "/access/v1/search/resource",
    "/access/v1/search/action",
)
QUESTION: Final[dict[str, Any]] = {
    "subject": {"type": "user", "id": "alice"},
    "action": {"name": "read"},
    "resource": {"type": "record", "id": "r1"},
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuthenticatedServer]:
    """A server that requires credentials."""
    with authenticated_server(tmp_path_factory.mktemp("authzen_access")) as opened:
        yield opened


@pytest.mark.parametrize("path", PATHS)
def test_requests_need_the_right_role_and_tenant(server: AuthenticatedServer, path: str) -> None:
    """As for Decide: 401 without a credential, 403 for another role or tenant."""
    for role in ROLES:
        for bound_to in (OWN, ALL):
            key = server.key(role, bound_to)
            for tenant in (OWN, OTHER, ""):
                answer = server.request("POST", path, key, tenant, json=QUESTION)
                place = (role, bound_to, tenant, answer.text)
                if PEP not in INCLUDED_ROLES[role]:
                    assert answer.status_code == 403, place
                    assert answer.json()["error"]["code"] == "ACCESS_DENIED", place
                elif tenant == OTHER and bound_to != ALL:
                    assert answer.status_code == 403, place
                    assert answer.json()["error"]["code"] == "TENANT_MISMATCH", place
                else:
                    assert answer.status_code == 200, place


@pytest.mark.parametrize("path", PATHS)
def test_a_key_for_several_tenants_must_name_one(server: AuthenticatedServer, path: str) -> None:
    """The server does not guess the tenant."""
    key = server.key("pep", OWN, "a-third")
    answer = server.request("POST", path, key, json=QUESTION)
    assert answer.status_code == 400
    (detail,) = answer.json()["error"]["details"]
    assert detail["field"].lower() == "x-tenant-id"
    assert server.request("POST", path, key, "a-third", json=QUESTION).status_code == 200
    assert server.request("POST", path, key, "not a tenant", json=QUESTION).status_code == 400


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("content", "headers"),
    [
        (b"{}", {"Content-Type": "application/json"}),
        (b"", {}),
        (b"\xff", {"Content-Type": "text/plain"}),
        (b"x", {"Content-Encoding": "gzip"}),
    ],
)
def test_the_credential_comes_before_the_body(
    server: AuthenticatedServer, path: str, content: bytes, headers: dict[str, str]
) -> None:
    """Without one, the answer is 401, whatever the body and its type are."""
    for key in ("", "pdp_wrong"):
        answer = server.request("POST", path, key, OWN, content=content, headers=headers)
        assert answer.status_code == 401
        assert answer.json()["error"]["code"] == "UNAUTHENTICATED"
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.headers["x-request-id"]
    role = next(role for role in ROLES if PEP not in INCLUDED_ROLES[role])
    key = server.key(role, OWN)
    answer = server.request("POST", path, key, OWN, content=content, headers=headers)
    assert answer.status_code == 403


def test_a_decision_is_of_the_tenant_of_the_credential(server: AuthenticatedServer) -> None:
    """Its policies apply, and not those of another tenant that has the same subjects."""
    admin = server.key("admin", OWN)
    body = {"name": "No", "category": "custom", "pattern": "rival", "action": "block"}
    made = server.request("POST", "/api/v1/static-policies", admin, json=body)
    assert made.status_code == 201
    question = {
        **QUESTION,
        "resource": {"type": "model", "id": "gpt-4o"},
        "context": {"text": "a rival", "tenant_id": OTHER},
        "tenant_id": OTHER,
    }
    for tenant, decision in ((OWN, False), (OTHER, True)):
        answer = server.request("POST", EVALUATION, server.key("pep", tenant), json=question)
        assert answer.json()["decision"] is decision


def test_metadata_need_no_credential(server: AuthenticatedServer) -> None:
    """The status says that this server, on a port of the kernel's choice, has no URL."""
    assert server.request("GET", "/.well-known/authzen-configuration").status_code == 404


@pytest.mark.parametrize("path", PATHS)
def test_only_post_is_served(server: AuthenticatedServer, path: str) -> None:
    answer = server.request("GET", path, server.admin, OWN)
    assert answer.status_code == 405
    assert "POST" in answer.headers["allow"]


def test_every_evaluation_counts_against_the_rate(tmp_path: Path) -> None:
    """With each semantic; what comes too often is denied, or refused as a whole."""
    settings = {"PDP_RATE_PER_S": "0.001", "PDP_RATE_BURST": "3"}
    with authenticated_server(tmp_path, **settings) as slow:
        items = {**QUESTION, "evaluations": [{}] * 4}
        short = {**items, "options": {"evaluations_semantic": "deny_on_first_deny"}}
        answer = slow.request("POST", EVALUATIONS, slow.key("pep", "one"), json=short)
        answers = answer.json()["evaluations"]
        assert [each["decision"] for each in answers] == [True, True, True, False]
        assert answers[3]["context"]["error"]["status"] == 429
        key = slow.key("pep", "two")
        assert slow.request("POST", EVALUATIONS, key, json=items).status_code == 200
        refused = slow.request("POST", EVALUATION, key, json=QUESTION)
        assert (refused.status_code, "decision" in refused.json()) == (429, False)
        assert int(refused.headers["retry-after"]) > 900
