"""Chains as the engine compiles them, held against a plain reading of their rules."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings

from pdp.domain import model_catalog
from pdp.domain.decision import Outcome
from pdp.domain.layers import CHAIN
from pdp.domain.policy_set import PolicySet
from pdp.domain.request import Request
from pdp.engine.compiler import compile_platform, compile_tenant
from pdp.engine.evaluate import evaluate
from tests.support import chain_strategies as made
from tests.support.reference_chains import judge
from tests.unit.test_chains import chained, rule

PLATFORM = compile_platform(
    PolicySet({model_catalog.KIND: {model.id: model for model in made.CATALOG}}), {}
)


def _alive(request: Request) -> Request:
    """The kill switch is asked first: what it stops never comes to a chain."""
    killed = PLATFORM.models.killed(request.model, request.provider)
    return request._replace(model="", provider="") if killed else request


@settings(max_examples=300, deadline=None)
@given(made.policies(), made.requests)
def test_the_engine_judges_as_a_plain_reading_does(policies: PolicySet, request: Request) -> None:
    request = _alive(request)
    decision = evaluate(compile_tenant(PLATFORM, "t", policies, 1), request, "id")
    expected = judge(policies, request)
    assert decision.outcome.name == expected.outcome
    assert [match.policy_id for match in decision.matches] == expected.rules
    assert decision.redacted_text == expected.text
    assert not decision.incomplete


@settings(max_examples=150, deadline=None)
@given(made.policies(), made.requests)
def test_a_trace_changes_nothing_and_shows_what_counted(
    policies: PolicySet, request: Request
) -> None:
    snapshot = compile_tenant(PLATFORM, "t", policies, 1)
    request = _alive(request)
    plain = evaluate(snapshot, request._replace(explain=False), "id")
    explained = evaluate(snapshot, request._replace(explain=True), "id")
    assert explained._replace(trace=(), layers=(), plain=plain.plain) == plain
    rows = [row for row in explained.trace if row.layer == CHAIN]
    seen = {row.rule_id for row in rows if row.matched}
    assert {match.policy_id for match in plain.matches} <= seen
    assert rows


@settings(max_examples=100, deadline=None)
@given(made.policies(), made.requests)
def test_a_rule_that_is_added_behind_changes_nothing_before_it(
    policies: PolicySet, request: Request
) -> None:
    """Compiled from an earlier snapshot, the chains are those that are compiled afresh."""
    request = _alive(request)
    before = compile_tenant(PLATFORM, "t", PolicySet(), 1)
    first = compile_tenant(PLATFORM, "t", policies, 2, before)
    again = compile_tenant(PLATFORM, "t", policies, 3, first)
    fresh = compile_tenant(PLATFORM, "t", policies, 3)
    assert evaluate(again, request, "id") == evaluate(fresh, request, "id")


def test_a_model_that_is_switched_off_makes_its_routes_a_block() -> None:
    policies = chained(rule({"type": "ROUTE_TO", "route_to_model": "gpt-4o"}))
    snapshot = compile_tenant(PLATFORM, "t", policies, 1)
    request = Request(text="x")
    assert evaluate(snapshot, request, "id").outcome is Outcome.ROUTE_TO
    off = [replace(model, kill_switch_disabled_at=2.0) for model in made.CATALOG]
    models = PolicySet({model_catalog.KIND: {model.id: model for model in off}})
    without = snapshot.rebase(compile_platform(models, {}), 2)
    stopped = evaluate(without, request, "id")
    assert stopped.outcome is Outcome.BLOCK
    assert stopped.reason_code == "CHAIN_ROUTE_UNAVAILABLE"
    assert stopped.status_hint == 503
