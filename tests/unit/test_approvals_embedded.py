"""An embedded engine holds requests and lets them pass as a server does, in the caller's thread."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

import pytest

from pdp import Engine
from pdp.admin.approvals.answers import Approvals
from pdp.admin.workspace import Workspace
from pdp.bootstrap.policies import create_publisher, open_policies
from pdp.domain import customer_policy, dlp_rule
from pdp.domain.approval import Answerer
from pdp.domain.customer_policy import CustomerPolicy
from pdp.domain.decision import ObligationType, Outcome
from pdp.domain.dlp_rule import DlpRule
from pdp.domain.request import Subject
from pdp.domain.risk import DEFAULT_RISK_TABLE
from pdp.domain.stored_entity import StoredEntity
from pdp.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pdp.domain.decision import Decision, Obligation

BOB: Final = Answerer("bob", "key:bob", frozenset({"approver"}))
REQUEST: Final[dict[str, Any]] = {
    "tenant_id": "acme",
    "customer_id": "c1",
    "tool": "deploy",
    "arguments": {"to": "prod"},
    "subject": Subject("ann", (), "bot"),
}
MCP: Final = (
    '{"jsonrpc": "2.0", "id": %d, "method": "tools/call",'
    ' "params": {"name": "deploy", "arguments": {"to": "prod"}}}'
)


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A store whose tenant `acme` escalates the tool `deploy` and prompts for badges."""
    url = f"sqlite:///{tmp_path}/pdp.db"
    badge = DlpRule(
        "badge",
        "Badge",
        dlp_rule.REGEX,
        "BADGE",
        "prompt",
        config_json={"pattern": "badge-[0-9]{4}"},
    )
    customer = CustomerPolicy("c1", {"escalate_tools": ["deploy"]})
    store = open_policies(url)
    with store.write() as transaction:
        for kind, entity_id, body in (
            (dlp_rule.KIND, badge.id, dlp_rule.body_of(badge)),
            (customer_policy.KIND, "c1", customer_policy.body_of(customer)),
        ):
            entity = StoredEntity(kind, "acme", entity_id, body)
            transaction.put(entity, actor="ann", summary="Put")
    store.close()
    return url


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    with Engine.open(url) as opened:
        yield opened


def obligation(decision: Decision, kind: ObligationType) -> Obligation:
    (found,) = (each for each in decision.obligations if each.type is kind)
    return found


def approve(url: str, approval_id: str) -> None:
    """Approves as another process does."""
    store = open_policies(url)
    workspace = Workspace(store, create_publisher(store, DEFAULT_RISK_TABLE))
    try:
        asyncio.run(Approvals(workspace).approve("acme", approval_id, BOB, "ok"))
    finally:
        workspace.close()
        store.close()


def test_an_escalation(url: str, engine: Engine) -> None:
    held = engine.decide(**REQUEST)
    assert held.outcome is Outcome.ESCALATE
    approval = obligation(held, ObligationType.APPROVAL)
    token = approval.token
    assert engine.decide(**REQUEST, tokens=(token,)).outcome is Outcome.ESCALATE
    approve(url, approval.approval_id)
    changed = engine.decide(**{**REQUEST, "arguments": {"to": "test"}}, tokens=(token,))
    assert (changed.outcome, changed.reason_code) == (Outcome.BLOCK, "TOKEN_MISMATCH")
    passed = engine.decide(**REQUEST, tokens=(token,))
    assert passed.outcome is Outcome.ALLOW
    assert passed.matches[0].approved_by == approval.approval_id
    assert engine.decide(**REQUEST, tokens=(token,)).reason_code == "TOKEN_USED"


def test_a_payload(url: str, engine: Engine) -> None:
    def decide(number: int, *tokens: str) -> Decision:
        payload = {"format": "mcp.jsonrpc", "body": MCP % number}
        request = {"tenant_id": "acme", "customer_id": "c1", "payload": payload}
        return engine.decide({**request, "tokens": list(tokens)})

    held = decide(1)
    approval = obligation(held, ObligationType.APPROVAL)
    approve(url, approval.approval_id)
    assert decide(2, approval.token).outcome is Outcome.ALLOW
    assert decide(3, approval.token).reason_code == "TOKEN_USED"


def test_a_prompt(engine: Engine) -> None:
    fields: dict[str, Any] = {"tenant_id": "acme", "text": "see badge-1234"}
    prompted = engine.decide(**fields)
    assert prompted.outcome is Outcome.PROMPT
    token = obligation(prompted, ObligationType.PROMPT).token
    assert engine.decide(**fields, tokens=(token,)).outcome is Outcome.ALLOW
    assert engine.decide(**fields, tokens=(token,)).reason_code == "TOKEN_USED"


def test_one_token_gives_many_threads_one_pass(engine: Engine) -> None:
    fields: dict[str, Any] = {"tenant_id": "acme", "text": "see badge-1234"}
    token = obligation(engine.decide(**fields), ObligationType.PROMPT).token
    with ThreadPoolExecutor(8) as threads:
        decisions = list(threads.map(lambda _: engine.decide(**fields, tokens=(token,)), range(16)))
    assert sum(each.allowed for each in decisions) == 1


def test_a_closed_engine_opens_nothing(engine: Engine) -> None:
    held = engine.decide(**REQUEST)
    assert held.outcome is Outcome.ESCALATE
    engine.close()
    decision = engine.decide(**REQUEST)
    assert (decision.outcome, decision.reason_code) == (Outcome.BLOCK, "APPROVAL_UNAVAILABLE")


def test_a_trial_uses_no_token(url: str, engine: Engine) -> None:
    held = engine.decide(**REQUEST)
    approval = obligation(held, ObligationType.APPROVAL)
    approve(url, approval.approval_id)
    tried = engine.decide(**REQUEST, tokens=(approval.token,), without_approval=True)
    assert tried.outcome is Outcome.ESCALATE
    assert obligation(tried, ObligationType.APPROVAL).token == ""
    assert engine.decide(**REQUEST, tokens=(approval.token,)).outcome is Outcome.ALLOW


def test_the_hash_is_that_of_a_server(url: str, engine: Engine) -> None:
    first = engine.decide(**REQUEST, want_input_hash=True).input_hash
    with Engine.open(url) as other:
        assert other.decide(**REQUEST, want_input_hash=True).input_hash == first
    assert engine.decide(tenant_id="acme").input_hash == ""


@pytest.mark.parametrize("tokens", [("x",) * 9, ("x" * 8193,)])
def test_tokens_are_bounded(engine: Engine, tokens: tuple[str, ...]) -> None:
    with pytest.raises(InvalidArgument) as caught:
        engine.decide(**REQUEST, tokens=tokens)
    assert caught.value.violations[0].field.startswith("tokens")
