"""The org policy: updates, preconditions, and blocking by risk level."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.admin.org_policy import OrgPolicies
from pdp.admin.preconditions import Precondition
from pdp.admin.static_policies import StaticPolicies
from pdp.admin.workspace import Workspace
from pdp.bootstrap.policies import create_publisher
from pdp.domain.decision import NO_VERDICT, Outcome, Risk
from pdp.domain.org_policy import (
    DEFAULT_ORG_POLICY,
    ID,
    KIND,
    RISK_LEVELS,
    OrgPolicy,
    levels_from,
)
from pdp.domain.request import Request
from pdp.domain.risk import DEFAULT_RISK_TABLE
from pdp.domain.static_policy import StaticPolicy
from pdp.engine.evaluate import evaluate
from pdp.engine.layers.org import OrgCloser
from pdp.errors import PreconditionFailed
from pdp.store import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RULE = {"name": "All", "notify": {"slack_webhook_url": "https://hooks.slack.com/services/T/B/x"}}
LOGGED = StaticPolicy("", "Rivals", "custom", "rival", "log")


class Node:
    """A store, a publisher and the use cases."""

    def __init__(self, path: Path) -> None:
        self.store = open_store(f"sqlite:///{path}", busy_timeout_s=0.2)
        self.publisher = create_publisher(self.store, DEFAULT_RISK_TABLE)
        self.workspace = Workspace(self.store, self.publisher)
        self.policies = OrgPolicies(self.workspace)

    async def update(self, precondition: Precondition | None = None, **changes: Any) -> int:
        """Changes acme's policy and returns its revision."""
        preconditions = () if precondition is None else (precondition,)
        result = await self.policies.update("acme", "me", changes, *preconditions)
        return result.value.revision

    async def outcome(self, text: str) -> Outcome:
        """Returns the outcome of a text for acme."""
        snapshot = self.publisher.current("acme") or await self.workspace.load("acme")
        return evaluate(snapshot, Request(text=text), "id").outcome

    def close(self) -> None:
        self.workspace.close()
        self.store.close()


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    node = Node(tmp_path / "pdp.db")
    yield node
    node.close()


class TestUpdate:
    async def test_the_default_applies_until_the_first_update(self, node: Node) -> None:
        policy = await node.policies.get("acme")
        assert policy.value == DEFAULT_ORG_POLICY
        assert policy.revision == 0

    async def test_only_the_given_fields_change(self, node: Node) -> None:
        await node.update(soc2=True, block_on="high")
        await node.update(logging_level="full", gdpr=False)
        assert (await node.policies.get("acme")).value == OrgPolicy(
            logging_level="full", gdpr=False, soc2=True, block_on="high"
        )

    async def test_alert_rules_are_replaced_as_a_whole(self, node: Node) -> None:
        await node.update(alert_rules=[RULE, {**RULE, "condition": {}}])
        await node.update(alert_rules=[{**RULE, "name": "Other"}])
        assert (await node.policies.get("acme")).value.alert_rules == [{**RULE, "name": "Other"}]
        await node.update(alert_rules=[])
        assert (await node.policies.get("acme")).value == DEFAULT_ORG_POLICY

    async def test_each_tenant_has_its_own_policy(self, node: Node) -> None:
        await node.update(logging_level="paranoid")
        assert (await node.policies.get("another")).value == DEFAULT_ORG_POLICY

    async def test_a_change_is_logged_with_its_fields(self, node: Node) -> None:
        await node.update(soc2=True, block_on="high")
        with node.store.view() as reader:
            (change,) = reader.history(KIND, "acme", ID)
        assert (change.actor, change.summary) == ("me", "Updated soc2, block_on")

    async def test_an_update_without_changes_writes_nothing(self, node: Node) -> None:
        revision = await node.update(soc2=True)
        assert await node.update(soc2=True) == revision
        assert await node.update() == revision
        with node.store.view() as reader:
            assert len(reader.history(KIND, "acme", ID)) == 1

    async def test_an_update_is_in_force_when_it_returns(self, node: Node) -> None:
        await StaticPolicies(node.workspace).create("acme", "me", LOGGED)
        assert await node.outcome("a rival") is Outcome.ALLOW
        await node.update(blocking_enabled=True, block_on="medium")
        assert await node.outcome("a rival") is Outcome.BLOCK
        await node.update(blocking_enabled=False)
        assert await node.outcome("a rival") is Outcome.ALLOW


class TestPreconditions:
    async def test_a_default_is_at_revision_zero(self, node: Node) -> None:
        assert await node.update(Precondition(frozenset({0})), soc2=True) > 0
        with pytest.raises(PreconditionFailed):
            await node.update(Precondition(frozenset({0})), soc2=False)
        assert (await node.policies.get("acme")).value.soc2

    async def test_the_second_of_two_writers_is_rejected(self, node: Node) -> None:
        revision = await node.update(soc2=True)
        precondition = Precondition(frozenset({revision}))
        await node.update(precondition, logging_level="full")
        with pytest.raises(PreconditionFailed) as error:
            await node.update(precondition, logging_level="minimal")
        assert [violation.field for violation in error.value.violations] == ["If-Match"]
        assert (await node.policies.get("acme")).value.logging_level == "full"

    async def test_changes_of_other_entities_do_not_count(self, node: Node) -> None:
        revision = await node.update(soc2=True)
        await StaticPolicies(node.workspace).create("acme", "me", LOGGED)
        assert await node.update(Precondition(frozenset({revision})), soc2=False) > revision

    async def test_a_rejected_write_keeps_the_revision(self, node: Node) -> None:
        revision = await node.update(soc2=True)
        with pytest.raises(PreconditionFailed):
            await node.update(Precondition(frozenset({revision + 1})), soc2=False)
        assert (await node.policies.get("acme")).revision == revision


class TestBlocking:
    @pytest.mark.parametrize(
        ("block_on", "below", "at"), [("medium", 30, 31), ("high", 55, 56), ("critical", 80, 81)]
    )
    def test_the_first_point_of_the_band_blocks(self, block_on: str, below: int, at: int) -> None:
        closer = OrgCloser(block_on, levels_from(block_on))
        table = DEFAULT_RISK_TABLE
        assert closer.conclude(Request(), Risk(below, table.level(below))) is NO_VERDICT
        verdict = closer.conclude(Request(), Risk(at, table.level(at)))
        assert (verdict.outcome, verdict.reason_code) == (Outcome.BLOCK, "ORG_RISK_BLOCK")
        assert verdict.status_hint == 403
        assert verdict.rows == ()

    @given(st.sampled_from(["medium", "high", "critical"]), st.integers(0, 100))
    def test_every_level_from_block_on_is_blocked(self, block_on: str, score: int) -> None:
        level = DEFAULT_RISK_TABLE.level(score)
        verdict = OrgCloser(block_on, levels_from(block_on)).conclude(Request(), Risk(score, level))
        above = RISK_LEVELS.index(level) >= RISK_LEVELS.index(block_on)
        assert (verdict.outcome is Outcome.BLOCK) is above

    def test_the_levels_equal_those_of_the_risk_table(self) -> None:
        assert tuple(level for _, level in reversed(DEFAULT_RISK_TABLE.bands)) == RISK_LEVELS

    def test_the_trace_shows_the_comparison(self) -> None:
        closer = OrgCloser("high", levels_from("high"))
        below = closer.conclude(Request(explain=True), Risk(55, "medium"))
        above = closer.conclude(Request(explain=True), Risk(56, "high"))
        assert [row.reason for row in (*below.rows, *above.rows)] == [
            "risk medium (55) is below high",
            "risk high (56) is at or above high",
        ]
        assert below._replace(rows=()) == NO_VERDICT

    @pytest.mark.parametrize(
        ("policy", "blocks"),
        [
            (OrgPolicy(), False),
            (OrgPolicy(blocking_enabled=True), True),
            (OrgPolicy(logging_level="paranoid"), True),
            (OrgPolicy(logging_level="full"), False),
            (OrgPolicy(block_on="medium"), False),
        ],
    )
    def test_enabled_or_paranoid_switches_blocking_on(
        self, policy: OrgPolicy, blocks: bool
    ) -> None:
        assert policy.blocks is blocks
