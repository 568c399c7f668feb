"""Approvals over HTTP and gRPC: who asks, who answers, and what passes (docs/approvals.md)."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Final

import pytest

from pdp._gen.pdp.v1 import approval_pb2, decide_pb2, decide_pb2_grpc
from pdp.client.base import CallFailed
from pdp.client.remote import open_channel
from pdp.jsonpb import encode
from pdp.strictjson.objects import to_text
from tests.support.approvals import (
    DELETE,
    ESCALATE,
    PACKS,
    ApprovalTenant,
    approval_of,
    confirmation_of,
    is_blocked,
)
from tests.support.authenticated_servers import AuthenticatedServer, authenticated_server
from tests.support.servers import TIMEOUT_S
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PROMPT: Final = {"type": "PROMPT", "prompt_message": "Go on?"}
CHANGES: Final = "/api/admin/audit/changes"
CARD: Final = "4111 1111 1111 1111"

_numbers = itertools.count()


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


def new_tenant(server: AuthenticatedServer, *rules: dict[str, Any]) -> ApprovalTenant:
    """Returns a tenant of its own, with these rules or with the one that escalates."""
    name = f"tenant-{next(_numbers)}"
    return ApprovalTenant(server, name, rules) if rules else ApprovalTenant(server, name)


def chat(*texts: str) -> dict[str, Any]:
    """Returns a request with a conversation."""
    messages = [{"role": "user", "content": text} for text in texts]
    body = {"model": "gpt-4o", "messages": messages}
    return {"payload": {"format": "openai.chat_completions", "body": to_text(body)}}


def escalation(word: str, **action: Any) -> dict[str, Any]:
    """Returns a rule that escalates texts with a word."""
    return {"name": word, "conditions": {"content_regex": word}, "action": {**ESCALATE, **action}}


class TestTheWay:
    """A request is held, approved by a second person, and passes once."""

    def test_over_http(self, tenant: ApprovalTenant) -> None:
        held = tenant.decide()
        obligation = approval_of(held)
        assert obligation["message"] == "Deleting in production"
        assert obligation["approval_state"] == "pending"
        assert held["input_hash"] == tenant.approval(obligation["approval_id"])["input_hash"]

        assert approval_of(tenant.decide(obligation["token"])) == obligation  # it still waits
        tenant.approve(held)
        again = approval_of(tenant.decide())
        assert again == {**obligation, "approval_state": "approved"}

        passed = tenant.decide(obligation["token"])
        assert passed["outcome"] == "ALLOW"
        (match,) = (each for each in passed["matches"] if each["layer"] == "chain")
        assert match["approved_by"] == obligation["approval_id"]
        assert is_blocked(tenant.decide(obligation["token"]), "TOKEN_USED")
        assert tenant.approval(obligation["approval_id"])["state"] == "used"
        # The next request like it needs another approval.
        assert approval_of(tenant.decide())["approval_id"] != obligation["approval_id"]

    def test_over_grpc(self, tenant: ApprovalTenant) -> None:
        message = decide_pb2.DecideRequest(
            action=DELETE,
            tool="sql",
            arguments_json='{"id": 7}',
            subject=decide_pb2.Subject(user_id="ann", agent_id="bot"),
        )
        with tenant.server.remote(tenant.pep) as agent, tenant.server.remote(tenant.bob) as bob:

            def decide() -> decide_pb2.DecideResponse:
                answer = agent.call("Decide", message).message
                assert isinstance(answer, decide_pb2.DecideResponse)
                return answer

            held = decide()
            assert held.outcome == decide_pb2.OUTCOME_ESCALATE
            (obligation,) = held.obligations
            listed = bob.call("ListApprovals", approval_pb2.ListApprovalsRequest()).message
            assert [each["id"] for each in encode(listed)["approvals"]] == [obligation.approval_id]
            answer = approval_pb2.ApproveApprovalRequest(id=obligation.approval_id, reason="ok")
            assert encode(bob.call("ApproveApproval", answer).message)["approval"]["state"] == (
                "approved"
            )
            message.tokens.append(obligation.token)
            assert decide().outcome == decide_pb2.OUTCOME_ALLOW
            assert decide().reason_code == "TOKEN_USED"

    def test_the_transports_and_the_form_of_a_number_do_not_matter(
        self, tenant: ApprovalTenant
    ) -> None:
        held = tenant.decide()
        tenant.approve(held)
        message = decide_pb2.DecideRequest(
            action=DELETE,
            tool="sql",
            subject=decide_pb2.Subject(user_id="ann", agent_id="bot"),
            tokens=[approval_of(held)["token"]],
            request_id="another",
        )
        message.arguments.update({"id": 7.0})
        with tenant.server.remote(tenant.pep) as agent:
            answer = agent.call("Decide", message).message
        assert encode(answer)["outcome"] == "ALLOW"

    def test_in_a_batch(self, tenant: ApprovalTenant) -> None:
        held = tenant.decide()
        tenant.approve(held)
        token = approval_of(held)["token"]
        body = {"requests": [tenant.request(tokens=[token]), tenant.request(tokens=[token])]}
        answer = tenant.server.request("POST", "/v1/decide/batch", tenant.pep, json=body)
        first, second = answer.json()["responses"]
        assert first["outcome"] == "ALLOW"
        assert is_blocked(second, "TOKEN_USED")

    def test_a_simulation_opens_nothing(self, tenant: ApprovalTenant) -> None:
        body = {"request": tenant.request()}
        answer = tenant.server.request("POST", "/v1/simulate", tenant.editor, json=body)
        assert answer.json()["decision"]["outcome"] == "ESCALATE", answer.text
        assert tenant.server.request("GET", "/v1/approvals", tenant.bob).json() == []

    def test_what_would_be_decided(self, tenant: ApprovalTenant) -> None:
        """A request that is not sent yet opens nothing, and uses nothing."""
        tried = tenant.decide(without_approval=True)
        assert tried["outcome"] == "ESCALATE"
        (obligation,) = tried["obligations"]
        assert set(obligation) == {"type", "message"}
        assert tenant.server.request("GET", "/v1/approvals", tenant.bob).json() == []
        held = tenant.decide()
        tenant.approve(held)
        assert tenant.decide(without_approval=True)["outcome"] == "ESCALATE"
        token = approval_of(held)["token"]
        body = tenant.request(tokens=[token], without_approval=True)
        answer = tenant.server.request("POST", "/v1/decide", tenant.pep, json=body)
        assert answer.json()["error"]["details"][0]["field"] == "tokens"
        assert tenant.decide(token)["outcome"] == "ALLOW"

    def test_a_stream_of_a_text_takes_no_tokens(self, tenant: ApprovalTenant) -> None:
        """A text in chunks is not the same request before and after."""
        request = decide_pb2.DecideRequest(tokens=["x"])
        chunk = decide_pb2.StreamChunk(text="hello", last=True)
        message = decide_pb2.DecideStreamRequest(request=request, chunk=chunk)
        with open_channel(tenant.server.server.grpc_address) as channel:
            stub = decide_pb2_grpc.DecideServiceStub(channel)
            metadata = (("x-api-key", tenant.pep),)
            (answer,) = stub.DecideStream(iter([message]), timeout=TIMEOUT_S, metadata=metadata)
        decision = encode(answer)["response"]
        assert decision["outcome"] == "BLOCK"
        assert "request.tokens" in decision["message"]


class TestWhatPasses:
    """Only the rule that escalated is passed; all else judges the request anew."""

    def test_a_rule_that_blocks_now(self, tenant: ApprovalTenant) -> None:
        held = tenant.decide()
        tenant.approve(held)
        token = approval_of(held)["token"]
        blocking = {"name": "freeze", "conditions": {"tools": ["sql"]}, "action": {"type": "BLOCK"}}
        rule_id = tenant.add_rule(blocking)
        assert tenant.decide(token)["reason_code"] == "CHAIN_BLOCK"
        path = f"{PACKS}/{tenant.pack_id}/rules/{rule_id}"
        assert tenant.server.request("DELETE", path, tenant.editor).is_success
        assert tenant.decide(token)["outcome"] == "ALLOW"  # the BLOCK did not use it up

    def test_what_is_found_in_it_is_redacted(self, tenant: ApprovalTenant) -> None:
        arguments = {"id": 7, "card": CARD}
        held = tenant.decide(arguments=arguments)
        tenant.approve(held)
        passed = tenant.decide(approval_of(held)["token"], arguments=arguments)
        assert passed["outcome"] == "REDACT"
        assert passed["redacted_arguments"]["card"] == "[REDACTED]"

    def test_a_rule_that_asks_somebody_else_now(self, tenant: ApprovalTenant) -> None:
        held = tenant.decide()
        tenant.approve(held)
        tenant.change_rule(0, {"action": {**ESCALATE, "approvers": ["group:ciso"]}})
        decision = tenant.decide(approval_of(held)["token"])
        assert approval_of(decision)["approval_id"] != approval_of(held)["approval_id"]

    def test_another_rule_that_escalates_now(self, server: AuthenticatedServer) -> None:
        """The approval that replaces the first one is for both rules."""
        tenant = new_tenant(server, escalation("one"))
        content = {"text": "one two"}
        held = tenant.decide(content=content)
        tenant.approve(held)
        customer = {"escalate_actions": [DELETE]}
        tenant.write("POST", "/policies/c1", customer)
        # The customer is part of the input, so the request names it from the beginning.
        held = tenant.decide(content=content, customer_id="c1")
        approval = tenant.approval(approval_of(held)["approval_id"])
        assert {each["layer"] for each in approval["rules"]} == {"chain", "customer"}
        tenant.approve(held)
        passed = tenant.decide(approval_of(held)["token"], content=content, customer_id="c1")
        assert passed["allowed"]

    def test_an_approval_is_replaced_if_it_is_for_fewer_rules(
        self, server: AuthenticatedServer
    ) -> None:
        tenant = new_tenant(server, escalation("one"))
        tenant.write("POST", "/policies/c1", {})
        content = {"text": "one two"}
        first = tenant.decide(content=content, customer_id="c1")
        tenant.approve(first)
        tenant.write("POST", "/policies/c1", {"escalate_tools": ["sql"]})
        token = approval_of(first)["token"]
        second = tenant.decide(token, content=content, customer_id="c1")
        assert tenant.approval(approval_of(first)["approval_id"])["state"] == "cancelled"
        tenant.approve(second)
        token = approval_of(second)["token"]
        assert tenant.decide(token, content=content, customer_id="c1")["allowed"]


class TestPayloads:
    """An approval of a payload is about the parts that are held."""

    def payload(self, number: int, name: str = "deploy", **arguments: Any) -> dict[str, Any]:
        call = {"name": name, "arguments": arguments or {"to": "prod"}}
        body = {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": call}
        return {"payload": {"format": "mcp.jsonrpc", "body": to_text(body)}}

    @pytest.fixture
    def decide(self, server: AuthenticatedServer) -> Callable[..., dict[str, Any]]:
        rule = {"name": "deploy", "conditions": {"tools": ["deploy"]}, "action": ESCALATE}
        tenant = new_tenant(server, rule, escalation("secret plan"))

        def decide(payload: dict[str, Any], *tokens: str) -> dict[str, Any]:
            body = {"subject": {"user_id": "ann"}, "tokens": list(tokens), **payload}
            answer = tenant.server.request("POST", "/v1/decide", tenant.pep, json=body)
            decision: dict[str, Any] = answer.json()
            if decision.get("outcome") == "ESCALATE" and not tokens:
                tenant.approve(decision)
            return decision

        return decide

    def test_another_id_of_the_message_does_not_matter(
        self, decide: Callable[..., dict[str, Any]]
    ) -> None:
        token = approval_of(decide(self.payload(1)))["token"]
        assert decide(self.payload(2), token)["allowed"]

    def test_another_argument_does(self, decide: Callable[..., dict[str, Any]]) -> None:
        token = approval_of(decide(self.payload(1)))["token"]
        assert is_blocked(decide(self.payload(1, to="test"), token), "TOKEN_MISMATCH")
        assert is_blocked(decide(self.payload(1, "other"), token), "TOKEN_MISMATCH")

    def test_a_longer_conversation_passes_and_a_new_part_that_escalates_does_not(
        self, decide: Callable[..., dict[str, Any]]
    ) -> None:
        held = chat("my secret plan is small")
        token = approval_of(decide(held))["token"]
        more = chat("hello", "my secret plan is small", "and a secret plan is large")
        assert decide(more, token)["outcome"] == "ESCALATE"
        assert decide(chat("hello", "my secret plan is small"), token)["allowed"]

    @pytest.mark.parametrize("confirmed_first", [True, False])
    def test_a_prompt_and_an_escalation_in_two_messages(
        self, server: AuthenticatedServer, *, confirmed_first: bool
    ) -> None:
        """Each token is about its own parts, so that the answers may come in any order."""
        prompt = {"name": "p", "conditions": {"content_regex": "badge"}, "action": PROMPT}
        tenant = new_tenant(server, prompt, escalation("secret plan"))

        def decide(*tokens: str) -> dict[str, Any]:
            payload = chat("my badge", "my secret plan")
            body = {"subject": {"user_id": "ann"}, "tokens": list(tokens), **payload}
            answer = tenant.server.request("POST", "/v1/decide", tenant.pep, json=body)
            decision: dict[str, Any] = answer.json()
            return decision

        held = decide()
        approval, confirmation = approval_of(held), confirmation_of(held)
        if confirmed_first:
            assert approval_of(decide(confirmation)) == approval
        tenant.approve(held)
        prompted = decide(approval["token"])
        assert prompted["outcome"] == "PROMPT"
        if not confirmed_first:
            confirmation = confirmation_of(prompted)
        assert decide(confirmation, approval["token"])["allowed"]
        assert decide(confirmation)["reason_code"] == "TOKEN_USED"


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


class TestBounds:
    """A caller cannot flood the approvers."""

    def test_a_subject_has_few_open_approvals(self, tenant: ApprovalTenant) -> None:
        held = [tenant.decide(arguments={"id": number}) for number in range(20)]
        assert {each["outcome"] for each in held} == {"ESCALATE"}
        refused = tenant.decide(arguments={"id": 20})
        assert is_blocked(refused, "APPROVAL_LIMIT_EXCEEDED")
        assert refused["status_hint"] == 429
        # The same request is no new one, and another subject has a bound of its own.
        assert approval_of(tenant.decide(arguments={"id": 3})) == approval_of(held[3])
        subject = {"user_id": "zoe"}
        assert tenant.decide(arguments={"id": 20}, subject=subject)["outcome"] == "ESCALATE"
        # A closed one makes room.
        tenant.answer("cancel", approval_of(held[0])["approval_id"], tenant.pep)
        assert tenant.decide(arguments={"id": 20})["outcome"] == "ESCALATE"

    def test_other_callers_get_their_own_approval(self, tenant: ApprovalTenant) -> None:
        """The token goes to the requester alone."""
        other = tenant.server.new_key("pep", tenant.tenant)["key"]
        first, second = approval_of(tenant.decide()), approval_of(tenant.decide(key=other))
        assert first["approval_id"] != second["approval_id"]

    def test_the_number_of_tokens_is_bounded(self, tenant: ApprovalTenant) -> None:
        body = tenant.request(tokens=["x"] * 9)
        answer = tenant.server.request("POST", "/v1/decide", tenant.pep, json=body)
        assert answer.json()["error"]["details"][0]["field"] == "tokens"


def test_want_input_hash(tenant: ApprovalTenant) -> None:
    fields: dict[str, Any] = {"action": "db:prod:read"}
    assert "input_hash" not in tenant.decide(**fields)
    first = tenant.decide(**fields, want_input_hash=True)["input_hash"]
    assert first == tenant.decide(**fields, want_input_hash=True)["input_hash"]
    assert first != tenant.decide(action="db:prod:list", want_input_hash=True)["input_hash"]
    assert len(bytes.fromhex(first)) == 32


@pytest.mark.parametrize(
    ("action", "field"),
    [
        ({"approvers": []}, "action.approvers"),
        ({"approvers": ["role:pep"]}, "action.approvers"),
        ({"approvers": ["role:"]}, "action.approvers"),
        ({"approvers": "sre"}, "action.approvers"),
        ({"approvers": ["g"] * 21}, ""),
        ({"expires_s": 0}, "action.expires_s"),
        ({"expires_s": 1.5}, "action.expires_s"),
        ({"expires_s": 604801}, "action.expires_s"),
        ({"expires_s": "60"}, "action.expires_s"),
        ({"message": 5}, "action.message"),
        ({"prompt_message": "x"}, "action.prompt_message"),
    ],
    ids=str,
)
def test_a_rule_that_is_not_understood(
    tenant: ApprovalTenant, action: dict[str, Any], field: str
) -> None:
    rule = escalation("one", **action)
    answer = tenant.server.request(
        "POST", f"{PACKS}/{tenant.pack_id}/rules", tenant.editor, json=rule
    )
    if not field:  # the same name again is one name
        assert answer.is_success
        return
    assert answer.status_code in {400, 422}
    assert field in [each["field"] for each in answer.json()["error"]["details"]]


def test_grpc_errors_have_the_reason(tenant: ApprovalTenant) -> None:
    with tenant.server.remote(tenant.bob) as bob, pytest.raises(CallFailed) as caught:
        bob.call("GetApproval", approval_pb2.GetApprovalRequest(id="x"))
    assert caught.value.code == "APPROVAL_NOT_FOUND"
