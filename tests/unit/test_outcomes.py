"""The order of outcomes comes from a table, and not from their numbers."""

from __future__ import annotations

import itertools

import pytest

from pdp._gen.pdp.v1 import audit_pb2, decide_pb2
from pdp.domain.decision import HELD, OUTCOMES, Outcome
from pdp.errors import InvalidArgument
from pdp.messages.validation import validate


def test_the_table_has_all_outcomes_once() -> None:
    assert sorted(OUTCOMES, key=int) == list(Outcome)
    names = [outcome.name for outcome in OUTCOMES]
    assert names[-4:] == ["PROMPT", "ESCALATE", "CANCEL", "BLOCK"]


def test_the_numbers_are_those_of_the_contract() -> None:
    for outcome in Outcome:
        assert int(decide_pb2.Outcome.Value(f"OUTCOME_{outcome.name}")) == outcome.value
    assert len(decide_pb2.Outcome.values()) == len(Outcome) + 1


@pytest.mark.parametrize(("weaker", "stronger"), list(itertools.combinations(OUTCOMES, 2)))
def test_they_compare_by_strength(weaker: Outcome, stronger: Outcome) -> None:
    assert weaker < stronger
    assert weaker <= stronger
    assert stronger > weaker
    assert stronger >= weaker
    assert not stronger < weaker
    assert not stronger <= weaker
    assert max(weaker, stronger) is stronger
    assert max([stronger, weaker], key=lambda each: (each, 0)) is stronger
    assert min(stronger, weaker) is weaker


def test_records_are_selected_by_any_of_them() -> None:
    names = [outcome.name for outcome in Outcome]
    for request in (audit_pb2.ListRecordsRequest, audit_pb2.TailRecordsRequest):
        validate(request(outcome=names))
        with pytest.raises(InvalidArgument):
            validate(request(outcome=["DENY"]))


def test_what_is_held() -> None:
    assert {Outcome.PROMPT, Outcome.ESCALATE} == HELD
