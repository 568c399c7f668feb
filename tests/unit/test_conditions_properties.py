"""What is compiled held to a slow reading of the same condition, on requests at random."""

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
from tests.support.condition_trees import Tree, written
from tests.support.reference_conditions import Reference
from tests.support.safe_code import assert_harmless

if TYPE_CHECKING:
    from collections.abc import Mapping

pytestmark = pytest.mark.soak

EXAMPLES = max(1000, 100 * int(os.environ.get("PDP_SOAK_ROUNDS", "0")))
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
    """Compiled, explained and read slowly, a condition comes to the same for every request."""
    source = written(condition)
    try:
        compiled = compile_condition(source, timezone)
    except InvalidCondition as refused:
        # The only thing at random that is: a text or a number where a truth must be.
        if "true or false" not in refused.message:
            raise
        return
    assert_harmless(compiled.evaluate)
    for document in requests:
        expected = Reference(document, ZoneInfo(timezone)).truth_of(condition)
        request = request_of(document)
        event(f"comes to {expected}")
        assert compiled.evaluate(request) is expected, source
        explanation = compiled.explain(request)
        assert explanation.truth is expected, source
        assert explanation.unknown or expected is not None, source


@pytest.mark.parametrize("timezone", ZONES)
def test_an_empty_request_is_judged(timezone: str) -> None:
    condition = compile_condition("hour(timestamp) = 0 OR a > 1 OR NOT has(b)", timezone)
    assert condition.evaluate(request_of({"subject": {}, "target": {}})) is True
