"""Names with a hyphen are refused when a condition is written; subtractions are not."""

from __future__ import annotations

import pytest

from pdp.admin.customer_policies import check_policy
from pdp.domain.customer_policy import CustomerPolicy
from pdp.engine.conditions import compile_condition, refuse_unclear_names
from pdp.engine.rules.customers import compile_customer
from pdp.errors import InvalidCondition

HYPHENATED = (
    ("api-key = 'x'", "api - key", 'context["api-key"]'),
    ("a = 1 AND NOT x-request-id = 2", "x - request", 'context["x-request"]'),
    ("arguments.dry-run = true", "arguments.dry - run", 'arguments["dry-run"]'),
    ("tool-name = 1", "tool - name", 'context["tool-name"]'),
    ("user-risk_score > 1", "user - risk_score", 'context["user-risk_score"]'),
    ("length(content-type) > 1", "content - type", 'context["content-type"]'),
    ("1 + retry-count > 1", "retry - count", 'context["retry-count"]'),
    ("größe-ändern = 1", "größe - ändern", 'context["größe-ändern"]'),
)
SUBTRACTIONS = (
    "end - start > 1",
    "end -start > 1",
    "end- start > 1",
    "batch_size-1 > 2",
    "1-batch_size > 2",
    "-batch_size < 2",
    "risk_score-target.sensitivity_level > 1",
    "context.end-context.start > 1",
    "arguments.a-context.b = 0",
    "(end)-(start) > 1",
    "region = 'eu-west-1'",
    "region LIKE 'eu-%'",
    "a + b > 1",
    "a_b = 1",
)


@pytest.mark.parametrize(("source", "spaced", "quoted"), HYPHENATED)
def test_a_name_with_a_hyphen_is_refused(source: str, spaced: str, quoted: str) -> None:
    """The error says how to write both meanings. The condition itself compiles, as before."""
    compile_condition(source)
    with pytest.raises(InvalidCondition) as refusal:
        refuse_unclear_names(source)
    assert f"write {spaced} for a subtraction" in refusal.value.message
    assert f"in quotes: {quoted}" in refusal.value.message
    assert "^" in refusal.value.message


@pytest.mark.parametrize("source", SUBTRACTIONS)
def test_a_subtraction_is_accepted(source: str) -> None:
    compile_condition(source)
    refuse_unclear_names(source)


def test_a_written_policy_is_refused_and_a_stored_one_still_compiles() -> None:
    """An upgrade must not make a tenant's policies unusable."""
    rule = {"condition": "api-key = 1", "score_impact": 5}
    policy = CustomerPolicy("c", {"custom_rules": {"Key": rule}})
    compile_customer(policy)
    with pytest.raises(InvalidCondition, match="api-key") as refusal:
        check_policy(policy)
    assert "condition" in refusal.value.violations[0].field
