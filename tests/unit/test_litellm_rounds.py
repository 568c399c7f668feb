"""Which rounds of a stream go on from the one before."""

from __future__ import annotations

from typing import Any

import pytest

from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp.adapters.litellm.messages import GuardrailQuestion
from pdp.adapters.litellm.rounds import Rounds, findings_of

KEY = ("gateway", "acme", "call-1")
ALLOW = pb.DecideResponse(outcome=pb.OUTCOME_ALLOW)
FIRST = GuardrailQuestion(is_response=True, texts=("one two",), call_id="call-1", model="m")


def next_round(**changes: Any) -> GuardrailQuestion:
    """Returns a later round of the stream, with changes."""
    return FIRST._replace(**{"texts": ("one two three",), **changes})


@pytest.fixture
def rounds() -> Rounds:
    """The rounds, with the first of a stream."""
    rounds = Rounds()
    rounds.remember(KEY, FIRST, ALLOW)
    return rounds


@pytest.mark.parametrize("texts", [("one two",), ("one two three",), ("one two", "new")])
def test_a_text_that_goes_on_is_a_later_round(rounds: Rounds, texts: tuple[str, ...]) -> None:
    previous = rounds.previous(KEY, next_round(texts=texts))
    assert previous is not None
    assert previous.findings == findings_of(ALLOW)


@pytest.mark.parametrize(
    "other",
    [
        next_round(texts=("one",)),
        next_round(texts=()),
        next_round(texts=("another text",)),
        next_round(texts=("one twO three",)),
        next_round(model="n"),
        next_round(tool_calls=({"id": "1"},)),
        next_round(images=("data:,",)),
        next_round(identity={"user_api_key_user_id": "u2"}),
        next_round(trace_id="t"),
        next_round(call_id=""),
    ],
    ids=lambda each: str(each)[:60],
)
def test_anything_else_is_decided_anew(rounds: Rounds, other: GuardrailQuestion) -> None:
    assert rounds.previous(KEY, other) is None


@pytest.mark.parametrize(
    "key", [("other", "acme", "call-1"), ("gateway", "b", "call-1"), ("gateway", "acme", "call-2")]
)
def test_callers_and_tenants_do_not_share_rounds(rounds: Rounds, key: tuple[str, str, str]) -> None:
    assert rounds.previous(key, next_round()) is None


def test_findings_are_the_outcome_and_the_policies() -> None:
    match = pb.Match(layer="dlp", policy_id="card", action="redact", reason="1 match")
    one = pb.DecideResponse(outcome=pb.OUTCOME_REDACT, matches=[match])
    match.reason = "2 matches"
    same = pb.DecideResponse(outcome=pb.OUTCOME_REDACT, matches=[match], decision_id="2")
    match.policy_id = "ssn"
    other = pb.DecideResponse(outcome=pb.OUTCOME_REDACT, matches=[match])
    assert findings_of(one) == findings_of(same) != findings_of(other)
    assert findings_of(ALLOW) != findings_of(pb.DecideResponse(outcome=pb.OUTCOME_WARN))
