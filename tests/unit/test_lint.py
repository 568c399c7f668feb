"""`pdp policies lint`: rules of a tenant that do nothing, or less than they seem."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pytest

from pdp.admin.dlp.rules import DlpRules
from pdp.admin.lint import CONTRADICTORY, DUPLICATE, SHADOWED, UNMATCHED, WARNING, lint
from pdp.domain.dlp_rule import DlpRule
from tests.support.nodes import node
from tests.unit.test_policy_warnings import ALLOW, BLOCK, ZINC, CatalogNode, Chain

if TYPE_CHECKING:
    from collections.abc import Collection

    from pdp.admin.lint import LintFinding

__all__ = ["node"]

TICKET: Final = DlpRule("", "Ticket", "regex", "TICKET", "redact", config_json={"pattern": "T-1"})


@pytest.fixture
def node_class() -> type[CatalogNode]:
    return CatalogNode


async def findings(
    node: CatalogNode, matched: Collection[str] | None = None
) -> dict[tuple[str, str], LintFinding]:
    snapshot = node.publisher.current("acme") or await node.workspace.load("acme")
    return {(each.finding, each.name): each for each in lint(snapshot, matched)}


async def test_a_tenant_without_policies_has_no_findings(node: CatalogNode) -> None:
    assert await findings(node, ()) == {}


async def test_a_shadowed_rule_names_the_other_and_has_an_example(node: CatalogNode) -> None:
    chain = Chain(node)
    await chain.start()
    await chain.add("First", ALLOW, user_groups=["Finance"])
    await chain.add("Second", BLOCK, user_groups=["finance"], models=["gpt-4o"], channel=["api"])
    found = await findings(node)
    assert list(found) == [(SHADOWED, "Second")]
    finding = found[SHADOWED, "Second"]
    assert finding.other_name == "First"
    assert finding.example == {
        "subject": {"groups": ["finance"]},
        "model": {"model": "gpt-4o"},
        "channel": "api",
        "content": {"text": "hello"},
    }


async def test_rules_that_contradict_each_other(node: CatalogNode) -> None:
    chain = Chain(node, "deny_overrides")
    await chain.start()
    await chain.add("Stop", BLOCK, models=["gpt-4o"])
    await chain.add("Pass", ALLOW, models=["gpt-4o"])
    await chain.add("Other", ALLOW, models=["gpt-4o-mini"])
    assert list(await findings(node)) == [(CONTRADICTORY, "Pass")]


async def test_policies_that_look_for_the_same(node: CatalogNode) -> None:
    await node.policies.create("acme", "me", ZINC)
    await node.policies.create("acme", "me", replace(ZINC, name="Again"))
    await node.policies.create("acme", "me", replace(ZINC, name="Weaker", action="warn"))
    await node.policies.create("acme", "me", replace(ZINC, name="Elsewhere", scope=["output"]))
    rules = DlpRules(node.workspace, {})
    await rules.create("acme", "me", TICKET)
    await rules.create("acme", "me", replace(TICKET, detector_name="Ticket again"))
    expected = [(DUPLICATE, "Again"), (CONTRADICTORY, "Weaker"), (DUPLICATE, "Ticket again")]
    assert list(await findings(node)) == expected


async def test_a_policy_that_no_record_has(node: CatalogNode) -> None:
    created = await node.policies.create("acme", "me", ZINC)
    assert list(await findings(node, ())) == [(UNMATCHED, "Zinc")]
    assert await findings(node, {created.value.value.id}) == {}
    assert await findings(node, None) == {}, "without records nothing is known"


async def test_a_policy_that_is_not_in_force_need_not_match(node: CatalogNode) -> None:
    await node.policies.create("acme", "me", replace(ZINC, enabled=False))
    assert await findings(node, ()) == {}


async def test_what_writes_warn_of(node: CatalogNode) -> None:
    chain = Chain(node)
    await chain.start()
    await chain.add("Misspelt", BLOCK, providers=["opnai"])
    found = await findings(node)
    assert list(found) == [(WARNING, "Misspelt")]
    finding = found[WARNING, "Misspelt"]
    assert (finding.code, finding.field) == ("UNKNOWN_PROVIDER", "conditions.providers[0]")
