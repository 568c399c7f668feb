"""The webhook of agentgateway: its answers are read as what they are meant to be."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp.adapters.agentgateway.webhook import answer_of, refuse
from pdp.adapters.agentgateway.webhook_messages import (
    MAX_MESSAGES,
    Prompt,
    mask,
    pass_on,
    read_prompt,
    reject,
)
from pdp.errors import InternalError, InvalidArgument, PdpError, RateLimited, Unauthenticated
from tests.support.agentgateway import FAULT, MASK, PASS, REJECT, raw_reading_of, reading_of

USER = {"role": "user", "content": "hello"}


@pytest.mark.parametrize(
    ("answer", "reading"),
    [
        ({"action": {"body": "no", "status_code": 403, "reason": "r"}}, REJECT),
        ({"action": {"body": {"messages": [USER]}}}, MASK),
        ({"action": {"body": {"choices": [{"message": USER}]}}}, MASK),
        ({"action": {}}, PASS),
        ({"action": {"reason": "r"}}, PASS),
        # The traps: each of these lets the request through.
        ({"action": {"body": "no", "reason": "r"}}, PASS),
        ({"action": {"body": "no", "status_code": "403"}}, PASS),
        ({"action": {"body": "no", "status_code": 403.0}}, PASS),
        ({"action": {"body": "no", "status_code": 70_000}}, PASS),
        ({"action": {"body": {"error": "no"}, "status_code": 403}}, PASS),
        ({"action": {"body": {"messages": [{"role": "user", "content": []}]}}}, PASS),
        ({"action": {"body": {"messages": [{"role": "user", "content": None}]}}}, PASS),
        # These are faults.
        ({"error": "no"}, FAULT),
        ({"action": "block"}, FAULT),
        ({"action": {"reason": 1}}, FAULT),
    ],
    ids=str,
)
def test_the_gateway_reads_answers_by_trial(answer: Any, reading: str) -> None:
    assert reading_of(answer) == reading


def test_each_answer_is_read_as_what_it_is() -> None:
    prompt = Prompt(False, (USER,))
    assert reading_of(pass_on("decision 1")) == PASS
    assert reading_of(reject(403, "no", "r")) == REJECT
    masked = mask(prompt, [{**USER, "content": "[X]"}], "r")
    assert reading_of(masked) == MASK
    choices = mask(prompt._replace(is_response=True), [{**USER, "content": "[X]"}], "r")
    assert choices is not None
    assert list(choices["action"]["body"]) == ["choices"]
    assert reading_of(choices) == MASK


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([USER], []),
        ([USER], [USER, USER]),
        ([USER], [{"role": "user", "content": ["x"]}]),
        ([{"role": "user", "content": [{"type": "text", "text": "x"}]}], [USER]),
        ([USER], [{"role": "user", "content": None}]),
        ([USER], [{"role": "[X]", "content": "hello"}]),
        ([{**USER, "name": "bob"}], [{**USER, "name": "[X]"}]),
        ([{"content": "hello"}], [{"content": "[X]"}]),
        ([USER], ["hello"]),
    ],
    ids=str,
)
def test_what_the_gateway_could_not_replace_is_no_mask(before: Any, after: Any) -> None:
    assert mask(Prompt(False, tuple(before)), after, "r") is None


@pytest.mark.parametrize(
    ("error", "status", "for_client"),
    [
        (Unauthenticated("no"), 401, 403),
        (InvalidArgument("no"), 400, 403),
        (InternalError("no"), 500, 403),
        (RateLimited("no", 1.0), 429, 429),
    ],
    ids=str,
)
def test_every_error_is_read_as_a_rejection(error: PdpError, status: int, for_client: int) -> None:
    """Even with the message format `raw`, no error is read as a pass."""
    response = refuse(error, {})
    answer = json.loads(response.body)
    assert response.status == status
    assert reading_of(answer) == REJECT
    assert raw_reading_of(answer) == FAULT
    assert answer["action"]["status_code"] == for_client
    assert json.loads(answer["action"]["body"])["error"]["code"] == error.reason


def decision(outcome: pb.Outcome.ValueType, *obligations: Any, **fields: Any) -> pb.DecideResponse:
    """Returns a decision."""
    return pb.DecideResponse(
        decision_id="d1",
        outcome=outcome,
        allowed=outcome < pb.OUTCOME_PROMPT,
        obligations=[pb.Obligation(type=each) for each in obligations],
        **fields,
    )


REDACT = pb.OBLIGATION_TYPE_REDACT
PROMPT = Prompt(False, (USER,))
MASKED = json.dumps({"messages": [{**USER, "content": "[X]"}]})


@pytest.mark.parametrize(
    ("made", "reading"),
    [
        (decision(pb.OUTCOME_ALLOW), PASS),
        (decision(pb.OUTCOME_WARN), PASS),
        (decision(pb.OUTCOME_ALLOW_WITH_OVERRIDE), PASS),
        (decision(pb.OUTCOME_REDACT, REDACT, redacted_payload=MASKED), MASK),
        (decision(pb.OUTCOME_REDACT, REDACT), REJECT),
        (decision(pb.OUTCOME_REDACT), REJECT),
        (decision(pb.OUTCOME_ROUTE_TO, pb.OBLIGATION_TYPE_ROUTE_TO), REJECT),
        (decision(pb.OUTCOME_ALLOW, pb.OBLIGATION_TYPE_MASK_FIELDS), REJECT),
        (
            decision(
                pb.OUTCOME_REDACT,
                REDACT,
                pb.OBLIGATION_TYPE_ROUTE_TO,
                redacted_payload=MASKED,
            ),
            REJECT,
        ),
        (decision(pb.OUTCOME_PROMPT, pb.OBLIGATION_TYPE_PROMPT), REJECT),
        (decision(pb.OUTCOME_CANCEL), REJECT),
        (decision(pb.OUTCOME_BLOCK, status_hint=403), REJECT),
        (decision(pb.OUTCOME_UNSPECIFIED), REJECT),
        (pb.DecideResponse(), REJECT),
    ],
    ids=lambda each: str(each).replace("\n", " ")[:60],
)
def test_a_decision_is_read_as_what_it_is(made: pb.DecideResponse, reading: str) -> None:
    answer = answer_of(PROMPT, made)
    assert reading_of(answer) == reading
    if reading == REJECT:
        assert raw_reading_of(answer) == FAULT


def test_a_mask_that_a_stream_would_lose_is_a_rejection() -> None:
    """The gateway asks about a stream in pieces, and takes a mask of a piece for a pass."""
    made = decision(pb.OUTCOME_REDACT, REDACT, redacted_payload=MASKED)
    assert reading_of(answer_of(PROMPT, made, masks=False)) == REJECT
    assert reading_of(answer_of(PROMPT, decision(pb.OUTCOME_ALLOW), masks=False)) == PASS


MALFORMED = {
    "no JSON": b"{",
    "not UTF-8": b'{"body":{"messages":[{"role":"user","content":"\xff"}]}}',
    "a repeated name": b'{"body":{"messages":[]},"body":{"messages":[]}}',
    **{
        name: json.dumps(value).encode()
        for name, value in {
            "an array": [],
            "no body": {"messages": [USER]},
            "a body that is a string": {"body": "hello"},
            "no messages": {"body": {}},
            "the other kind": {"body": {"choices": [{"message": USER}]}},
            "messages that are an object": {"body": {"messages": {}}},
            "a message that is a string": {"body": {"messages": ["hello"]}},
            "many messages": {"body": {"messages": [{}] * (MAX_MESSAGES + 1)}},
        }.items()
    },
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_message_is_refused(body: bytes) -> None:
    with pytest.raises(PdpError):
        read_prompt(body, is_response=False)


@pytest.mark.parametrize("choice", [None, "x", {}, {"message": None}, {"message": "x"}], ids=str)
def test_a_malformed_choice_is_refused(choice: Any) -> None:
    with pytest.raises(PdpError):
        read_prompt(json.dumps({"body": {"choices": [choice]}}).encode(), is_response=True)


CONTENTS = st.text(max_size=9) | st.none() | st.lists(st.just({"type": "text", "text": "x"}))


@given(
    before=st.lists(st.fixed_dictionaries({"role": st.just("user"), "content": CONTENTS})),
    contents=st.lists(CONTENTS),
    is_response=st.booleans(),
)
def test_a_mask_is_read_as_one_or_is_not_made(
    before: list[dict[str, Any]], contents: list[Any], is_response: bool
) -> None:
    after = [
        {**message, "content": content} for message, content in zip(before, contents, strict=False)
    ]
    answer = mask(Prompt(is_response, tuple(before)), after, "r")
    if answer is not None:
        assert reading_of(answer) == MASK
