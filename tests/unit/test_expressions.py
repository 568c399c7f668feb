"""Expressions: what they know of groups and findings, and how they are refused."""

from __future__ import annotations

import pytest

from pdp.domain.group_resolver import GroupResolver
from pdp.domain.request import Entity, Request, Subject
from pdp.domain.user_group import UserGroup
from pdp.engine.decision_facts import FactSource
from pdp.engine.findings import NO_FINDINGS, NOT_SCANNED
from pdp.engine.rules.expressions import MAX_EXPRESSION, compile_expression, known_expression
from pdp.errors import InvalidCondition

SOURCE = FactSource(GroupResolver([UserGroup("7", "On Call", members=("ana",))]))


def holds(source: str, request: Request) -> bool | None:
    """Returns the result of an expression, which must equal that of its explanation."""
    expression = compile_expression(source)
    judgement = expression.judge(request, NO_FINDINGS, SOURCE)
    explained = expression.judge(request._replace(explain=True), NO_FINDINGS, SOURCE)
    assert explained.truth is judgement.truth
    assert judgement.is_met == explained.is_met == (judgement.truth is True)
    return judgement.truth


@pytest.mark.parametrize(
    ("source", "subject", "expected"),
    [
        ("'on call' IN groups", Subject("ana"), True),
        ("'ON CALL' IN groups", Subject("ana"), True),
        ("'7' IN groups", Subject("ana"), True),
        ("contains(groups, 'On Call')", Subject("ana"), True),
        ("any(groups, ['SRE', 'On Call'])", Subject("ana"), True),
        ("'On Call' IN groups", Subject("bea"), False),
        ("'On Call' IN groups", Subject("bea", ("on call",)), True),
        ("'On Call' NOT IN groups", Subject("bea", ("ON CALL",)), False),
        ("'Straße' IN groups", Subject("", ("STRASSE",)), True),
        ("'On Call' IN subject.groups", Subject("ana"), False),
        ("count(groups) = 2", Subject("ana", ("on call",)), True),
    ],
)
def test_groups_are_those_of_the_request_and_those_that_list_the_user(
    source: str, subject: Subject, expected: bool
) -> None:
    assert holds(source, Request(subject=subject)) is expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("'US_SSN' IN findings.types", True),
        ("'SSN' IN findings.types", True),
        ("'NATIONAL_ID' IN findings.types", True),
        ("'EMAIL_ADDRESS' IN findings.types", False),
        ("findings.count = 2", True),
    ],
)
def test_findings_of_the_caller_count_by_all_names_of_their_type(
    source: str, expected: bool
) -> None:
    entities = (Entity("SSN", 1.0, 0, 4), Entity("US_SSN", 1.0, 0, 4), Entity("SSN"))
    assert holds(source, Request(text="1234", entities=entities)) is expected


def test_without_a_scan_the_findings_are_unknown() -> None:
    """The trace says so."""
    expression = compile_expression("findings.count = 0")
    assert expression.judge(Request(), NOT_SCANNED, SOURCE).truth is None
    judgement = expression.judge(Request(explain=True), NOT_SCANNED, SOURCE)
    assert not judgement.is_met
    assert judgement.reason == "its expression is unknown: findings.count is not known here"


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("", "line 1, column 1: a condition must not be empty"),
        ("a = 1 AND", "line 1, column 10: expected"),
        ("findings.type = 'x'", "did you mean findings.types?"),
        ("session.ID = 'x'", "did you mean session.id? Write context.session.ID"),
        ("x-team = 1", 'Write a key with a hyphen in quotes: context["x-team"]'),
    ],
)
def test_an_error_names_the_field_and_the_place(source: str, reason: str) -> None:
    with pytest.raises(InvalidCondition) as refusal:
        compile_expression(source, "rules[0].conditions.expression")
    violation = refusal.value.violations[0]
    assert violation.field == "rules[0].conditions.expression"
    assert violation.reason.startswith("line 1, column ")
    assert reason in violation.reason


def test_the_length_is_bounded() -> None:
    longest = "a = 1" + " " * (MAX_EXPRESSION - 5)
    compile_expression(longest)
    with pytest.raises(InvalidCondition, match="at most 4096 bytes"):
        compile_expression(longest + " ")


def test_a_stored_expression_with_unclear_names_still_compiles() -> None:
    assert known_expression("findings.type = 'x'").condition.names == ("findings.type",)
