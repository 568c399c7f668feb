"""Approvals and prompts over the adapters of gateways: the same for a client of each of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import grpc
import pytest

from tests.support.approval_gateways import (
    ERASE,
    GATEWAYS,
    MALFORMED,
    PAY,
    PLAIN,
    STOP,
    Asker,
    Gateway,
    Hook,
    LiteLlm,
    PromptGuard,
    approvals_of,
    gateway_server,
    of_answer,
    rules,
)
from tests.support.approvals import new_tenant

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.approvals import ApprovalTenant
    from tests.support.authenticated_servers import AuthenticatedServer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuthenticatedServer]:
    with gateway_server(tmp_path_factory.mktemp("approvals")) as opened:
        yield opened


@pytest.fixture(scope="module")
def channel(server: AuthenticatedServer) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(server.server.grpc_address) as opened:
        yield opened


@pytest.fixture
def tenant(server: AuthenticatedServer) -> ApprovalTenant:
    return new_tenant(server, *rules())


@pytest.fixture(params=GATEWAYS)
def gateway(
    request: pytest.FixtureRequest, tenant: ApprovalTenant, channel: grpc.Channel
) -> Gateway:
    gateway: Gateway = request.param(tenant, channel)
    return gateway


def test_what_is_held_passes_once_after_a_second_person_has_approved_it(gateway: Gateway) -> None:
    tenant, text = gateway.tenant, f"{ERASE} 7"
    held = gateway.ask(text)
    assert not held.passed
    approval_id = held.facts["approval_id"]
    assert held.facts.get("approval_state", "pending") == "pending"
    assert held.facts["expires_at"] == tenant.approval(approval_id)["expires_at"]
    assert "eyJ" not in held.raw, "the client gets a token"

    assert gateway.ask(text).facts["approval_id"] == approval_id
    status, refusal = tenant.answer("approve", approval_id, tenant.ann)
    assert (status, refusal["error"]["code"]) == (403, "APPROVAL_REFUSED")
    assert not gateway.ask(text).passed

    assert tenant.answer("approve", approval_id, tenant.bob)[0] == 200
    changed = gateway.ask(f"{ERASE} 8")
    assert not changed.passed
    assert changed.facts["approval_id"] != approval_id
    passed = gateway.ask(text)
    assert passed.passed
    assert "eyJ" not in passed.raw
    anew = gateway.ask(text)
    assert not anew.passed
    assert anew.facts["approval_id"] not in {approval_id, changed.facts["approval_id"]}


def test_a_denied_approval_is_a_refusal_like_any_other(gateway: Gateway) -> None:
    tenant, text = gateway.tenant, f"{ERASE} 7"
    approval_id = gateway.ask(text).facts["approval_id"]
    assert tenant.answer("deny", approval_id, tenant.bob)[0] == 200
    for refusal in (gateway.ask(text), gateway.ask(STOP)):
        assert not refusal.passed
        assert refusal.facts.keys() == {"code"}
    assert gateway.ask(PLAIN).passed


def test_a_prompt_passes_once_with_the_confirmation(gateway: Gateway) -> None:
    text = f"{PAY} to Bob"
    asked = gateway.ask(text)
    assert not asked.passed
    assert asked.facts["expires_at"].endswith("Z")
    confirmation = asked.facts["confirmation"]
    assert not gateway.ask(text).passed, "nothing confirms it by itself"
    assert not gateway.ask(f"{PAY} to Eve", confirmation).passed
    assert gateway.ask(text, confirmation).passed
    assert not gateway.ask(text, confirmation).passed
    assert approvals_of(gateway.tenant) == []


@pytest.mark.parametrize("value", MALFORMED.values(), ids=MALFORMED)
def test_malformed_tokens_are_refused(gateway: Gateway, value: str) -> None:
    """Also beside a request that needs none; the refusal names the place, and not the value."""
    refusal = gateway.ask(PLAIN, value)
    assert not refusal.passed
    assert "tokens" in refusal.raw.lower()
    assert value[:5] not in refusal.raw.replace("x-pdp", "")
    assert gateway.ask(PLAIN).passed


def test_a_token_that_was_not_given_is_refused(gateway: Gateway) -> None:
    assert not gateway.ask(PLAIN, "x.y.z").passed
    assert gateway.ask(PLAIN).passed


def test_no_token_is_stored_or_logged(
    server: AuthenticatedServer, tenant: ApprovalTenant, channel: grpc.Channel
) -> None:
    confirmations = []
    for each in GATEWAYS:
        gateway = each(tenant, channel)
        confirmations.append(gateway.ask(f"{PAY} over {each.__name__}").facts["confirmation"])
        assert gateway.ask(f"{PAY} over {each.__name__}", confirmations[-1]).passed
    directory = server.server.data_dir
    kept = b"".join(path.read_bytes() for path in directory.iterdir() if path.is_file())
    kept += "".join(server.server.lines).encode()
    assert b"CHAIN_PROMPT" in kept
    for confirmation in confirmations:
        head, claims, _ = confirmation.replace("~", ".").split(".")
        assert claims.encode() not in kept
        assert head.encode() not in kept


# Answers of models and tools


ANSWERS: Final = ("ext_proc", "litellm", "agentgateway", "hook", "ext_mcp")


@pytest.mark.parametrize("name", ANSWERS)
def test_an_approved_answer_passes_if_it_is_the_same_again(
    tenant: ApprovalTenant, channel: grpc.Channel, name: str
) -> None:
    gateway, text = Asker(tenant, channel), f"how to {ERASE}"
    approval_id = of_answer(name, gateway, text).facts["approval_id"]
    assert of_answer(name, gateway, text).facts["approval_id"] == approval_id
    assert tenant.answer("approve", approval_id, tenant.bob)[0] == 200
    assert not of_answer(name, gateway, f"{text} now").passed
    assert of_answer(name, gateway, text).passed
    assert not of_answer(name, gateway, text).passed


@pytest.mark.parametrize("name", ANSWERS)
def test_a_prompt_about_an_answer_cannot_be_confirmed(
    tenant: ApprovalTenant, channel: grpc.Channel, name: str
) -> None:
    """The client would send the confirmation with its request, which it does not fit."""
    answer = of_answer(name, Asker(tenant, channel), f"how to {PAY}")
    assert not answer.passed
    assert answer.facts.keys() == {"code"}
    assert "eyJ" not in answer.raw


@pytest.mark.parametrize("name", ["litellm", "agentgateway", "hook"])
def test_the_tokens_of_the_request_do_not_stop_the_answer(
    tenant: ApprovalTenant, channel: grpc.Channel, name: str
) -> None:
    """These gateways send the headers of the request with both questions."""
    kinds: dict[str, type[Gateway]]
    kinds = {"litellm": LiteLlm, "agentgateway": PromptGuard, "hook": Hook}
    gateway = kinds[name](tenant, channel)
    confirmation = gateway.ask(PAY).facts["confirmation"]
    assert gateway.ask(PAY, confirmation).passed
    assert of_answer(name, gateway, PLAIN, confirmation).passed
