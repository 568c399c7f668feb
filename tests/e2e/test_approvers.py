"""The people of approvals: who may answer, who may see, and what is kept of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.support.approvals import (
    CHANGES,
    ApprovalTenant,
    approval_of,
    escalation,
    new_tenant,
)
from tests.support.authenticated_servers import AuthenticatedServer, authenticated_server
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

CARD: Final = "4111 1111 1111 1111"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuthenticatedServer]:
    with authenticated_server(tmp_path_factory.mktemp("approvals")) as opened:
        yield opened


@pytest.fixture
def tenant(server: AuthenticatedServer) -> ApprovalTenant:
    return new_tenant(server)


class TestWhoAnswers:
    """A person who is an approver, and has nothing to do with the request."""

    @pytest.fixture
    def approval_id(self, tenant: ApprovalTenant) -> str:
        return str(approval_of(tenant.decide())["approval_id"])

    @pytest.mark.parametrize("verb", ["approve", "deny"])
    @pytest.mark.parametrize("owner", ["ann", "Ann", "ANN", "bot"])
    def test_the_subject_does_not(
        self, tenant: ApprovalTenant, approval_id: str, verb: str, owner: str
    ) -> None:
        status, body = tenant.answer(verb, approval_id, tenant.person(owner))
        assert (status, body["error"]["code"]) == (403, "APPROVAL_REFUSED")
        assert tenant.approval(approval_id)["state"] == "pending"

    def test_the_principal_that_asked_does_not(self, tenant: ApprovalTenant) -> None:
        """Carl's key may ask and approve, but not for itself."""
        carl = tenant.server.new_key("admin", tenant.tenant, owner="carl")["key"]
        held = tenant.decide(key=carl)
        for key in (carl, tenant.person("carl")):
            status, body = tenant.answer("approve", approval_of(held)["approval_id"], key)
            assert (status, body["error"]["code"]) == (403, "APPROVAL_REFUSED")
        tenant.approve(held)

    def test_a_key_without_an_owner_does_not(
        self, tenant: ApprovalTenant, approval_id: str
    ) -> None:
        for role in ("approver", "admin"):
            key = tenant.server.key(role, tenant.tenant)
            status, body = tenant.answer("approve", approval_id, key)
            assert (status, body["error"]["code"]) == (403, "APPROVAL_REFUSED")
            assert "names no person" in body["error"]["message"]

    @pytest.mark.parametrize("role", ["pep", "auditor", "editor"])
    def test_another_role_does_not(
        self, tenant: ApprovalTenant, approval_id: str, role: str
    ) -> None:
        key = tenant.person("dora", role)
        status, body = tenant.answer("approve", approval_id, key)
        assert (status, body["error"]["code"]) == (403, "ACCESS_DENIED")

    def test_an_approver_of_another_tenant_does_not(
        self, server: AuthenticatedServer, tenant: ApprovalTenant, approval_id: str
    ) -> None:
        other = new_tenant(server)
        status, body = other.answer("approve", approval_id, other.bob)
        assert (status, body["error"]["code"]) == (404, "APPROVAL_NOT_FOUND")
        assert other.answer("cancel", approval_id, other.pep)[0] == 404
        assert tenant.answer("approve", approval_id, tenant.bob)[0] == 200

    def test_a_reason_is_required(self, tenant: ApprovalTenant, approval_id: str) -> None:
        for verb in ("approve", "deny"):
            status, body = tenant.answer(verb, approval_id, tenant.bob, " ")
            assert (status, body["error"]["details"][0]["field"]) == (400, "reason")

    def test_it_is_answered_once(self, tenant: ApprovalTenant, approval_id: str) -> None:
        assert tenant.answer("approve", approval_id, tenant.bob)[0] == 200
        status, body = tenant.answer("approve", approval_id, tenant.bob)
        assert (status, body["error"]["code"]) == (409, "APPROVAL_CLOSED")

    def test_a_group_of_the_tenant(self, server: AuthenticatedServer) -> None:
        tenant = new_tenant(server, escalation("one", approvers=["group:SRE", "role:admin"]))
        tenant.write("POST", "/api/admin/user-groups", {"name": "sre", "members": ["gina"]})
        held = tenant.decide(content={"text": "one"})
        approval_id = approval_of(held)["approval_id"]
        status, body = tenant.answer("approve", approval_id, tenant.bob)
        assert (status, body["error"]["code"]) == (403, "APPROVAL_REFUSED")
        assert "group:SRE" in body["error"]["message"]
        tenant.approve(held, tenant.person("gina"))

    def test_a_role(self, server: AuthenticatedServer) -> None:
        tenant = new_tenant(server, escalation("one", approvers=["admin"]))
        held = tenant.decide(content={"text": "one"})
        assert tenant.answer("approve", approval_of(held)["approval_id"], tenant.bob)[0] == 403
        admin = tenant.server.new_key("admin", tenant.tenant, owner="carl")["key"]
        tenant.approve(held, admin)

    def test_two_rules_with_other_approvers(self, server: AuthenticatedServer) -> None:
        """The org's chain asks a group, the customer's policy asks the role."""
        tenant = new_tenant(server, escalation("one", approvers=["group:sre"]))
        tenant.write("POST", "/api/admin/user-groups", {"name": "sre", "members": ["gina"]})
        tenant.write("POST", "/policies/c1", {"escalate_tools": ["sql"]})
        fields: dict[str, Any] = {"content": {"text": "one"}, "customer_id": "c1"}
        held = tenant.decide(**fields)
        approval_id, token = approval_of(held)["approval_id"], approval_of(held)["token"]
        status, body = tenant.answer("approve", approval_id, tenant.bob)
        assert (status, body["state"]) == (200, "pending")
        assert [each.get("approved_by") for each in body["rules"]] == ["bob", None] or [
            each.get("approved_by") for each in body["rules"]
        ] == [None, "bob"]
        assert tenant.decide(token, **fields)["outcome"] == "ESCALATE"
        pep_gina = tenant.server.new_key("approver", tenant.tenant, owner="gina")["key"]
        status, body = tenant.answer("approve", approval_id, pep_gina)
        assert (status, body["state"]) == (200, "approved"), body["rules"]
        assert tenant.decide(token, **fields)["allowed"]


class TestWhoSees:
    """Approvers and auditors see all approvals of their tenant, and nothing raw."""

    def test_nothing_raw_is_shown(self, tenant: ApprovalTenant) -> None:
        held = tenant.decide(
            content={"text": f"card {CARD}"}, arguments={"key": "sk-ant-api03-" + "a1B2" * 24}
        )
        approval = tenant.approval(approval_of(held)["approval_id"])
        assert approval["record"]["redacted_text"] == "card [REDACTED]"
        assert "a1B2a1B2" not in str(approval)
        assert approval["record"]["subject"]["user_id"] == "ann"
        assert "deleting" in [each["name"] for each in approval["record"]["matches"]]
        assert approval_of(held)["token"] not in str(approval)

    def test_a_requester_sees_its_own(self, tenant: ApprovalTenant) -> None:
        approval_id = approval_of(tenant.decide())["approval_id"]
        assert tenant.approval(approval_id, tenant.pep)["state"] == "pending"
        other = tenant.server.new_key("pep", tenant.tenant)["key"]
        assert tenant.approval(approval_id, other)["error"]["code"] == "APPROVAL_NOT_FOUND"
        assert tenant.answer("cancel", approval_id, other)[0] == 404
        assert tenant.server.request("GET", "/v1/approvals", tenant.pep).status_code == 403

    def test_the_list_has_pages_and_states(self, tenant: ApprovalTenant) -> None:
        ids = [
            approval_of(tenant.decide(arguments={"id": number}))["approval_id"]
            for number in range(3)
        ]
        tenant.answer("deny", ids[1], tenant.bob)

        def listed(query: str) -> list[str]:
            answer = tenant.server.request("GET", f"/v1/approvals?{query}", tenant.bob)
            return [each["id"] for each in answer.json()]

        assert listed("") == ids
        assert listed("state=pending") == [ids[0], ids[2]]
        assert listed("state=denied") == [ids[1]]
        assert listed("page_size=2") == ids[:2]
        assert tenant.server.request("GET", "/v1/approvals?state=open", tenant.bob).is_error

    def test_every_step_is_in_the_change_log(self, tenant: ApprovalTenant) -> None:
        held = tenant.decide()
        approval_id = approval_of(held)["approval_id"]
        tenant.approve(held)
        tenant.decide(approval_of(held)["token"])
        auditor = tenant.server.key("auditor", tenant.tenant)
        path = f"{CHANGES}?kind=approval&entity_id={approval_id}"
        answer = tenant.server.request("GET", path, auditor)
        changes = answer.json()["changes"]
        assert [each["summary"] for each in reversed(changes)] == [
            "Asked for an approval",
            "bob approved the request",
            "The approved request passed",
        ]
        assert changes[1]["actor"].startswith("key:")

    def test_the_records_name_the_approval(self, tenant: ApprovalTenant) -> None:
        held = tenant.decide()
        tenant.approve(held)
        passed = tenant.decide(approval_of(held)["token"])
        auditor = tenant.server.key("auditor", tenant.tenant)

        def record(decision: dict[str, Any]) -> Any:
            path = f"/api/admin/audit/records/{decision['decision_id']}"
            return tenant.server.request("GET", path, auditor).json()

        wait_until(lambda: "error" not in record(passed), "it is recorded")
        (obligation,) = record(held)["obligations"]
        assert obligation["approval_id"] == approval_of(held)["approval_id"]
        assert "token" not in obligation
        assert record(held)["input_hash"] == held["input_hash"] == record(passed)["input_hash"]
        assert obligation["approval_id"] in str(record(passed)["matches"])
