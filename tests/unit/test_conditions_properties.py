"""Compiled conditions agree with a slow reference implementation on random requests."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from pdp.engine.conditions import compile_condition
from pdp.errors import InvalidCondition
from tests.support.condition_strategies import conditions, documents, request_of
from tests.support.condition_trees import Tree, source_of
from tests.support.reference_conditions import Reference
from tests.support.safe_code import assert_harmless

if TYPE_CHECKING:
    from collections.abc import Mapping

pytestmark = pytest.mark.soak

EXAMPLES = max(400, 100 * int(os.environ.get("PDP_SOAK_ROUNDS", "0")))
ZONES = ("UTC", "Europe/Berlin", "Asia/Kolkata", "America/St_Johns")


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    condition=conditions,
    requests=st.lists(documents, min_size=1, max_size=5),
    timezone=st.sampled_from(ZONES),
)
def test_compiled_and_reference_agree(
    condition: Tree, requests: list[Mapping[str, Any]], timezone: str
) -> None:
    """A compiled condition, its explanation and the reference have the same result."""
    source = source_of(condition)
    try:
        compiled = compile_condition(source, timezone)
    except InvalidCondition as caught:
        # The only error that random conditions have: a text or a number instead of a condition.
        if "true or false" not in caught.message:
            raise
        return
    assert_harmless(compiled.evaluate)
    for document in requests:
        expected = Reference(document, ZoneInfo(timezone)).truth_of(condition)
        request = request_of(document)
        event(f"the result is {expected}")
        assert compiled.evaluate(request) is expected, source
        explanation = compiled.explain(request)
        assert explanation.truth is expected, source
        assert explanation.unknown or expected is not None, source


@pytest.mark.parametrize("timezone", ZONES)
def test_an_empty_request_can_be_evaluated(timezone: str) -> None:
    condition = compile_condition("hour(timestamp) = 0 OR a > 1 OR NOT has(b)", timezone)
    assert condition.evaluate(request_of({"subject": {}, "target": {}})) is True
