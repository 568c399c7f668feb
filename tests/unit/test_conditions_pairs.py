"""Every operator and function on operands of every type, compared with the reference."""

from __future__ import annotations

from itertools import product
from typing import Any, Final
from zoneinfo import ZoneInfo

import pytest

from pdp.engine.conditions import compile_condition
from tests.support.condition_strategies import request_of
from tests.support.condition_trees import TIMESTAMP, Tree, source_of
from tests.support.reference_conditions import Reference

DOCUMENT: Final[dict[str, Any]] = {
    "timestamp": 1772074859.5,
    "direction": "input",
    "subject": {"groups": ("a", "b"), "user_id": "a"},
    "target": {"classifications": (), "fields": (), "sensitivity_level": 1},
    "context": {
        "null": None,
        "yes": True,
        "one": 1.0,
        "whole": 1,
        "a": "a",
        "day": "2026-02-26",
        "texts": ["a", "c"],
        "mixed": ["a", 1.0, True, None],
        "truths": [True, False],
        "object": {"a": 1.0},
        "nan": float("nan"),
    },
}
NAMES: Final = (
    *("missing", "context.null", "yes", "one", "whole", "a", "day", "texts", "mixed", "truths"),
    *("object", "nan", "subject.groups", "subject.user_id", "target.fields", "timestamp"),
    *("target.sensitivity_level", "risk_score"),
)
LITERALS: Final[tuple[Tree, ...]] = (
    ("null",),
    ("boolean", True),
    ("number", 1),
    ("text", "a"),
    ("text", "2026-02-26T03:00:59Z"),
    ("list",),
    ("list", ("text", "a"), ("text", "b")),
    ("list", ("number", 1), ("boolean", True), ("null",)),
)
COMPUTED: Final[tuple[Tree, ...]] = (
    ("call", "lower", ("name", "a")),
    ("call", "hour", TIMESTAMP),
    ("call", "contains", ("name", "texts"), ("text", "a")),
)
OPERANDS: Final[tuple[Tree, ...]] = (*(("name", name) for name in NAMES), *LITERALS, *COMPUTED)
REFERENCE: Final = Reference(DOCUMENT, ZoneInfo("UTC"))
REQUEST: Final = request_of(DOCUMENT)


def assert_agrees(tree: Tree) -> None:
    """Asserts that a condition has the same result as the reference."""
    source = source_of(tree)
    condition = compile_condition(source)
    expected = REFERENCE.truth_of(tree)
    assert condition.evaluate(REQUEST) is expected, source
    assert condition.explain(REQUEST).truth is expected, source


def assert_value_agrees(tree: Tree) -> None:
    """Asserts that an expression for a number or a text has the same value as the reference."""
    expected = REFERENCE.value_of(tree)
    if expected is None:
        assert_agrees(("is null", tree))
    else:
        literal = ("text" if isinstance(expected, str) else "number", expected)
        assert REFERENCE.truth_of(("=", tree, literal)) is True
        assert_agrees(("=", tree, literal))


@pytest.mark.parametrize("operator", ["=", "!=", "<", "<=", ">", ">=", "in", "not in"])
def test_comparisons_of_all_pairs_agree_with_the_reference(operator: str) -> None:
    for left, right in product(OPERANDS, OPERANDS):
        assert_agrees((operator, left, right))


@pytest.mark.parametrize("operator", ["+", "-", "*", "/", "%"])
def test_arithmetic_on_all_pairs_agrees_with_the_reference(operator: str) -> None:
    for left, right in product(OPERANDS, OPERANDS):
        assert_value_agrees((operator, left, right))


@pytest.mark.parametrize("function", ["contains", "starts_with", "ends_with", "any", "all"])
def test_boolean_functions_of_all_pairs_agree_with_the_reference(function: str) -> None:
    for left, right in product(OPERANDS, OPERANDS):
        assert_agrees(("call", function, left, right))


@pytest.mark.parametrize("function", ["count", "timestamp_diff"])
def test_numeric_functions_of_all_pairs_agree_with_the_reference(function: str) -> None:
    for left, right in product(OPERANDS, OPERANDS):
        assert_value_agrees(("call", function, left, right))


@pytest.mark.parametrize(
    "function", ["hour", "minute", "day_of_week", "date", "length", "lower", "upper", "count"]
)
def test_functions_of_all_operands_agree_with_the_reference(function: str) -> None:
    for operand in OPERANDS:
        assert_value_agrees(("call", function, operand))


@pytest.mark.parametrize("function", ["any", "all"])
def test_any_and_all_of_all_operands_agree_with_the_reference(function: str) -> None:
    for operand in OPERANDS:
        assert_agrees(("call", function, operand))


@pytest.mark.parametrize("operator", ["is null", "is not null"])
def test_presence_of_all_operands_agrees_with_the_reference(operator: str) -> None:
    for operand in OPERANDS:
        assert_agrees((operator, operand))
        if operand[0] == "name":
            assert_agrees(("call", "has", operand))


def test_negatives_and_patterns_of_all_operands_agree_with_the_reference() -> None:
    for operand in OPERANDS:
        assert_value_agrees(("negative", operand))
        for operator, pattern in product(("like", "not like"), ("a", "a%", "%a", "%a%", "_", "")):
            assert_agrees((operator, operand, pattern))
        assert_agrees(("matches", operand, "^[ab]$"))


def test_membership_in_lists_of_all_types_agrees_with_the_reference() -> None:
    for value, item in product(OPERANDS, OPERANDS):
        assert_agrees(("in", value, ("text", "b"), item))


def test_between_with_bounds_of_all_types_agrees_with_the_reference() -> None:
    few = (*OPERANDS[:6], *LITERALS[2:5], TIMESTAMP, ("name", "day"))
    for value, low, high in product(few, few, few):
        assert_agrees(("between", value, low, high))


def test_logic_of_all_pairs_agrees_with_the_reference() -> None:
    truths = [("name", "yes"), ("boolean", False), ("name", "missing"), ("name", "a"), COMPUTED[2]]
    for operator, left, right in product(("and", "or"), truths, truths):
        assert_agrees((operator, left, right))
        assert_agrees(("not", (operator, left, right)))
