"""`enforce` on the decisions of a real server, and the examples of docs/enforcement-point.md."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pdp_client as pdp
import pytest

from tests.e2e.test_documentation import blocks, run
from tests.support.approvals import DELETE, ApprovalTenant
from tests.support.authenticated_servers import authenticated_server
from tests.support.rest.packs import CHAINS, ok_json, pack

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx2

    from tests.support.servers import Server

PAGE: Final = "docs/enforcement-point.md"
TENANT: Final = "enforcement"


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[httpx2.Client]:
    """A client of a tenant whose chain routes, asks and gives notice, with a customer."""
    rules = [
        {
            "conditions": {"content_regex": "cheap"},
            "action": {"type": "ROUTE_TO", "route_to_model": "gpt-4o-mini"},
        },
        {
            "conditions": {"content_regex": "ask"},
            "action": {"type": "PROMPT", "prompt_message": "Sure?"},
        },
        {
            "conditions": {"content_regex": "notice"},
            "action": {"type": "ALLOW_WITH_OVERRIDE", "override_message": "This is logged."},
        },
        {"conditions": {"content_regex": "stop"}, "action": {"type": "BLOCK", "message": "No."}},
        {
            "conditions": {"content_regex": "end"},
            "action": {"type": "CANCEL", "message": "Not now."},
        },
    ]
    named = [{"name": f"rule {index}", **each} for index, each in enumerate(rules)]
    with server.client(TENANT) as opened:
        made = pack(opened, "Rules", rules=named)
        ok_json(opened.put(f"{CHAINS}/org", json={"packs": [{"id": made["id"]}]}))
        policy = {"sensitive_fields": ["ssn"]}
        opened.post("/policies/acme", json=policy).raise_for_status()
        yield opened


@pytest.fixture(scope="module")
def stub(server: Server, client: httpx2.Client) -> Iterator[pdp.DecideServiceStub]:
    with pdp.connect(server.grpc_address) as channel:
        yield pdp.DecideServiceStub(channel)


def permit_of(stub: pdp.DecideServiceStub, text: str = "", **fields: Any) -> pdp.Permit:
    request = pdp.DecideRequest(tenant_id=TENANT, content=pdp.Content(text=text), **fields)
    return pdp.enforce(stub.Decide(request, timeout=60), request)


def test_plain_texts_and_redactions(stub: pdp.DecideServiceStub) -> None:
    assert permit_of(stub, "hello") == pdp.Permit(text="hello")
    assert permit_of(stub, "My card is 4111 1111 1111 1111.").text == "My card is [REDACTED]."
    arguments = json.dumps({"id": 1234567890123456789, "note": "4111 1111 1111 1111"})
    permit = permit_of(stub, tool="post", arguments_json=arguments)
    assert permit.arguments == {"id": 1234567890123456789, "note": "[REDACTED]"}


def test_routes(stub: pdp.DecideServiceStub) -> None:
    permit = permit_of(stub, "cheap work on 4111 1111 1111 1111")
    assert permit.route == pdp.Route("gpt-4o-mini", "openai")
    assert permit.text == "cheap work on [REDACTED]"


def test_notices(stub: pdp.DecideServiceStub) -> None:
    assert permit_of(stub, "notice").warnings == ("This is logged.",)


def test_masked_fields(stub: pdp.DecideServiceStub) -> None:
    arguments = json.dumps({"rows": [{"SSN": "078-05-1120", "name": "x"}]})
    permit = permit_of(stub, customer_id="acme", tool="post", arguments_json=arguments)
    assert permit.arguments == {"rows": [{"SSN": pdp.MASK, "name": "x"}]}
    target = pdp.Target(fields=["user.ssn"])
    permit = permit_of(stub, customer_id="acme", action="crm:user:read", target=target)
    assert permit.mask({"user": {"ssn": "1"}}) == {"user": {"ssn": pdp.MASK}}


def test_holds_and_denials(stub: pdp.DecideServiceStub) -> None:
    with pytest.raises(pdp.Held) as held:
        permit_of(stub, "ask about 4111 1111 1111 1111")
    assert held.value.prompts == ("Sure?",)
    request = pdp.DecideRequest(content=pdp.Content(text="ask about 4111 1111 1111 1111"))
    permit = pdp.enforce(held.value.response, request, confirmed=True)
    assert permit.text == "ask about [REDACTED]"
    for text, reason in (("stop", "No."), ("end", "Not now.")):
        with pytest.raises(pdp.Denied) as denied:
            permit_of(stub, text)
        assert denied.value.reason == reason


def test_a_confirmed_request_is_sent_again_and_passes_once(stub: pdp.DecideServiceStub) -> None:
    text = "ask about 4111 1111 1111 1111"
    request = pdp.DecideRequest(tenant_id=TENANT, content=pdp.Content(text=text))
    with pytest.raises(pdp.Held) as held:
        pdp.enforce(stub.Decide(request, timeout=60), request)
    again = pdp.resume(request, held.value, confirmed=True)
    changed = pdp.DecideRequest()
    changed.CopyFrom(again)
    changed.content.text += " and more"
    for sent, reason in ((changed, "TOKEN_MISMATCH"), (again, ""), (again, "TOKEN_USED")):
        response = stub.Decide(sent, timeout=60)
        if not reason:
            assert pdp.enforce(response, sent).text == "ask about [REDACTED]"
            continue
        assert response.reason_code == reason
        with pytest.raises(pdp.Denied):
            pdp.enforce(response, sent, confirmed=True)


def test_a_request_passes_once_after_a_second_person_has_approved_it(tmp_path: Path) -> None:
    with authenticated_server(tmp_path) as server:
        tenant = ApprovalTenant(server, TENANT)
        address = server.server.grpc_address
        channels = [pdp.connect(address, api_key=key) for key in (tenant.pep, tenant.bob)]
        stub, approvals = pdp.DecideServiceStub(channels[0]), pdp.ApprovalServiceStub(channels[1])
        request = pdp.DecideRequest(
            action=DELETE, tool="sql", arguments_json="{}", subject=pdp.Subject(user_id="ann")
        )

        def hold(sent: pdp.DecideRequest) -> pdp.RequiredApproval:
            with pytest.raises(pdp.Held) as held:
                pdp.enforce(stub.Decide(sent, timeout=60), sent, confirmed=True)
            assert held.value.approval is not None
            return held.value.approval

        with pytest.raises(pdp.Held) as first:
            pdp.enforce(stub.Decide(request, timeout=60), request)
        again = pdp.resume(request, first.value)
        waiting = hold(again)
        assert waiting == first.value.approval
        assert not waiting.is_given
        approve = pdp.ApproveApprovalRequest(id=waiting.id, reason="checked")
        approvals.ApproveApproval(approve, timeout=60)
        assert hold(request).is_given, "without the token, it is held"
        permit = pdp.enforce(stub.Decide(again, timeout=60), again)
        assert permit.arguments_json == "{}"
        with pytest.raises(pdp.Denied) as used:
            pdp.enforce(stub.Decide(again, timeout=60), again)
        assert used.value.response.reason_code == "TOKEN_USED"
        for channel in channels:
            channel.close()


def test_the_examples_of_the_page(server: Server) -> None:
    """Each program prints what the page shows."""
    examples = blocks(PAGE)
    assert [language for language, _ in examples] == ["python", "text", "sh", "text"]
    for program, output in zip(examples[::2], examples[1::2], strict=True):
        done = run(*program, server)
        assert done.returncode == 0, done.stderr
        assert done.stdout == output[1]
