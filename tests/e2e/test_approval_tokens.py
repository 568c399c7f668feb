"""The tokens of approvals and confirmations: what they are bound to, and that none is stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.approvals import (
    CHANGES,
    PROMPT,
    ApprovalTenant,
    approval_of,
    confirmation_of,
    escalation,
    is_blocked,
    new_tenant,
)
from tests.support.authenticated_servers import AuthenticatedServer, authenticated_server
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("approvals")


@pytest.fixture(scope="module")
def server(directory: Path) -> Iterator[AuthenticatedServer]:
    with authenticated_server(directory) as opened:
        yield opened


@pytest.fixture
def tenant(server: AuthenticatedServer) -> ApprovalTenant:
    return new_tenant(server)


class TestRefusedTokens:
    """Each wrong token is refused with its own reason, and none lets the request through."""

    @pytest.fixture
    def token(self, tenant: ApprovalTenant) -> str:
        held = tenant.decide()
        tenant.approve(held)
        return str(approval_of(held)["token"])

    @pytest.mark.parametrize(
        "changes",
        [
            {"arguments": {"id": 8}},
            {"arguments": {"id": "7"}},
            {"tool": "psql"},
            {"action": "db:prod:drop"},
            {"context": {"a": 1}},
            {"target": {"resource_id": "t"}},
            {"direction": "output"},
            {"channel": "api"},
            {"content": {"text": "hello"}},
            {"model": {"model": "gpt-4o"}},
            {"subject": {"user_id": "ann", "agent_id": "bot", "groups": ["sre"]}},
            {"subject": {"user_id": "ann", "agent_id": "bot", "risk_score": 0.5}},
        ],
        ids=lambda changes: next(iter(changes)),
    )
    def test_a_changed_request(
        self, tenant: ApprovalTenant, token: str, changes: dict[str, Any]
    ) -> None:
        assert is_blocked(tenant.decide(token, **changes), "TOKEN_MISMATCH")
        assert tenant.decide(token)["outcome"] == "ALLOW"  # a wrong request does not use it up

    @pytest.mark.parametrize(
        "changes",
        [
            {"request_id": "r"},
            {"timestamp": "2026-01-01T00:00:00Z"},
            {"usage": {"tokens": 5}},
            {"entities": [{"entity_type": "NOTHING"}]},
            {"explain": True},
            {"session_id": "s"},
        ],
        ids=lambda changes: next(iter(changes)),
    )
    def test_what_is_no_part_of_the_input(
        self, tenant: ApprovalTenant, token: str, changes: dict[str, Any]
    ) -> None:
        assert tenant.decide(token, **changes)["outcome"] == "ALLOW"

    @pytest.mark.parametrize("subject", [{"user_id": "eve", "agent_id": "bot"}, {"user_id": "ann"}])
    def test_another_subject(
        self, tenant: ApprovalTenant, token: str, subject: dict[str, str]
    ) -> None:
        assert is_blocked(tenant.decide(token, subject=subject), "TOKEN_FOREIGN")

    def test_another_tenant(
        self, server: AuthenticatedServer, tenant: ApprovalTenant, token: str
    ) -> None:
        other = new_tenant(server)
        assert is_blocked(other.decide(token), "TOKEN_FOREIGN")
        assert tenant.decide(token)["outcome"] == "ALLOW"

    def test_an_altered_one(self, tenant: ApprovalTenant, token: str) -> None:
        header, claims, signature = token.split(".")
        for altered in (
            f"{header}.{claims[:-2]}xx.{signature}",
            f"{header}.{claims}.{signature[::-1]}",
            f"{header}.{claims}.",
            "eyJhbGciOiJub25lIn0." + f"{claims}.",
            "x",
            "",
        ):
            assert is_blocked(tenant.decide(altered), "TOKEN_INVALID"), altered

    def test_a_good_one_beside_a_bad_one(self, tenant: ApprovalTenant, token: str) -> None:
        assert is_blocked(tenant.decide(token, "x"), "TOKEN_INVALID")
        assert tenant.decide(token, token)["outcome"] == "ALLOW"

    def test_a_bad_one_on_a_request_that_needs_none(self, tenant: ApprovalTenant) -> None:
        """A message that is not understood is never an ALLOW."""
        assert tenant.decide(action="db:prod:read")["outcome"] == "ALLOW"
        assert is_blocked(tenant.decide("x", action="db:prod:read"), "TOKEN_INVALID")

    def test_a_denied_one(self, tenant: ApprovalTenant) -> None:
        held = tenant.decide()
        approval_id = approval_of(held)["approval_id"]
        status, body = tenant.answer("deny", approval_id, tenant.bob, "not on a Friday")
        assert (status, body["state"], body["answered_by"]) == (200, "denied", "bob")
        refused = tenant.decide(approval_of(held)["token"])
        assert is_blocked(refused, "APPROVAL_DENIED")
        assert "not on a Friday" in refused["message"]
        # Who asks again cannot wear the approvers down.
        assert is_blocked(tenant.decide(), "APPROVAL_DENIED")
        assert tenant.decide(arguments={"id": 8})["outcome"] == "ESCALATE"

    def test_one_that_is_denied_after_it_was_approved(
        self, tenant: ApprovalTenant, token: str
    ) -> None:
        approval_id = approval_of(tenant.decide())["approval_id"]
        assert tenant.answer("deny", approval_id, tenant.bob)[0] == 200
        assert is_blocked(tenant.decide(token), "APPROVAL_DENIED")

    def test_a_cancelled_one(self, tenant: ApprovalTenant, token: str) -> None:
        approval_id = approval_of(tenant.decide())["approval_id"]
        assert tenant.answer("cancel", approval_id, tenant.pep)[1]["state"] == "cancelled"
        assert is_blocked(tenant.decide(token), "APPROVAL_CANCELLED")

    def test_an_expired_one(self, server: AuthenticatedServer) -> None:
        tenant = new_tenant(server, escalation("soon", expires_s=1))
        content = {"text": "soon"}
        held = tenant.decide(content=content)
        tenant.approve(held)
        token, approval_id = approval_of(held)["token"], approval_of(held)["approval_id"]
        wait_until(lambda: tenant.approval(approval_id)["state"] == "expired", "it expires")
        assert is_blocked(tenant.decide(token, content=content), "TOKEN_EXPIRED")
        assert tenant.answer("approve", approval_id, tenant.bob)[0] == 409
        assert approval_of(tenant.decide(content=content))["approval_id"] != approval_id
        path = f"{CHANGES}?kind=approval&entity_id={approval_id}"
        wait_until(
            lambda: (
                "The approval expired"
                in server.request("GET", path, server.key("auditor", tenant.tenant)).text
            ),
            "it is closed",
        )
        assert server.server.metric("pdp_approvals_expired_total") >= 1


def test_no_token_is_stored(directory: Path, server: AuthenticatedServer) -> None:
    prompt = {"name": "p", "conditions": {"content_regex": "prompt"}, "action": PROMPT}
    tenant = new_tenant(server, prompt, escalation("escalate"))
    held = tenant.decide(content={"text": "escalate"})
    prompted = tenant.decide(content={"text": "prompt"})
    tenant.approve(held)
    tokens = [approval_of(held)["token"], confirmation_of(prompted)]
    assert tenant.decide(tokens[0], content={"text": "escalate"})["allowed"]
    assert tenant.decide(tokens[1], content={"text": "prompt"})["allowed"]
    wait_until(lambda: server.server.metric("pdp_audit_queue_depth") == 0, "all is recorded")
    signatures = [token.rpartition(".")[2].encode() for token in tokens]
    files = [each for each in directory.rglob("*") if each.is_file()]
    assert any(tenant.tenant.encode() in each.read_bytes() for each in files)
    for file in files:
        content = file.read_bytes()
        assert not any(signature in content for signature in signatures), file


class TestConfirmations:
    """PROMPT has the same way back, without a second person."""

    @pytest.fixture
    def tenant(self, server: AuthenticatedServer) -> ApprovalTenant:
        prompt = {"name": "p", "conditions": {"content_regex": "prompt"}, "action": PROMPT}
        # A rule that escalates after a prompt in the same chain is reached once that is passed.
        return new_tenant(server, prompt, escalation("escalate"))

    def test_it_passes_once(self, tenant: ApprovalTenant) -> None:
        content = {"text": "prompt"}
        prompted = tenant.decide(content=content)
        assert prompted["outcome"] == "PROMPT"
        token = confirmation_of(prompted)
        assert prompted["obligations"][0]["expires_at"]
        passed = tenant.decide(token, content=content)
        assert passed["outcome"] == "ALLOW"
        assert passed["matches"][0]["approved_by"]
        assert is_blocked(tenant.decide(token, content=content), "TOKEN_USED")
        assert tenant.server.request("GET", "/v1/approvals", tenant.bob).json() == []

    def test_it_is_bound(self, server: AuthenticatedServer, tenant: ApprovalTenant) -> None:
        content = {"text": "prompt"}
        token = confirmation_of(tenant.decide(content=content))
        changed = tenant.decide(token, content={"text": "prompt!"})
        assert is_blocked(changed, "TOKEN_MISMATCH")
        eve = {"user_id": "eve"}
        assert is_blocked(tenant.decide(token, content=content, subject=eve), "TOKEN_FOREIGN")
        other = new_tenant(server, {"name": "p", "action": PROMPT})
        assert is_blocked(other.decide(token, content=content), "TOKEN_FOREIGN")
        assert tenant.decide(token, content=content)["allowed"]

    def test_it_confirms_no_escalation(self, tenant: ApprovalTenant) -> None:
        """The rule that escalates comes after the one that prompts."""
        content = {"text": "prompt escalate"}
        prompted = tenant.decide(content=content)
        assert prompted["outcome"] == "PROMPT"
        token = confirmation_of(prompted)
        held = tenant.decide(token, content=content)
        approval = approval_of(held)
        tenant.approve(held)
        # Only both together let it pass; neither was used up on the way.
        assert tenant.decide(approval["token"], content=content)["outcome"] == "PROMPT"
        passed = tenant.decide(token, approval["token"], content=content)
        assert passed["allowed"]
        assert len({each["approved_by"] for each in passed["matches"]}) == 2

    def test_a_dlp_rule_that_prompts(self, server: AuthenticatedServer) -> None:
        tenant = new_tenant(server)
        tenant.write(
            "POST",
            "/api/admin/dlp-rules",
            {
                "detector_name": "Badge",
                "detector_type": "regex",
                "entity_type": "BADGE",
                "action_tier": "prompt",
                "config_json": {"pattern": "badge-[0-9]{4}"},
            },
        )
        fields: dict[str, Any] = {"action": "", "content": {"text": "see badge-1234"}}
        prompted = tenant.decide(**fields)
        assert (prompted["outcome"], prompted["reason_code"]) == ("PROMPT", "DLP_PROMPT")
        passed = tenant.decide(confirmation_of(prompted), **fields)
        assert passed["outcome"] == "ALLOW"
        assert [each["approved_by"] for each in passed["matches"]]
