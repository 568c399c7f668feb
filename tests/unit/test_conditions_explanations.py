"""The explanations of unknown conditions in traces."""

from __future__ import annotations

import pytest

from pdp.domain.request import Request
from pdp.engine.conditions import Explanation, compile_condition
from tests.support.condition_tables import REQUEST


def explained(source: str, request: Request = REQUEST) -> Explanation:
    """Returns the explanation of a condition."""
    return compile_condition(source).explain(request)


@pytest.mark.parametrize(
    ("source", "reasons"),
    [
        ("missing > 1", ["missing is missing"]),
        ("nothing > 1", ["nothing is null"]),
        ("arguments.void = 1", ["arguments.void is null"]),
        ("arguments.nested.deep.no = 1", ["arguments.nested.deep.no is missing"]),
        ("subject.unset = 1", ["subject.unset is missing"]),
        ("target.resource_id = 'x'", ["target.resource_id is missing"]),
        ("missing", ["missing is missing"]),
        ("NOT name", ["name is a text, neither true nor false"]),
        ("a AND b AND a", ["a is missing", "b is missing"]),
        ("batch_size = '200'", ["batch_size = '200' compares a number with a text"]),
        ("tags = tags", ["tags = tags compares a list with a list"]),
        ("nan > 1", ["nan > 1 compares a non-JSON value with a number"]),
        ("name  BETWEEN\n 1 AND 2", ["name BETWEEN 1 AND 2 compares a text with a number"]),
        ("flag IN ('a', 'b')", ["flag IN ('a', 'b') compares values of different types"]),
        ("null = 1", ["a comparison with null is unknown; use IS NULL"]),
        ("batch_size LIKE '2%'", ["LIKE takes a text, and batch_size is a number"]),
        ("tags MATCHES 'a'", ["MATCHES takes a text, and tags is a list"]),
        ("batch_size / 0 = 1", ["batch_size / 0 divides by zero"]),
        ("1e308 * 10 = 1", ["1e308 * 10 is out of range"]),
        ("name + 1 = 1", ["name + 1 calculates with a number and a text"]),
        ("-name = 1", ["name is a text, not a number"]),
        ("lower(batch_size) = ''", ["lower takes a text, and batch_size is a number"]),
        ("length(flag) = 1", ["length takes a list or a text, and flag is a boolean"]),
        ("contains(tags, 1)", ["contains(tags, 1) compares values of different types"]),
        ("any(tags)", ["any(tags) has items that are neither true nor false"]),
        ("all(mixed, 'a')", ["all(mixed, 'a') compares values of different types"]),
        ("hour(name) = 1", ["name is not a time such as 2026-02-26T03:00:00Z"]),
        ("timestamp > name", ["name is not a time such as 2026-02-26T03:00:00Z"]),
        ("timestamp + 1 = 1", ["timestamp is a time, which is not allowed here"]),
        (f"name = {'1' * 15} + {'1' * 15} + {'1' * 15}", ["name = 111111111111111 + "
         "111111111111111 + 111111111111111 compares a text with a number"]),
        (f"name = {'1' * 16} + {'1' * 16} + {'1' * 16}", ["name = 1111111111111111 + "
         "1111111111111111 + 11111111111111… compares a text with a number"]),
    ],
)  # fmt: skip
def test_an_explanation_names_the_unknown_parts(source: str, reasons: list[str]) -> None:
    assert explained(source) == (None, tuple(reasons))


def test_an_explanation_names_a_time_without_a_date() -> None:
    request = Request(timestamp=1e15)
    assert explained("hour(timestamp) < 6", request).unknown == (
        "hour(timestamp) is outside the years 1 to 9999",
    )


@pytest.mark.parametrize(
    "source", ["missing IS NULL", "has(missing) OR flag", "NOT has(missing)", "flag OR missing > 1"]
)
def test_an_explanation_omits_parts_that_were_not_evaluated(source: str) -> None:
    assert explained(source) == (True, ())


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("flag", "true"),
        ("off", "false"),
        ("missing > 1 AND off", "false (missing is missing)"),
        ("missing > 1 OR flag", "true (missing is missing)"),
        ("missing > 1 OR gone", "unknown: missing is missing; gone is missing"),
    ],
)
def test_an_explanation_is_one_line_in_the_trace(source: str, line: str) -> None:
    assert str(explained(source)) == line


def test_an_explanation_has_no_values_of_the_request() -> None:
    request = Request(context={"secret": "4111111111111111", "n": 1.0}, arguments={"sql": "secret"})
    text = str(explained("secret > 5 OR n LIKE 'x' OR hour(arguments.sql) = 1", request))
    assert "4111" not in text
    assert "arguments.sql is not a time" in text
