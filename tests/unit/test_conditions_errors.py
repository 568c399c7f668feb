"""The error messages for invalid conditions."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from pdp.engine.conditions import compile_condition
from pdp.engine.conditions.functions import FUNCTIONS
from pdp.errors import InvalidArgument, InvalidCondition


def refusal(source: str) -> InvalidCondition:
    """Returns the error that compiling `source` raises."""
    with pytest.raises(InvalidCondition) as caught:
        compile_condition(source)
    return caught.value


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "batch_size >",
            """
line 1, column 13: expected a value, found the end of the condition
  batch_size >
              ^
""",
        ),
        (
            "batch_size > 100 AND\n  target.sensitivity_level >== 3",
            """
line 2, column 30: expected a value, found =
    target.sensitivity_level >== 3
                               ^
""",
        ),
        (
            "tool = 'read_file",
            """
line 1, column 8: the text that begins here has no closing ' on its line
  tool = 'read_file
         ^
""",
        ),
        (
            "target.sensitivty_level >= 3 AND huor(timestamp) < 6",
            """
line 1, column 1: a request has no target.sensitivty_level; did you mean target.sensitivity_level?
  target.sensitivty_level >= 3 AND huor(timestamp) < 6
  ^
line 1, column 34: there is no function huor; did you mean hour?
  target.sensitivty_level >= 3 AND huor(timestamp) < 6
                                   ^
""",
        ),
        (
            "\t名前 = 'x' AND + 1",
            """
line 1, column 15: expected a value, found +
   名前 = 'x' AND + 1
                  ^
""",
        ),
        (
            f"{' OR '.join(f'a{i} = {i}' for i in range(20))} OR OR {'b' * 90}",
            """
line 1, column 221: expected a value, found OR
  …R a16 = 16 OR a17 = 17 OR a18 = 18 OR a19 = 19 OR OR bbbbbbbbbbbbbbbbbbbbbbb…
                                                     ^
""",
        ),
    ],
)
def test_the_message_has_a_caret_at_the_fault(source: str, message: str) -> None:
    assert refusal(source).message == message.strip("\n")


@pytest.mark.parametrize(
    ("source", "column", "reason"),
    [
        ("", 1, "a condition must not be empty"),
        (" \n ", 1, "a condition must not be empty"),
        ("AND", 1, "expected a value, found AND"),
        (
            "a b",
            3,
            "expected a comparison such as = or >=, AND, OR or the end of the condition, found b",
        ),
        ("a = 1 b", 7, "expected AND, OR or the end of the condition, found b"),
        ("(a = 1", 7, "expected AND, OR or a closing parenthesis, found the end of the condition"),
        ("a = 1)", 6, "expected AND, OR or the end of the condition, found )"),
        ("f(", 3, "expected a value or a closing parenthesis, found the end of the condition"),
        ("f(1 2)", 5, "expected a comma or a closing parenthesis, found 2"),
        ("a in 3", 6, "expected a list such as (1, 2) or a name, found 3"),
        ("a in ()", 7, "expected a value, found )"),
        ("a in [b]", 7, "expected a constant such as 1 or 'a' or a closing bracket, found b"),
        ("a in [-b]", 8, "expected a number, found b"),
        ("a like b", 8, "expected a text in quotes, found b"),
        ("a matches 1", 11, "expected a text in quotes, found 1"),
        ("a is 3", 6, "expected NULL or NOT, found 3"),
        ("a is not 3", 10, "expected NULL, found 3"),
        ("a not 3", 7, "expected IN, LIKE, MATCHES or BETWEEN, found 3"),
        ("a between 1 or 2", 13, "expected AND, found or"),
        (
            "1 < a < 3",
            7,
            "expected AND, OR or the end of the condition, found <; join comparisons with AND",
        ),
        ("a > 1 is null", 7, "expected AND, OR or the end of the condition, found is"),
        ("a <> 1", 4, "expected a value, found >; write != for not equal"),
        ("a => 1", 4, "expected a value, found >; write >= for at least"),
        ("a && b", 3, "&& has no meaning here; write AND"),
        ("a || b", 3, "|| has no meaning here; write OR"),
        ("!a", 1, "! has no meaning here; write NOT"),
        ("a =~ 'b'", 4, "~ has no meaning here; write MATCHES for a regular expression"),
        ("a = 'b';", 8, "; has no meaning here; a condition ends without a semicolon"),
        ("a = “b”", 5, "“ has no meaning here; write texts in straight quotes"),
        ("a = `b`", 5, "` has no meaning here; names have no quotes"),
        ("a = \x00", 5, "the character U+0000 has no meaning here"),
        ("a\u00a0= 1", 2, "the character U+00A0 has no meaning here"),
        ("a. = 1", 2, ". has no meaning here"),
        ("__import__.('os')", 11, ". has no meaning here"),
        ('a = "b', 5, 'the text that begins here has no closing " on its line'),
        ("a = 'b\nc'", 5, "the text that begins here has no closing ' on its line"),
    ],
)
def test_a_syntax_error_says_what_was_expected(source: str, column: int, reason: str) -> None:
    error = refusal(source)
    assert error.violations == (("condition", f"line 1, column {column}: {reason}"),)
    assert (error.line, error.column) == (1, column)


@pytest.mark.parametrize(
    ("source", "column", "reason"),
    [
        ("hour() < 6", 1, "hour takes 1 argument, not 0"),
        ("hour(timestamp, 1) < 6", 1, "hour takes 1 argument, not 2"),
        ("any()", 1, "any takes 1 or 2 arguments, not 0"),
        ("contains(a)", 1, "contains takes 2 arguments, not 1"),
        ("timestamp_diff(a) > 1", 1, "timestamp_diff takes 2 or 3 arguments, not 1"),
        ("HOUR(timestamp) < 6", 1, "there is no function HOUR; did you mean hour?"),
        ("eval('1')", 1, f"there is no function eval; use one of {', '.join(FUNCTIONS)}"),
        ("a.b(1)", 1, f"there is no function a.b; use one of {', '.join(FUNCTIONS)}"),
        ("has(1)", 5, "has takes a name, such as target.resource_id"),
        ("has(lower(a))", 5, "has takes a name, such as target.resource_id"),
        (
            "timestamp_diff(a, b, 'weeks') > 1",
            22,
            "expected one of 'seconds', 'minutes', 'hours', 'days'",
        ),
        (
            "timestamp_diff(a, b, unit) > 1",
            22,
            "expected one of 'seconds', 'minutes', 'hours', 'days'",
        ),
        (
            "target > 1",
            1,
            "target is not a value: name one of target.resource_type, "
            "target.resource_id, target.sensitivity_level, target.classifications, target.fields",
        ),
        ("model = 'x'", 1, "model is not a value: name one of model.provider, model.model"),
        ("context = 1", 1, "context is not a value: name one of its keys"),
        ("action.vreb = 'x'", 1, "a request has no action.vreb; did you mean action.verb?"),
        (
            "target.x = 1",
            1,
            "a request has no target.x; use one of target.resource_type, "
            "target.resource_id, target.sensitivity_level, target.classifications, target.fields",
        ),
        ("tool.name = 1", 1, "tool has no fields"),
        ("action.verb.x = 1", 1, "action.verb has no fields"),
        ("subject.groups.x = 1", 1, "subject.groups has no fields"),
        ("timestamp.year = 1", 1, "timestamp has no fields"),
        ("1 + 2", 1, "expected something that is true or false, found a number"),
        ("'a'", 1, "expected something that is true or false, found a text"),
        ("a AND tool", 7, "expected something that is true or false, found a text"),
        ("a OR hour(timestamp)", 6, "expected something that is true or false, found a number"),
        ("NOT 5", 5, "expected something that is true or false, found a number"),
        ("timestamp", 1, "expected something that is true or false, found a time"),
        ("subject.groups", 1, "expected something that is true or false, found a list"),
        ("a MATCHES '(?=b)'", 11, "look-around is not supported: (?="),
        ("a MATCHES '('", 11, "missing ): ("),
        (f"a LIKE '{'x' * 481}'", 8, "a pattern of LIKE must be at most 480 characters"),
        (f"a MATCHES '{'x' * 1001}'", 11, "must be at most 1000 characters"),
        ("a = 1e999", 5, "the number is too large"),
        ("a = 18446744073709551616", 5, "whole numbers go up to 18446744073709551615"),
        (r"a = '\ud83d'", 5, "the text contains half of a surrogate pair"),
        ("a = '\ud83d'", 6, "half of a surrogate pair is not a character"),
    ],
)
def test_invalid_names_calls_and_literals_are_refused(
    source: str, column: int, reason: str
) -> None:
    assert refusal(source).violations == (("condition", f"line 1, column {column}: {reason}"),)


def test_an_error_lists_at_most_ten_faults() -> None:
    assert len(refusal(" OR ".join(f"f{i}()" for i in range(30))).violations) == 10


def test_the_message_has_no_control_characters() -> None:
    message = refusal("a = '\x1b[31m' AND").message
    assert message.replace("\n", "").isprintable()


def test_an_error_is_an_invalid_argument_with_its_own_reason() -> None:
    error = refusal("a\n AND OR")
    assert isinstance(error, InvalidArgument)
    assert error.reason == "INVALID_CONDITION"
    assert (error.line, error.column) == (2, 6)


def test_a_condition_is_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        compile_condition("a").source = "b"  # type: ignore[misc] # the test is about this
