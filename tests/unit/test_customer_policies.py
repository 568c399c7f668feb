"""Customer policies: action patterns, validation, the layer, recompilation, the use cases."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.admin.customer_policies import CustomerPolicies, check_policy
from pdp.domain import tenant_settings
from pdp.domain.customer_policy import KIND, MAX_BYTES, CustomerPolicy, find_violations
from pdp.domain.decision import Decision, Outcome
from pdp.domain.policy_set import PolicySet
from pdp.domain.request import Request, Target
from pdp.domain.tenant_settings import TenantSettings
from pdp.engine.compiler import compile_platform, compile_tenant
from pdp.engine.evaluate import evaluate
from pdp.engine.rules import customers
from pdp.engine.rules.action_patterns import ActionPatterns
from pdp.engine.rules.customers import MAX_PATTERNS
from pdp.errors import CustomerNotFound, InvalidArgument, InvalidCondition, RequestTooLarge
from tests.support.nodes import Node

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from pdp.domain.stored_entity import Change
    from pdp.engine.snapshot import Snapshot

PLATFORM = compile_platform(PolicySet(), {})

RULE = {"condition": "n > 1", "score_impact": 5}


def policies(**documents: Mapping[str, Any]) -> PolicySet:
    return PolicySet({KIND: {name: CustomerPolicy(name, each) for name, each in documents.items()}})


def snapshot(own: PolicySet, previous: Snapshot | None = None) -> Snapshot:
    return compile_tenant(PLATFORM, "acme", own, 7, previous)


def decide(document: Mapping[str, Any], **fields: Any) -> Decision:
    return evaluate(snapshot(policies(c=document)), Request(customer_id="c", **fields), "id")


class TestActionPatterns:
    @given(st.data())
    def test_the_index_finds_what_a_linear_search_finds(self, data: st.DataObject) -> None:
        segment = st.sampled_from(["a", "b", "a.b", "ab", "*"])
        patterns = data.draw(st.lists(st.tuples(segment, segment, segment), max_size=8))
        action = data.draw(st.tuples(*[st.sampled_from(["a", "b", "a.b", "ab", "c"])] * 3))
        expected = {
            ":".join(pattern)
            for pattern in patterns
            if all(part in {"*", value} for part, value in zip(pattern, action, strict=True))
        }
        match = ActionPatterns(":".join(pattern) for pattern in patterns).find(":".join(action))
        assert match in expected if expected else match is None

    def test_an_empty_index_is_false(self) -> None:
        assert not ActionPatterns(())
        assert ActionPatterns(["*:*:*"])

    def test_the_most_specific_pattern_is_named(self) -> None:
        patterns = ["*:*:*", "a:*:*", "a:b:*", "a:b:c"]
        for left in range(4, 0, -1):
            assert ActionPatterns(patterns[:left]).find("a:b:c") == patterns[left - 1]


class TestValidation:
    @given(
        st.dictionaries(
            st.sampled_from(
                ["sensitive_fields", "allowed_tools", "blocked_actions", "custom_rules", "timezone"]
            )
            | st.text(max_size=5),
            st.recursive(
                st.none() | st.booleans() | st.floats() | st.text(max_size=5),
                lambda inner: (
                    st.lists(inner, max_size=3)
                    | st.dictionaries(st.text(max_size=5), inner, max_size=3)
                ),
                max_leaves=6,
            ),
            max_size=4,
        )
    )
    def test_any_document_is_checked_without_an_exception(self, document: dict[str, Any]) -> None:
        if not list(find_violations(document)):
            check_policy(CustomerPolicy("c", document))

    def test_a_document_at_the_bounds_is_valid(self) -> None:
        document = {
            "sensitive_fields": ["x" * 256] * 1000,
            "blocked_actions": ["a1_:b_2:c.d.e_3"],
            "blocked_action_patterns": ["*:*:*"],
            "custom_rules": {f"r{index}": RULE for index in range(1000)},
            "timezone": "UTC",
        }
        assert list(find_violations(document)) == []

    def test_an_error_suggests_the_closest_name(self) -> None:
        reasons = dict(find_violations({"senstive_fields": [], "timezone": "Europe/Berln"}))
        assert "sensitive_fields" in reasons["senstive_fields"]
        assert "Europe/Berlin" in reasons["timezone"]

    def test_too_many_items_are_rejected(self) -> None:
        document = {
            "custom_rules": {f"r{index}": RULE for index in range(1001)},
            "allowed_tools": ["x"] * 1001,
        }
        assert {fault.field for fault in find_violations(document)} == {
            "custom_rules",
            "allowed_tools",
        }

    def test_an_error_names_at_most_32_faults(self) -> None:
        with pytest.raises(InvalidArgument) as error:
            check_policy(CustomerPolicy("c", {"blocked_actions": ["x"] * 1000}))
        assert len(error.value.violations) == 32

    def test_the_faults_of_all_conditions_are_reported_together(self) -> None:
        rules = {name: {"condition": "a >", "score_impact": 1} for name in ("x", "y z")}
        with pytest.raises(InvalidCondition) as error:
            check_policy(CustomerPolicy("c", {"custom_rules": rules}), "policies.")
        fields = [violation.field for violation in error.value.violations]
        assert fields == [
            "policies.custom_rules.x.condition",
            "policies.custom_rules['y z'].condition",
        ]
        assert error.value.message.count("policies.custom_rules") == 2
        assert (error.value.line, error.value.column) == (1, 4)

    def test_a_document_that_is_too_large_is_rejected(self) -> None:
        with pytest.raises(RequestTooLarge, match=str(MAX_BYTES)):
            check_policy(CustomerPolicy("c", {"sensitive_fields": ["ß" * MAX_BYTES]}))

    def test_the_patterns_of_conditions_are_bounded(self) -> None:
        """Patterns of MATCHES and LIKE count; other comparisons do not."""

        def policy(patterns: int) -> CustomerPolicy:
            conditions = [f"tool MATCHES 'x{index}.y'" for index in range(patterns)]
            rules = {
                f"r{index}": {"condition": f"{condition} AND tool = 'a'", "score_impact": 1}
                for index, condition in enumerate(conditions)
            }
            return CustomerPolicy("c", {"custom_rules": rules})

        check_policy(policy(MAX_PATTERNS))
        with pytest.raises(InvalidArgument, match=f"custom_rules: at most {MAX_PATTERNS}"):
            check_policy(policy(MAX_PATTERNS + 1))


class TestLayer:
    def test_an_unknown_customer_is_a_warning_if_the_tenant_sets_it(self) -> None:
        settings = {tenant_settings.ID: TenantSettings(unknown_customer="warn")}
        warned = snapshot(PolicySet({tenant_settings.KIND: settings}))
        decision = evaluate(warned, Request(customer_id="c"), "id")
        assert (decision.outcome, decision.reason_code) == (Outcome.WARN, "CUSTOMER_UNKNOWN")
        assert [warning.policy_id for warning in decision.warnings] == ["c"]
        assert decision.risk.score == 65

    def test_fields_are_found_in_nested_mappings_and_tuples(self) -> None:
        arguments = {"a": ({"ssn": 1}, [({"ssn": 2},)])}
        decision = decide({"sensitive_fields": ["ssn"]}, arguments=arguments)
        assert [obligation.fields for obligation in decision.obligations] == [("ssn",)]

    def test_a_field_is_masked_once(self) -> None:
        decision = decide(
            {"sensitive_fields": ["ssn"]},
            target=Target(fields=("ssn", "ssn")),
            arguments={"ssn": 1},
        )
        assert decision.obligations[0].fields == ("ssn",)

    def test_a_malformed_action_is_blocked(self) -> None:
        decision = decide({"blocked_action_patterns": ["a:b:*"]}, action="malformed")
        assert (decision.outcome, decision.incomplete) == (Outcome.BLOCK, True)

    @given(st.permutations(["ssn", "pin", "dob"]))
    def test_the_order_of_arguments_has_no_effect(self, keys: list[str]) -> None:
        decision = decide(
            {"sensitive_fields": ["ssn", "pin", "dob"]}, arguments=dict.fromkeys(keys, 1)
        )
        assert decision.obligations[0].fields == ("dob", "pin", "ssn")


class TestRecompilation:
    @pytest.fixture
    def compiled(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """The ids of the customers that were compiled."""
        customer_ids: list[str] = []
        real = customers.compile_customer

        def record_and_compile(policy: CustomerPolicy, prefix: str) -> customers.Customer:
            customer_ids.append(policy.customer_id)
            return real(policy, prefix)

        monkeypatch.setattr("pdp.engine.layers.customer.compile_customer", record_and_compile)
        return customer_ids

    def test_only_the_changed_customer_is_compiled(self, compiled: list[str]) -> None:
        first = snapshot(policies(a={}, b={"allowed_tools": ["x"]}, c={}))
        assert sorted(compiled) == ["a", "b", "c"]
        compiled.clear()
        changed = first.policies.with_policies(KIND, {"b": CustomerPolicy("b", {})})
        second = snapshot(changed, first)
        assert compiled == ["b"]
        request = Request(customer_id="b", tool="y")
        assert evaluate(first, request, "id").outcome is Outcome.BLOCK
        assert evaluate(second, request, "id").outcome is Outcome.ALLOW

    def test_nothing_is_compiled_if_no_customer_has_changed(self, compiled: list[str]) -> None:
        first = snapshot(policies(a={}, b={}))
        compiled.clear()
        second = snapshot(first.policies.with_changes(()), first)
        assert compiled == []
        assert evaluate(second, Request(customer_id="a"), "id").outcome is Outcome.ALLOW


class Customers(Node):
    """A node that administers customer policies."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.customers = CustomerPolicies(self.workspace)

    async def put(self, document: Mapping[str, Any], customer_id: str = "c") -> int:
        return (await self.customers.put("acme", "me", customer_id, document)).revision


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Customers]:
    node = Customers(tmp_path / "pdp.db")
    yield node
    node.close()


def changes_of(node: Customers) -> list[Change]:
    with node.store.view() as reader:
        return list(reader.history(KIND, "acme", "c"))


async def test_a_rejected_policy_changes_nothing(node: Customers) -> None:
    await node.put({"allowed_tools": ["x"]})
    with pytest.raises(InvalidArgument):
        await node.put({"allowed_tools": [1]})
    with pytest.raises(InvalidCondition):
        await node.put({"custom_rules": {"r": {"condition": "(", "score_impact": 1}}})
    policy = await node.customers.get("acme", "c")
    assert policy.value.document == {"allowed_tools": ["x"]}


async def test_every_put_adds_a_version(node: Customers) -> None:
    for _ in range(3):
        await node.put({"timezone": "UTC"})
    history = await node.customers.versions("acme", "c", number=1, size=2)
    assert [version.policy.version for version in history.versions] == [3, 2]
    assert [version.summary for version in history.versions] == ["No change", "No change"]
    assert (history.total, history.current) == (3, 3)


async def test_an_update_keeps_the_creation_time(node: Customers) -> None:
    await node.put({})
    first = (await node.customers.get("acme", "c")).value
    await node.put({"timezone": "UTC"})
    second = (await node.customers.get("acme", "c")).value
    assert second.created_at == first.created_at
    assert second.updated_at >= first.updated_at


async def test_version_numbers_continue_after_a_deletion(node: Customers) -> None:
    await node.put({})
    await node.put({})
    await node.customers.delete("acme", "me", "c")
    with pytest.raises(CustomerNotFound):
        await node.customers.get("acme", "c")
    await node.put({})
    history = await node.customers.versions("acme", "c", number=1, size=10)
    assert [version.policy.version for version in history.versions] == [3, 2, 1]
    assert [change.op for change in changes_of(node)] == ["create", "delete", "update", "create"]


async def test_the_number_of_customers_is_bounded(
    node: Customers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pdp.admin.customer_policies.MAX_CUSTOMERS", 1)
    await node.put({})
    with pytest.raises(InvalidArgument, match=re.escape("at most 1 customers")):
        await node.put({}, "another")
    await node.put({"timezone": "UTC"})
