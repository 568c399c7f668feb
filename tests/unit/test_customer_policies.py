"""Customer policies: action patterns, the layer, what is compiled again, and the use cases."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.admin.customer_policies import CustomerPolicies, check_policy
from pdp.domain import tenant_settings
from pdp.domain.customer_policy import KIND, MAX_BYTES, CustomerPolicy, faults
from pdp.domain.decision import Decision, Outcome
from pdp.domain.policy_set import PolicySet
from pdp.domain.request import Request, Target
from pdp.domain.tenant_settings import TenantSettings
from pdp.engine.compiler import compile_platform, compile_tenant
from pdp.engine.evaluate import evaluate
from pdp.engine.rules import customers
from pdp.engine.rules.action_patterns import ActionPatterns
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
    def test_the_index_finds_what_trying_one_by_one_finds(self, data: st.DataObject) -> None:
        segment = st.sampled_from(["a", "b", "a.b", "ab", "*"])
        patterns = data.draw(st.lists(st.tuples(segment, segment, segment), max_size=8))
        action = data.draw(st.tuples(*[st.sampled_from(["a", "b", "a.b", "ab", "c"])] * 3))
        naive = {
            ":".join(pattern)
            for pattern in patterns
            if all(want in {"*", given} for want, given in zip(pattern, action, strict=True))
        }
        found = ActionPatterns(":".join(pattern) for pattern in patterns).find(":".join(action))
        assert found in naive if naive else found is None

    def test_none_are_false(self) -> None:
        assert not ActionPatterns(())
        assert ActionPatterns(["*:*:*"])

    def test_the_one_that_is_spelt_out_first_is_named(self) -> None:
        patterns = ["*:*:*", "a:*:*", "a:b:*", "a:b:c"]
        for left in range(4, 0, -1):
            assert ActionPatterns(patterns[:left]).find("a:b:c") == patterns[left - 1]


class TestFaults:
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
    def test_any_document_is_judged_without_an_exception(self, document: dict[str, Any]) -> None:
        if not list(faults(document)):
            check_policy(CustomerPolicy("c", document))

    def test_what_is_at_the_bounds_passes(self) -> None:
        document = {
            "sensitive_fields": ["x" * 256] * 1000,
            "blocked_actions": ["a1_:b_2:c.d.e_3"],
            "blocked_action_patterns": ["*:*:*"],
            "custom_rules": {f"r{index}": RULE for index in range(1000)},
            "timezone": "UTC",
        }
        assert list(faults(document)) == []

    def test_a_near_miss_is_told(self) -> None:
        reasons = dict(faults({"senstive_fields": [], "timezone": "Europe/Berln"}))
        assert "sensitive_fields" in reasons["senstive_fields"]
        assert "Europe/Berlin" in reasons["timezone"]

    def test_too_many_of_anything(self) -> None:
        document = {
            "custom_rules": {f"r{index}": RULE for index in range(1001)},
            "allowed_tools": ["x"] * 1001,
        }
        assert {fault.field for fault in faults(document)} == {"custom_rules", "allowed_tools"}

    def test_a_document_of_faults_gets_an_answer_of_32(self) -> None:
        with pytest.raises(InvalidArgument) as caught:
            check_policy(CustomerPolicy("c", {"blocked_actions": ["x"] * 1000}))
        assert len(caught.value.violations) == 32

    def test_conditions_are_refused_together(self) -> None:
        rules = {name: {"condition": "a >", "score_impact": 1} for name in ("x", "y z")}
        with pytest.raises(InvalidCondition) as caught:
            check_policy(CustomerPolicy("c", {"custom_rules": rules}), "policies.")
        fields = [violation.field for violation in caught.value.violations]
        assert fields == [
            "policies.custom_rules.x.condition",
            "policies.custom_rules['y z'].condition",
        ]
        assert caught.value.message.count("policies.custom_rules") == 2
        assert (caught.value.line, caught.value.column) == (1, 4)

    def test_a_document_over_the_bound(self) -> None:
        with pytest.raises(RequestTooLarge, match=str(MAX_BYTES)):
            check_policy(CustomerPolicy("c", {"sensitive_fields": ["ß" * MAX_BYTES]}))


class TestLayer:
    def test_an_unknown_customer_passes_with_a_warning_where_the_tenant_says_so(self) -> None:
        settings = {tenant_settings.ID: TenantSettings(unknown_customer="warn")}
        warned = snapshot(PolicySet({tenant_settings.KIND: settings}))
        decision = evaluate(warned, Request(customer_id="c"), "id")
        assert (decision.outcome, decision.reason_code) == (Outcome.WARN, "CUSTOMER_UNKNOWN")
        assert [warning.policy_id for warning in decision.warnings] == ["c"]
        assert decision.risk.score == 65

    def test_keys_are_found_in_mappings_and_tuples_of_an_embedding_program(self) -> None:
        arguments = {"a": ({"ssn": 1}, [({"ssn": 2},)])}
        decision = decide({"sensitive_fields": ["ssn"]}, arguments=arguments)
        assert [obligation.fields for obligation in decision.obligations] == [("ssn",)]

    def test_a_field_that_is_named_twice_is_masked_once(self) -> None:
        decision = decide(
            {"sensitive_fields": ["ssn"]},
            target=Target(fields=("ssn", "ssn")),
            arguments={"ssn": 1},
        )
        assert decision.obligations[0].fields == ("ssn",)

    def test_an_action_that_no_contract_lets_through_fails_closed(self) -> None:
        decision = decide({"blocked_action_patterns": ["a:b:*"]}, action="malformed")
        assert (decision.outcome, decision.incomplete) == (Outcome.BLOCK, True)

    @given(st.permutations(["ssn", "pin", "dob"]))
    def test_the_order_of_arguments_does_not_count(self, keys: list[str]) -> None:
        decision = decide(
            {"sensitive_fields": ["ssn", "pin", "dob"]}, arguments=dict.fromkeys(keys, 1)
        )
        assert decision.obligations[0].fields == ("dob", "pin", "ssn")


class TestWhatIsCompiledAgain:
    @pytest.fixture
    def compiled(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """The customers that have been compiled."""
        found: list[str] = []
        real = customers.compile_customer

        def counted(policy: CustomerPolicy, prefix: str) -> customers.Customer:
            found.append(policy.customer_id)
            return real(policy, prefix)

        monkeypatch.setattr("pdp.engine.layers.customer.compile_customer", counted)
        return found

    def test_only_the_customer_that_was_written(self, compiled: list[str]) -> None:
        first = snapshot(policies(a={}, b={"allowed_tools": ["x"]}, c={}))
        assert sorted(compiled) == ["a", "b", "c"]
        compiled.clear()
        changed = first.policies.replaced(KIND, {"b": CustomerPolicy("b", {})})
        second = snapshot(changed, first)
        assert compiled == ["b"]
        asked = Request(customer_id="b", tool="y")
        assert evaluate(first, asked, "id").outcome is Outcome.BLOCK
        assert evaluate(second, asked, "id").outcome is Outcome.ALLOW

    def test_nothing_where_something_else_was_written(self, compiled: list[str]) -> None:
        first = snapshot(policies(a={}, b={}))
        compiled.clear()
        second = snapshot(first.policies.changed(()), first)
        assert compiled == []
        assert evaluate(second, Request(customer_id="a"), "id").outcome is Outcome.ALLOW


class Customers(Node):
    """One process's part, with the use cases."""

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
    with node.store.read() as reader:
        return list(reader.history(KIND, "acme", "c"))


async def test_what_is_refused_leaves_nothing(node: Customers) -> None:
    await node.put({"allowed_tools": ["x"]})
    with pytest.raises(InvalidArgument):
        await node.put({"allowed_tools": [1]})
    with pytest.raises(InvalidCondition):
        await node.put({"custom_rules": {"r": {"condition": "(", "score_impact": 1}}})
    found = await node.customers.get("acme", "c")
    assert found.value.document == {"allowed_tools": ["x"]}


async def test_every_post_is_a_version_even_of_the_same(node: Customers) -> None:
    for _ in range(3):
        await node.put({"timezone": "UTC"})
    history = await node.customers.versions("acme", "c", number=1, size=2)
    assert [version.policy.version for version in history.versions] == [3, 2]
    assert [version.summary for version in history.versions] == ["No change", "No change"]
    assert (history.total, history.current) == (3, 3)


async def test_a_change_keeps_when_the_policy_was_made(node: Customers) -> None:
    await node.put({})
    first = (await node.customers.get("acme", "c")).value
    await node.put({"timezone": "UTC"})
    second = (await node.customers.get("acme", "c")).value
    assert second.created_at == first.created_at
    assert second.updated_at >= first.updated_at


async def test_versions_go_on_after_a_deletion(node: Customers) -> None:
    await node.put({})
    await node.put({})
    await node.customers.delete("acme", "me", "c")
    with pytest.raises(CustomerNotFound):
        await node.customers.get("acme", "c")
    await node.put({})
    history = await node.customers.versions("acme", "c", number=1, size=10)
    assert [version.policy.version for version in history.versions] == [3, 2, 1]
    assert [change.op for change in changes_of(node)] == ["create", "delete", "update", "create"]


async def test_a_tenant_may_not_have_more_customers_than_it_may(
    node: Customers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pdp.admin.customer_policies.MAX_CUSTOMERS", 1)
    await node.put({})
    with pytest.raises(InvalidArgument, match=re.escape("at most 1 customers")):
        await node.put({}, "another")
    await node.put({"timezone": "UTC"})
