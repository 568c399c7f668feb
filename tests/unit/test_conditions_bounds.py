"""The bounds of conditions, and the warnings about parts that are always unknown."""

from __future__ import annotations

import pytest

from pdp.domain.request import Request
from pdp.engine.conditions import compile_condition
from tests.unit.test_conditions_errors import refusal


def nested(depth: int) -> dict[str, str]:
    """Returns conditions with nesting of that depth, one for each kind of nesting."""
    return {
        "parentheses": f"{'(' * depth}a{')' * depth}",
        "calls": f"{'lower(' * (depth - 2)}a{')' * (depth - 2)} = 'a'",
        "not": f"{'NOT ' * (depth - 1)}a",
        "minus": f"{'-' * (depth - 2)}a = 1",
        "mixed": f"{'NOT (a OR ' * (depth // 2 - 1)}a{')' * (depth // 2 - 1)}",
    }


@pytest.mark.parametrize("nesting", nested(0))
def test_conditions_can_be_nested_64_deep(nesting: str) -> None:
    compile_condition(nested(64)[nesting])
    assert [violation.reason for violation in refusal(nested(66)[nesting]).violations] == [
        f"line 1, column {refusal(nested(66)[nesting]).column}: nested more than 64 deep"
    ]


@pytest.mark.parametrize(
    ("most", "too_much", "reason"),
    [
        (
            f"a = '{'x' * 4090}'",
            f"a = '{'x' * 4091}'",
            "column 1: a condition must be at most 4096 bytes, and this one has 4097",
        ),
        (
            f"a = '{'é' * 2045}'",
            f"a = '{'é' * 2046}'",
            "column 1: a condition must be at most 4096 bytes, and this one has 4098",
        ),
        (
            f"a IN ({','.join('1' * 256)})",
            f"a IN ({','.join('1' * 257)})",
            "column 1: a list must have at most 256 items, and this one has 257",
        ),
        (
            f"any(a, [{','.join('1' * 256)}])",
            f"any(a, [{','.join('1' * 257)}])",
            "column 8: a list must have at most 256 items, and this one has 257",
        ),
        (
            " OR ".join(["a LIKE 'x%'"] * 16),
            " OR ".join(["a LIKE 'x%'"] * 17),
            "column 248: a condition may have at most 16 LIKE and MATCHES",
        ),
    ],
    ids=["bytes", "utf-8", "in", "list", "patterns"],
)
def test_a_condition_beyond_a_size_bound_is_refused(most: str, too_much: str, reason: str) -> None:
    compile_condition(most)
    assert refusal(too_much).violations == (("condition", f"line 1, {reason}"),)


@pytest.mark.parametrize(
    "source", [f"{'(' * 2000}a{')' * 2000}", "NOT " * 1000 + "a", "-" * 4000 + "a", "[" * 4000]
)
def test_very_deep_nesting_is_refused_without_recursion(source: str) -> None:
    assert refusal(source).violations


def test_long_chains_do_not_count_as_nesting() -> None:
    assert compile_condition(" + ".join(["1"] * 1000) + " = 1000").evaluate(Request()) is True
    assert compile_condition(" OR ".join(["a"] * 600)).evaluate(Request()) is None
    assert compile_condition(" AND ".join(["1=1"] * 450)).evaluate(Request()) is True


@pytest.mark.parametrize(
    ("source", "warning"),
    [
        ("tool > 5", "line 1, column 1: comparing a number with a text is always unknown"),
        (
            "subject.groups = 'x'",
            "line 1, column 1: comparing a list with a text is always unknown",
        ),
        ("true < false", "line 1, column 1: comparing a boolean is always unknown"),
        (
            "a = null",
            "line 1, column 1: a comparison with null is always unknown; "
            "use IS NULL or IS NOT NULL",
        ),
        (
            "a > [1]",
            "line 1, column 5: this compares a number or a text; with a list, the result "
            "is always unknown",
        ),
        (
            "timestamp > 'noon'",
            "line 1, column 13: this text is not a time such as "
            "2026-02-26T03:00:00Z, so this is always unknown",
        ),
        ("timestamp > 5", "line 1, column 13: a number is not a time, so this is always unknown"),
        ("hour(5) > 1", "line 1, column 6: a number is not a time, so this is always unknown"),
        (
            "length(5) > 1",
            "line 1, column 8: length takes a list or a text; "
            "with a number, the result is always unknown",
        ),
        (
            "tool + 1 > 1",
            "line 1, column 1: arithmetic takes a number; "
            "with a text, the result is always unknown",
        ),
        (
            "-tool > 1",
            "line 1, column 2: arithmetic takes a number; "
            "with a text, the result is always unknown",
        ),
        (
            "subject.groups IN ('a')",
            "line 1, column 1: IN looks up a boolean or a number or a text; "
            "with a list, the result is always unknown",
        ),
        (
            "risk_score LIKE '1%'",
            "line 1, column 1: LIKE takes a text; with a number, the result is always unknown",
        ),
        (
            "a BETWEEN 1 AND true",
            "line 1, column 17: this compares a number or a text; "
            "with a boolean, the result is always unknown",
        ),
    ],
)
def test_parts_that_are_always_unknown_cause_warnings(source: str, warning: str) -> None:
    condition = compile_condition(source)
    assert condition.warnings == (warning,)


@pytest.mark.parametrize(
    "source",
    [
        "a > 5",
        "a = 'x'",
        "timestamp > a",
        "timestamp > date(timestamp)",
        "has(a)",
        "a.b IN c",
        "hour(a) > 1",
        "hour('2026-02-26') = 0",
        "any(a, b)",
        "null IS NULL",
        "NOT null",
    ],
)
def test_parts_that_can_be_known_cause_no_warnings(source: str) -> None:
    assert compile_condition(source).warnings == ()
