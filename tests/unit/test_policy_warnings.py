"""Warnings about policies that do less than their author thinks (docs/operations.md)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pytest

from pdp.admin.policy_packs.chains import ChainEntryDraft, PolicyChains
from pdp.admin.policy_packs.packs import PolicyPacks
from pdp.admin.policy_packs.rules import PolicyRules, RuleDraft
from pdp.admin.static_policies import StaticOverrides, StaticPolicies
from pdp.domain.policy_pack import PolicyPack
from pdp.domain.static_policy import StaticOverride, StaticPolicy
from pdp.domain.write_warning import (
    CONDITION_ALWAYS_UNKNOWN,
    NEVER_TRUE,
    OVERRIDE_IS_WEAKER,
    PACK_IN_NO_CHAIN,
    RULE_NEVER_REACHED,
    UNKNOWN_ENTITY_TYPE,
    UNKNOWN_GROUP,
    UNKNOWN_MODEL,
    UNKNOWN_PROVIDER,
)
from tests.support.nodes import Node, node

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pdp.domain.write_warning import WriteWarning

__all__ = ["node"]

BLOCK: Final = {"type": "BLOCK"}
ALLOW: Final = {"type": "ALLOW"}
REDACT: Final = {"type": "REDACT"}
ZINC: Final = StaticPolicy("", "Zinc", "custom", "zinc", "block")


class CatalogNode(Node):
    """A node with the catalog, on which static policies are administered."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, catalog=True)
        self.policies = StaticPolicies(self.workspace)


@pytest.fixture
def node_class() -> type[Node]:
    return CatalogNode


class Chain:
    """A tenant whose org chain has one pack."""

    def __init__(self, node: CatalogNode, algorithm: str = "first_applicable") -> None:
        self.packs = PolicyPacks(node.workspace)
        self.chains = PolicyChains(node.workspace)
        self.rules = PolicyRules(node.workspace)
        self.algorithm = algorithm
        self.pack_id = ""

    async def start(self) -> Sequence[WriteWarning]:
        created = await self.packs.create("acme", "me", PolicyPack("", "Pack"), [])
        self.pack_id = created.value.value.pack.id
        entries = [ChainEntryDraft(self.pack_id, 0)]
        await self.chains.replace("acme", "me", entries, self.algorithm)
        return created.warnings

    async def add(self, name: str, action: Any, **conditions: Any) -> Sequence[WriteWarning]:
        draft = RuleDraft(name, action, conditions)
        return (await self.rules.create("acme", "me", self.pack_id, draft)).warnings


def codes(warnings: Sequence[WriteWarning]) -> list[tuple[str, str]]:
    return [(each.field, each.code) for each in warnings]


@pytest.fixture
async def chain(node: CatalogNode) -> Chain:
    chain = Chain(node)
    await chain.start()
    return chain


class TestNames:
    @pytest.mark.parametrize(
        ("condition", "name", "code", "suggestion"),
        [
            ("models", "gpt-4oo", UNKNOWN_MODEL, "gpt-4o"),
            ("providers", "opnai", UNKNOWN_PROVIDER, "openai"),
            ("user_groups", "Contractor", UNKNOWN_GROUP, "Contractors"),
            ("entity_types", "CREDIT_CRD", UNKNOWN_ENTITY_TYPE, "CREDIT_CARD"),
        ],
    )
    async def test_an_unknown_name(
        self, chain: Chain, condition: str, name: str, code: str, suggestion: str
    ) -> None:
        warnings = await chain.add("Rule", BLOCK, **{condition: [name]})
        assert codes(warnings) == [(f"conditions.{condition}[0]", code)]
        assert suggestion in warnings[0].suggestions
        assert f'"{name}"' in warnings[0].message

    @pytest.mark.parametrize(
        ("condition", "name"),
        [
            ("models", "gpt-4o"),
            ("models", "OpenAI/GPT-4o"),
            ("models", "gpt-4o-2024-08-06"),
            ("models", "opus"),
            ("providers", "OpenAI"),
            ("user_groups", "contractors"),
            ("entity_types", "EMAIL"),
            ("entity_types", "EMAIL_ADDRESS"),
            ("entity_types", "NATIONAL_ID"),
        ],
    )
    async def test_a_known_name(self, chain: Chain, condition: str, name: str) -> None:
        assert await chain.add("Rule", BLOCK, **{condition: [name]}) == ()


class TestReach:
    async def test_a_pack_in_no_chain(self, node: CatalogNode) -> None:
        chain = Chain(node)
        assert codes(await chain.start()) == [("pack", PACK_IN_NO_CHAIN)]

    async def test_a_rule_after_one_for_every_request(self, chain: Chain) -> None:
        assert await chain.add("All", ALLOW) == ()
        warnings = await chain.add("Opus", BLOCK, models=["gpt-4o"])
        assert codes(warnings) == [("sequence", RULE_NEVER_REACHED)]
        assert '"All"' in warnings[0].message
        assert '"Pack"' in warnings[0].message

    @pytest.mark.parametrize(
        ("earlier", "later", "reached"),
        [
            ({"models": ["gpt-4o", "gpt-4o-mini"]}, {"models": ["GPT-4o"]}, False),
            ({"models": ["gpt-4o"]}, {"models": ["gpt-4o", "gpt-4o-mini"]}, True),
            ({"models": ["gpt-4o"]}, {}, True),
            ({"user_groups": ["Finance"]}, {"user_groups": ["finance"]}, False),
            ({"channel": ["api"]}, {"channel": ["api"], "models": ["gpt-4o"]}, False),
            ({"user_risk_score_min": 10}, {"user_risk_score_min": 20}, False),
            ({"user_risk_score_min": 20}, {"user_risk_score_min": 10}, True),
            ({"content_regex": "a1"}, {"content_regex": "a1"}, False),
            ({"content_regex": "a1"}, {"content_regex": "a12"}, True),
            ({"entity_types": ["EMAIL"]}, {"entity_types": ["EMAIL"]}, False),
            ({"entity_types": ["EMAIL"]}, {"entity_types": ["US_SSN"]}, True),
            ({"entity_confidence_min": 0.5}, {"entity_types": ["EMAIL"]}, True),
        ],
    )
    async def test_a_narrower_rule_is_not_reached(
        self, chain: Chain, earlier: Any, later: Any, reached: bool
    ) -> None:
        await chain.add("Earlier", BLOCK, **earlier)
        warnings = await chain.add("Later", ALLOW, **later)
        assert (RULE_NEVER_REACHED not in {each.code for each in warnings}) is reached

    async def test_a_rule_that_redacts_decides_nothing(self, chain: Chain) -> None:
        await chain.add("All", REDACT)
        assert await chain.add("Later", BLOCK, models=["gpt-4o"]) == ()

    async def test_a_chain_that_evaluates_every_rule(self, node: CatalogNode) -> None:
        chain = Chain(node, "deny_overrides")
        await chain.start()
        await chain.add("All", ALLOW)
        assert await chain.add("Later", BLOCK, models=["gpt-4o"]) == ()


class TestEffect:
    async def test_an_override_that_is_weaker(self, node: CatalogNode) -> None:
        overrides = StaticOverrides(node.workspace)
        weaker = StaticOverride("sys_sqli_union", "log", scope_actions={"text": "warn"})
        warnings = (await overrides.set("acme", "me", weaker)).warnings
        expected = [("action", OVERRIDE_IS_WEAKER), ("scope_actions.text", OVERRIDE_IS_WEAKER)]
        assert codes(warnings) == expected
        same = StaticOverride("sys_sqli_union", "block")
        assert (await overrides.set("acme", "me", same)).warnings == ()
        monitored = StaticOverride("sys_sqli_union", "block", mode="monitor")
        warnings = (await overrides.set("acme", "me", monitored)).warnings
        assert codes(warnings) == [("mode", OVERRIDE_IS_WEAKER)]

    async def test_an_action_outside_of_the_scope(self, node: CatalogNode) -> None:
        draft = replace(ZINC, scope=["text"], scope_actions={"output": "warn"})
        written = await node.policies.create("acme", "me", draft)
        assert codes(written.warnings) == [("scope_actions.output", NEVER_TRUE)]

    async def test_a_part_of_an_expression_that_is_always_unknown(self, node: CatalogNode) -> None:
        draft = replace(ZINC, expression="tool > 3")
        written = await node.policies.create("acme", "me", draft)
        assert codes(written.warnings) == [("expression", CONDITION_ALWAYS_UNKNOWN)]
