"""Exceptions over HTTP: who may make them, who approves them, and what they lift."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.support.authenticated_servers import AuthenticatedServer, authenticated_server
from tests.support.rest.packs import (
    UNKNOWN_ID,
    check_error,
    created_json,
    ok_json,
    without_warnings,
)
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx2

EXCEPTIONS: Final = "/v1/exceptions"
UNTIL: Final = "2999-01-01T00:00:00Z"
ENDED: Final = "2020-01-01T00:00:00Z"
POLICY: Final = {"name": "No rivals", "category": "custom", "pattern": "rival", "action": "block"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuthenticatedServer]:
    """A server that requires credentials."""
    with authenticated_server(tmp_path_factory.mktemp("exceptions")) as opened:
        yield opened


class Tenant:
    """A tenant with a policy that blocks a word, and the keys of two admins."""

    def __init__(self, server: AuthenticatedServer, name: str) -> None:
        self.server = server
        self.name = name
        self.admin = server.key("admin", name)
        self.other = server.new_key("admin", name, name=f"Another admin of {name}")["key"]
        answer = server.request("POST", "/api/v1/static-policies", self.admin, name, json=POLICY)
        self.policy_id = created_json(answer)["policy"]["id"]

    def call(
        self, method: str, path: str, body: Any = None, key: str = "", **more: Any
    ) -> httpx2.Response:
        content = {} if body is None else {"json": body}
        return self.server.request(method, path, key or self.admin, self.name, **content, **more)

    def draft(self, **fields: Any) -> dict[str, Any]:
        return {
            "name": "Rivals for sales",
            "reason": "Sales talks about rivals",
            "ticket": "T-1",
            "groups": ["sales"],
            "policies": [self.policy_id],
            "valid_until": UNTIL,
            **fields,
        }

    def create(self, **fields: Any) -> Any:
        answer = created_json(self.call("POST", EXCEPTIONS, self.draft(**fields)))
        assert {each["code"] for each in answer["warnings"]} <= {"UNKNOWN_GROUP", "NEVER_TRUE"}
        return without_warnings(answer)

    def outcome(self, *groups: str) -> str:
        body = {"content": {"text": "our rival"}, "subject": {"groups": groups}}
        outcome: str = ok_json(self.call("POST", "/v1/decide", body))["outcome"]
        return outcome


@pytest.fixture
def tenant(server: AuthenticatedServer, request: pytest.FixtureRequest) -> Tenant:
    name = request.node.name.removeprefix("test_").replace("_", "-")[:60].strip("-")
    return Tenant(server, name)


def test_an_exception_is_in_force_from_creation_to_deletion(tenant: Tenant) -> None:
    assert tenant.outcome("sales") == "BLOCK"
    exception = tenant.create()
    assert tenant.outcome("sales") == "ALLOW"
    assert tenant.outcome("support") == "BLOCK"
    assert exception["state"] == "approved"
    assert exception["active"] is True
    assert exception["owner"] == exception["proposed_by"] == exception["approved_by"]
    assert exception["valid_until"] == UNTIL
    assert "agents" not in exception, "what is not set is absent"
    path = f"{EXCEPTIONS}/{exception['id']}"
    assert ok_json(tenant.call("GET", path)) == exception
    assert ok_json(tenant.call("GET", EXCEPTIONS)) == [exception]
    assert tenant.call("DELETE", path).status_code == 204
    assert tenant.outcome("sales") == "BLOCK"
    check_error(tenant.call("GET", path), 404, "EXCEPTION_NOT_FOUND")


def test_an_update_replaces_an_exception(tenant: Tenant) -> None:
    exception = tenant.create()
    path = f"{EXCEPTIONS}/{exception['id']}"
    changed = ok_json(tenant.call("PUT", path, tenant.draft(groups=["support"], owner="ann")))
    assert (changed["groups"], changed["owner"]) == (["support"], "ann")
    assert changed["created_at"] == exception["created_at"]
    assert (tenant.outcome("sales"), tenant.outcome("support")) == ("BLOCK", "ALLOW")
    check_error(
        tenant.call("PUT", f"{EXCEPTIONS}/{UNKNOWN_ID}", tenant.draft()), 404,
        "EXCEPTION_NOT_FOUND",
    )  # fmt: skip


def test_an_exception_that_has_ended_is_shown_and_lifts_nothing(tenant: Tenant) -> None:
    exception = tenant.create(valid_until=ENDED)
    assert (exception["state"], exception["active"]) == ("approved", False)
    assert tenant.outcome("sales") == "BLOCK"


def test_another_person_must_approve_if_the_tenant_requires_it(tenant: Tenant) -> None:
    settings = {"exceptions_need_approval": True}
    assert ok_json(tenant.call("PUT", "/v1/tenant/settings", settings))["exceptions_need_approval"]
    exception = tenant.create()
    path = f"{EXCEPTIONS}/{exception['id']}"
    assert (exception["state"], exception["active"]) == ("proposed", False)
    assert "approved_by" not in exception
    assert tenant.outcome("sales") == "BLOCK"
    check_error(tenant.call("POST", f"{path}/approve", {}), 403, "APPROVAL_REFUSED")
    assert tenant.outcome("sales") == "BLOCK"
    approved = ok_json(tenant.call("POST", f"{path}/approve", {}, key=tenant.other))
    assert (approved["state"], approved["active"]) == ("approved", True)
    assert approved["approved_by"] != approved["proposed_by"]
    assert tenant.outcome("sales") == "ALLOW"
    # A change must be approved again: else the approval of one exception would fit another.
    assert (
        ok_json(tenant.call("PUT", path, tenant.draft(groups=["support"])))["state"] == "proposed"
    )
    assert (tenant.outcome("sales"), tenant.outcome("support")) == ("BLOCK", "BLOCK")
    by_proposer = tenant.call("POST", f"{path}/approve", {})
    check_error(by_proposer, 403, "APPROVAL_REFUSED")


def test_an_exception_needs_an_end(tenant: Tenant) -> None:
    endless = tenant.draft(valid_until=None)
    check_error(tenant.call("POST", EXCEPTIONS, endless), 400, "INVALID_ARGUMENT", "valid_until")
    by_platform = tenant.call("POST", EXCEPTIONS, endless, key=tenant.server.admin)
    assert "valid_until" not in created_json(by_platform)
    ok_json(tenant.call("PUT", "/v1/tenant/settings", {"permanent_exceptions": True}))
    assert "valid_until" not in tenant.create(name="Another", valid_until=None)


@pytest.mark.parametrize("role", ["pep", "auditor", "editor"])
def test_only_admins_write_exceptions(server: AuthenticatedServer, role: str) -> None:
    tenant = Tenant(server, f"roles-{role}")
    exception = tenant.create()
    key = server.key(role, tenant.name)
    path = f"{EXCEPTIONS}/{exception['id']}"
    calls = [
        ("POST", EXCEPTIONS, tenant.draft(name="Mine")),
        ("PUT", path, tenant.draft()),
        ("POST", f"{path}/approve", {}),
        ("DELETE", path, None),
    ]
    for method, route, body in calls:
        check_error(tenant.call(method, route, body, key=key), 403, "ACCESS_DENIED")
    reads = tenant.call("GET", path, key=key).status_code
    assert reads == (403 if role == "pep" else 200)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"policies": []}, "policies"),
        ({"policies": ["nothing"]}, "policies[0]"),
        ({"dlp_rules": ["nothing"]}, "dlp_rules[0]"),
        ({"rules": ["nothing"]}, "rules[0]"),
        ({"families": ["nothing"]}, "families[0]"),
        ({"groups": []}, "everyone"),
        ({"everyone": True}, "everyone"),
        ({"reason": " "}, "reason"),
        ({"ticket": ""}, "ticket"),
        ({"name": ""}, "name"),
        ({"scope": ["nowhere"]}, "scope[0]"),
        ({"valid_from": UNTIL}, "valid_until"),
        ({"org_risk": True, "values": ["x"]}, "values"),
    ],
)
def test_an_exception_that_is_not_well_formed_is_refused(
    server: AuthenticatedServer, fields: dict[str, Any], field: str
) -> None:
    tenant = Tenant(server, f"bad-{zlib.crc32(str(fields).encode())}")
    body = tenant.draft(**fields)
    check_error(tenant.call("POST", EXCEPTIONS, body), 400, "INVALID_ARGUMENT", field)
    assert ok_json(tenant.call("GET", EXCEPTIONS)) == []


def test_a_condition_and_a_pattern_that_do_not_compile_are_refused(tenant: Tenant) -> None:
    bad_condition = tenant.call("POST", EXCEPTIONS, tenant.draft(expression="tool =="))
    check_error(bad_condition, 400, "INVALID_CONDITION", "expression")
    bad_pattern = tenant.call("POST", EXCEPTIONS, tenant.draft(value_patterns=["a", "("]))
    check_error(bad_pattern, 400, "INVALID_PATTERN", "value_patterns[1]")


def test_two_exceptions_of_a_tenant_have_different_names(tenant: Tenant) -> None:
    tenant.create()
    check_error(tenant.call("POST", EXCEPTIONS, tenant.draft()), 409, "NAME_EXISTS", "name")


def test_a_stale_writer_overwrites_nothing(tenant: Tenant) -> None:
    exception = tenant.create()
    path = f"{EXCEPTIONS}/{exception['id']}"
    etag = tenant.call("GET", path).headers["etag"]
    ok_json(tenant.call("PUT", path, tenant.draft(owner="ann"), headers={"If-Match": etag}))
    stale = tenant.call("PUT", path, tenant.draft(owner="bob"), headers={"If-Match": etag})
    check_error(stale, 412, "PRECONDITION_FAILED", "If-Match")
    assert ok_json(tenant.call("GET", path))["owner"] == "ann"
    assert tenant.call("DELETE", path, headers={"If-Match": etag}).status_code == 412


def test_exceptions_are_listed_in_pages(tenant: Tenant) -> None:
    names = [f"Exception {number}" for number in range(5)]
    for name in names:
        tenant.create(name=name)
    first = tenant.call("GET", f"{EXCEPTIONS}?page_size=3")
    assert [each["name"] for each in ok_json(first)] == names[:3]
    rest = tenant.call("GET", first.links["next"]["url"])
    assert [each["name"] for each in ok_json(rest)] == names[3:]


def test_an_excepted_decision_is_recorded(tenant: Tenant) -> None:
    """An auditor sees what an exception let through, at the default logging level."""
    exception = tenant.create()
    assert tenant.outcome("sales") == "ALLOW"

    def records() -> Any:
        return ok_json(tenant.call("GET", "/api/admin/audit/records"))["records"]

    wait_until(records, "the decision is recorded")
    matches = [match for record in records() for match in record["matches"]]
    assert [match["excepted_by"] for match in matches] == [exception["id"]]
