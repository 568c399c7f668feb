"""Compiled chains agree with a slow reference implementation on random policies and requests."""

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
from tests.support import chain_strategies
from tests.support.reference_chains import evaluate_chains
from tests.unit.test_chains import chain_of, rule

PLATFORM = compile_platform(
    PolicySet({model_catalog.KIND: {model.id: model for model in chain_strategies.CATALOG}}), {}
)


def _without_killed_model(request: Request) -> Request:
    """Removes a model that is switched off: such a request is blocked before its chain runs."""
    killed = PLATFORM.models.killed(request.model, request.provider)
    return request._replace(model="", provider="") if killed else request


@settings(max_examples=300, deadline=None)
@given(chain_strategies.policies(), chain_strategies.requests)
def test_the_engine_agrees_with_the_reference(policies: PolicySet, request: Request) -> None:
    request = _without_killed_model(request)
    decision = evaluate(compile_tenant(PLATFORM, "t", policies, 1), request, "id")
    expected = evaluate_chains(policies, request)
    assert decision.outcome.name == expected.outcome
    assert [match.policy_id for match in decision.matches] == expected.rules
    assert decision.redacted_text == expected.text
    assert not decision.incomplete


@settings(max_examples=150, deadline=None)
@given(chain_strategies.policies(), chain_strategies.requests)
def test_a_trace_does_not_change_the_decision_and_has_all_matches(
    policies: PolicySet, request: Request
) -> None:
    snapshot = compile_tenant(PLATFORM, "t", policies, 1)
    request = _without_killed_model(request)
    plain = evaluate(snapshot, request._replace(explain=False), "id")
    explained = evaluate(snapshot, request._replace(explain=True), "id")
    assert (explained.unmatched is None) == (plain.unmatched is None)
    without_trace = explained._replace(trace=(), layers=(), plain=plain.plain)
    assert without_trace._replace(unmatched=plain.unmatched) == plain
    rows = [row for row in explained.trace if row.layer == CHAIN]
    matched = {row.rule_id for row in rows if row.matched}
    assert {match.policy_id for match in plain.matches} <= matched
    assert rows


@settings(max_examples=100, deadline=None)
@given(chain_strategies.policies(), chain_strategies.requests)
def test_incremental_compilation_equals_full_compilation(
    policies: PolicySet, request: Request
) -> None:
    request = _without_killed_model(request)
    before = compile_tenant(PLATFORM, "t", PolicySet(), 1)
    first = compile_tenant(PLATFORM, "t", policies, 2, before)
    again = compile_tenant(PLATFORM, "t", policies, 3, first)
    fresh = compile_tenant(PLATFORM, "t", policies, 3)
    assert evaluate(again, request, "id") == evaluate(fresh, request, "id")


def test_a_route_to_a_model_that_is_switched_off_is_a_block() -> None:
    policies = chain_of(rule({"type": "ROUTE_TO", "route_to_model": "gpt-4o"}))
    snapshot = compile_tenant(PLATFORM, "t", policies, 1)
    request = Request(text="x")
    assert evaluate(snapshot, request, "id").outcome is Outcome.ROUTE_TO
    off = [replace(model, kill_switch_disabled_at=2.0) for model in chain_strategies.CATALOG]
    models = PolicySet({model_catalog.KIND: {model.id: model for model in off}})
    without = snapshot.rebase(compile_platform(models, {}), 2)
    stopped = evaluate(without, request, "id")
    assert stopped.outcome is Outcome.BLOCK
    assert stopped.reason_code == "CHAIN_ROUTE_UNAVAILABLE"
    assert stopped.status_hint == 503
