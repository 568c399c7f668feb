"""Every input is compiled or refused, quickly, and compiled conditions are safe."""

from __future__ import annotations

import os
from types import FunctionType
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdp.domain.request import Request, Subject
from pdp.engine.conditions import compile_condition
from pdp.errors import InvalidCondition
from tests.support.condition_strategies import conditions, documents, request_of
from tests.support.condition_trees import source_of
from tests.support.safe_code import assert_harmless

if TYPE_CHECKING:
    from collections.abc import Mapping

pytestmark = pytest.mark.soak

EXAMPLES: Final = max(300, 100 * int(os.environ.get("PDP_SOAK_ROUNDS", "0")))

WORDS: Final = (
    *("AND", "or", "NOT", "in", "LIKE", "Matches", "IS", "null", "BETWEEN", "true", "FALSE"),
    *("=", "==", "!=", "<", "<=", ">", ">=", "+", "-", "*", "/", "%", "(", ")", "[", "]", ","),
    *("a", "target.sensitivity_level", "subject.groups", "timestamp", "arguments.x", "action"),
    *(
        "1",
        "0",
        "1e308",
        "18446744073709551615",
        "'x'",
        '"y"',
        "'%_'",
        r"'\''",
        "''",
        "'2026-02-26'",
    ),
    *("hour(", "timestamp_diff(", "any(", "all(", "count(", "has(", "lower(", "contains("),
    *(
        "__class__",
        "a.__class__.__mro__",
        "request",
        "constant0",
        "value1",
        "__import__(",
        "lambda",
    ),
    *("'(a|b)*c'", "'a{9}{9}{9}'", "'\\u0000'", "'{0.__class__}'", "\\", "'", '"', "&&", ";", "\0"),
)
REQUEST: Final = Request(
    action="a:b:c",
    subject=Subject(groups=("x", "y")),
    context={"a": {"__class__": 1.0}, "request": True, "constant0": "x"},
    arguments={"x": [1.0, "x", None, {"y": True}]},
    timestamp=1772074859.5,
)


def check(source: str, request: Request = REQUEST) -> None:
    """Compiles `source`, and evaluates it if it is a valid condition."""
    try:
        condition = compile_condition(source)
    except InvalidCondition as caught:
        check_refusal(caught)
        return
    assert_harmless(condition.evaluate)
    truth = condition.evaluate(request)
    assert truth is None or isinstance(truth, bool)
    explanation = condition.explain(request)
    assert explanation.truth is truth
    assert explanation.unknown or truth is not None


def check_refusal(error: InvalidCondition) -> None:
    """Checks that an error has a position and a reason, and can be encoded."""
    assert error.violations
    assert error.line >= 1
    assert error.column >= 1
    error.message.encode()


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.lists(st.sampled_from(WORDS), max_size=30).map(" ".join))
def test_words_in_any_order_are_compiled_or_refused(source: str) -> None:
    check(source)


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.text(max_size=60) | st.text(st.sampled_from("ab'\"\\ .()[]=<>!%_-+*/,1e\n"), max_size=60))
def test_any_text_is_compiled_or_refused(source: str) -> None:
    check(source)


@settings(max_examples=EXAMPLES, deadline=None)
@given(condition=conditions, document=documents, data=st.data())
def test_changed_conditions_are_compiled_or_refused(
    condition: Any, document: Mapping[str, Any], data: st.DataObject
) -> None:
    source = source_of(condition)
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(source)))
        end = data.draw(st.integers(start, min(len(source), start + 12)))
        part = data.draw(
            st.just("")
            | st.just(source[start:end] * 2)
            | st.sampled_from(WORDS)
            | st.text(max_size=2)
        )
        source = source[:start] + part + source[end:]
    check(source, request_of(document))


@pytest.mark.parametrize(
    "name",
    [
        *("__class__", "a.__class__", "a.__class__.__mro__", "context.get", "arguments.items"),
        *("subject.attributes.keys", "request", "request.context", "constant0", "condition"),
        *("subject.count", "type", "str", "None", "True.real", "import", "lambda", "yield", "bind"),
    ],
)
def test_python_names_are_keys_of_the_request_only(name: str) -> None:
    condition = compile_condition(f"{name} IS NOT NULL OR {name} = 'x'")
    assert_harmless(condition.evaluate)
    assert condition.evaluate(Request(context={"other": 1.0}, arguments={})) is None
    keys = name.removeprefix("context.").split(".")
    value: Any = "there"
    for key in reversed(keys[1:] if keys[0] in {"arguments", "subject"} else keys):
        value = {key: value}
    attributes = value.get("attributes", value)
    request = Request(context=value, arguments=value, subject=Subject(attributes=attributes))
    assert condition.evaluate(request) is True


def test_compiled_code_has_no_text_of_the_policy() -> None:
    evaluate = compile_condition(
        "evil_name.part = 'evil text' OR any(x, ['evil item']) AND lower(evil) LIKE 'evil%'"
    ).evaluate
    assert_harmless(evaluate)
    assert isinstance(evaluate, FunctionType)
    code = evaluate.__code__
    words = [*code.co_names, *code.co_varnames, *code.co_freevars, code.co_name, code.co_filename]
    assert not any("evil" in str(word) for word in (*words, *code.co_consts))


MEBIBYTE = 1 << 20
LONG = "ab" * (MEBIBYTE // 2)
MANY = [float(number) for number in range(100_000)]
COLLIDING = [float(2**61) ** power * 3 for power in range(17)] * 6000


@pytest.mark.parametrize(
    ("source", "context"),
    [
        ("a LIKE '%a%b%a%b%a%b%a%b%a%b%a%b%c'", {"a": LONG}),
        (f"a LIKE '{'_%' * 200}c'", {"a": LONG}),
        ("a MATCHES '(a*)*(b*)*(a|b|ab)*c$'", {"a": LONG}),
        ("a MATCHES '(?i)(x+x+)+y'", {"a": "x" * MEBIBYTE}),
        (f"contains(a, '{'a' * 2000}b')", {"a": "a" * MEBIBYTE}),
        (f"{'upper(lower(' * 20}a{'))' * 20} = 'x'", {"a": "ß" * (MEBIBYTE // 2)}),
        ("any(a, b)", {"a": MANY, "b": [number + 0.5 for number in MANY]}),
        ("all(a, b)", {"a": MANY, "b": MANY[::-1]}),
        ("count(a, b) > 0", {"a": COLLIDING, "b": COLLIDING}),
        ("a IN b", {"a": -1.0, "b": MANY}),
        (" AND ".join(["a != b"] * 300), {"a": LONG + "x", "b": LONG + "y"}),
        ("a = b", {"a": 10**100_000, "b": 10**100_000 + 1}),
        ("a * a * a * a > 0", {"a": 10**100_000}),
        (f"{' * '.join(['9e15'] * 500)} > 0", {}),
    ],
    ids=["like", "wildcards", "matches", "plus", "contains", "cases", "any", "all", "hashes", "in",
         "texts", "integers", "products", "numbers"],
)  # fmt: skip
def test_large_values_are_evaluated(source: str, context: dict[str, Any]) -> None:
    condition = compile_condition(source)
    assert condition.evaluate(Request(context=context)) in {True, False, None}


def between(depth: int) -> str:
    """Returns a condition whose code would double at each level if the compiler copied operands."""
    return f"{'(' * depth}a{' BETWEEN b AND c)' * depth} IS NULL"


@pytest.mark.parametrize(
    "source",
    [
        between(62),
        " AND ".join(f"{'NOT ' * 20}a{number}" for number in range(40)),
        "a OR " * 800 + "a",
        "(" * 4096,
        "'" * 4095,
        "'" + "''" * 2000,
        "'" + "\\'" * 2000,
        "1" * 4096,
        "1e" + "9" * 4000,
        "a" * 4096,
        "a." * 2000 + "a",
        " OR ".join(["a MATCHES '((a{1,30}){1,30}b){1,9}'"] * 16),
        f"a MATCHES '{'(a?)' * 240}'",
        f"a IN ({','.join(['b'] * 256)})",
        "\n" * 4096,
    ],
)
def test_the_longest_conditions_are_compiled_or_refused(source: str) -> None:
    check(source)
