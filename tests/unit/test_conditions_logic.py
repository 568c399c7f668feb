"""Null, arithmetic, logic and names: tables of conditions and their results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pdp.domain.request import Request
from tests.support.condition_tables import F, T, U, of, table

if TYPE_CHECKING:
    from pdp.engine.conditions import Truth


@table(
    ("missing IS NULL", T),
    ("missing IS NOT NULL", F),
    ("nothing IS NULL", T),
    ("name IS NULL", F),
    ("empty IS NULL", F),
    ("none IS NULL", F),
    ("nan IS NULL", F),
    ("target.resource_id IS NULL", T),
    ("arguments.missing.deeper IS NULL", T),
    ("arguments.sql.deeper IS NULL", T),
    ("timestamp IS NULL", F),
    ("null IS NULL", T),
    ("(missing > 1) IS NULL", T),
    ("1 / 0 IS NULL", T),
    ("has(name)", T),
    ("has(missing)", F),
    ("has(nothing)", F),
    ("has(off)", T),
    ("has(target.resource_id)", F),
    ("has(subject.groups)", T),
    ("has(timestamp)", T),
    ("has(context.name)", T),
    ("NOT has(missing)", T),
)
def test_conditions_with_null_and_has_have_the_listed_results(source: str, expected: Truth) -> None:
    assert of(source) is expected


@table(
    ("whole + 1 = 8", T),
    ("whole - 1 - 1 = 5", T),
    ("whole * 2 + 1 = 15", T),
    ("1 + whole * 2 = 15", T),
    ("(1 + whole) * 2 = 16", T),
    ("7 / 2 = 3.5", T),
    ("8 / 2 / 2 = 2", T),
    ("7 % 3 = 1", T),
    ("negative % 3 = -1", T),
    ("whole % -3 = 1", T),
    ("5.5 % 2 = 1.5", T),
    ("-whole = -7", T),
    ("--whole = 7", T),
    ("- 7 = -whole", T),
    ("2-1 = 1", T),
    ("whole -1 = 6", T),
    ("1 / 0 = 1", U),
    ("1 % 0 = 1", U),
    ("whole / (whole - 7) > 0", U),
    ("1e308 * 10 > 0", U),
    ("huge + 1 > 0", U),
    ("-huge < 0", U),
    ("nan + 1 > 0", U),
    ("missing + 1 > 0", U),
    ("name + 'x' = 'Adax'", U),
    ("'a' * 1000000 = ''", U),
    ("flag + 1 = 2", U),
    ("tags + tags = tags", U),
    ("9007199254740992 + 1 = 9007199254740992", T),
)
def test_arithmetic_conditions_have_the_listed_results(source: str, expected: Truth) -> None:
    assert of(source) is expected


@table(
    ("flag", T),
    ("off", F),
    ("missing", U),
    ("name", U),
    ("true", T),
    ("FALSE", F),
    ("null", U),
    ("NOT off", T),
    ("NOT NOT flag", T),
    ("NOT name", U),
    ("NOT batch_size = 200", F),
    ("flag AND name", U),
    ("flag OR off AND off", T),
    ("(flag OR off) AND off", F),
    ("NOT flag OR flag", T),
    ("NOT (flag OR flag)", F),
    ("flag and not off Or missing", T),
    ("order_by OR flag", T),
    ("flag AND NOT (missing AND off)", T),
)
def test_logical_operators_have_the_listed_precedence(source: str, expected: Truth) -> None:
    assert of(source) is expected


TRUTHS = {"true": T, "false": F, "missing": U}
AND = {(T, T): T, (T, F): F, (T, U): U, (F, F): F, (F, U): F, (U, U): U}
OR = {(T, T): T, (T, F): T, (T, U): T, (F, F): F, (F, U): U, (U, U): U}


@pytest.mark.parametrize("left", TRUTHS)
@pytest.mark.parametrize("right", TRUTHS)
def test_logic_follows_the_three_valued_truth_tables(left: str, right: str) -> None:
    pair = (TRUTHS[left], TRUTHS[right])
    assert of(f"{left} AND {right}") is AND.get(pair, AND.get(pair[::-1]))
    assert of(f"{left} OR {right}") is OR.get(pair, OR.get(pair[::-1]))
    assert of(f"NOT {left}") is {T: F, F: T, U: U}[TRUTHS[left]]
    assert of(f"NOT ({left} AND {right})") is of(f"NOT {left} OR NOT {right}")


@pytest.mark.parametrize("third", TRUTHS)
@pytest.mark.parametrize("operator", ["AND", "OR"])
def test_chains_are_evaluated_from_left_to_right(operator: str, third: str) -> None:
    for first in TRUTHS:
        for second in TRUTHS:
            chain = of(f"{first} {operator} {second} {operator} {third}")
            assert chain is of(f"({first} {operator} {second}) {operator} {third}")
            assert chain is of(f"{first} {operator} ({second} {operator} {third})")


@table(
    ("action = 'database:table:drop.cascade'", T),
    ("action.domain = 'database'", T),
    ("action.scope = 'table'", T),
    ("action.verb = 'drop.cascade'", T),
    ("context.action = 'shadowed'", T),
    ("tool = 'read_file'", T),
    ("direction = 'input'", T),
    ("channel = 'interactive'", T),
    ("risk_score = 0.4", T),
    ("subject.risk_score = 0.4", T),
    ("subject.user_id = 'u1'", T),
    ("subject.agent_id = 'claude-code'", T),
    ("'emea' IN subject.groups", T),
    ("subject.team = 'payments'", T),
    ("subject.level = 3", T),
    ("subject.attributes.team = 'payments'", T),
    ("subject.attributes.user_id = 'hidden'", T),
    ("subject.attributes IS NULL", F),
    ("model.provider = 'openai'", T),
    ("model.model = 'gpt-4o'", T),
    ("target.resource_type = 'table'", T),
    ("target.sensitivity_level = 3", T),
    ("'ssn' IN target.fields", T),
    ("arguments.sql = 'DROP TABLE users'", T),
    ("arguments.nested.deep.er = 'x'", T),
    ("arguments IS NOT NULL", T),
    ("context.batch_size = 200", T),
    ("object.key = 'value'", T),
    ("batch_size.deeper = 1", U),
    ("Batch_size = 200", U),
)
def test_conditions_with_names_have_the_listed_results(source: str, expected: Truth) -> None:
    assert of(source) is expected


@pytest.mark.parametrize(
    "name",
    [
        "action",
        "action.verb",
        "tool",
        "risk_score",
        "subject.user_id",
        "subject.team",
        "model.model",
        "target.resource_id",
        "target.sensitivity_level",
        "arguments",
        "arguments.x",
        "anything",
    ],
)
def test_names_without_a_value_in_the_request_are_missing(name: str) -> None:
    assert of(f"{name} IS NULL", request=Request()) is True
    assert of(f"{name} = 1", request=Request()) is None


@pytest.mark.parametrize("name", ["subject.groups", "target.classifications", "target.fields"])
def test_lists_without_a_value_in_the_request_are_empty(name: str) -> None:
    assert of(f"count({name}) = 0", request=Request()) is True
    assert of(f"'a' IN {name}", request=Request()) is False


def test_a_name_can_be_any_word_in_any_script() -> None:
    context: dict[str, Any] = {"größe": 1.0, "名前": "x", "is_null": 1.0, "In": 3.0}
    request = Request(context={**context, "hour": 5.0})
    assert of("größe = 1 AND 名前 = 'x' AND is_null = 1", request=request) is True
    assert of("context.In = 3 AND hour = 5", request=request) is True
