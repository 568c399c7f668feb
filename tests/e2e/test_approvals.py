"""Approvals over HTTP and gRPC: what is held, and what passes (docs/approvals.md)."""

from __future__ import annotations

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
    PROMPT,
    ApprovalTenant,
    approval_of,
    confirmation_of,
    escalation,
    is_blocked,
    new_tenant,
)
from tests.support.authenticated_servers import AuthenticatedServer, authenticated_server
from tests.support.servers import TIMEOUT_S

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CARD: Final = "4111 1111 1111 1111"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuthenticatedServer]:
    with authenticated_server(tmp_path_factory.mktemp("approvals")) as opened:
        yield opened


@pytest.fixture
def tenant(server: AuthenticatedServer) -> ApprovalTenant:
    return new_tenant(server)


def chat(*texts: str) -> dict[str, Any]:
    """Returns a request with a conversation."""
    messages = [{"role": "user", "content": text} for text in texts]
    body = {"model": "gpt-4o", "messages": messages}
    return {"payload": {"format": "openai.chat_completions", "body": to_text(body)}}


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
