"""A decision of the Python client is the same, however it was made."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from datetime import UTC, datetime
from typing import Any, Final

import pdp_client as pdp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pdp_client.results import decision_of, plain_decision

from pdp.domain.policy_set import PolicySet
from pdp.domain.request import Request
from pdp.engine.compiler import compile_platform, empty_snapshot
from pdp.engine.evaluate import evaluate
from pdp.messages.conversion import to_response

FIELDS: Final = [each.name for each in dataclasses.fields(pdp.Decision)]
SNAPSHOT: Final = empty_snapshot(compile_platform(PolicySet(), {}), 1)
REVISIONS: Final = st.integers(0, 2**53 - 1)
TEXTS: Final = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
SOME_TEXTS: Final = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


@st.composite
def plain_pairs(draw: st.DrawFn) -> tuple[pdp.Decision, pdp.Decision]:
    """An ALLOW to which nothing was added: made at once, and made from its answer."""
    message = pdp.DecideRequest(request_id=draw(SOME_TEXTS))
    message.content.text = draw(TEXTS)
    if draw(st.booleans()):
        message.arguments_json = '{"query": "rows"}'
    elif draw(st.booleans()):
        message.arguments["query"] = "rows"
    decided = evaluate(SNAPSHOT, Request(request_id=message.request_id), draw(TEXTS))
    assert decided.plain
    decided = decided._replace(revision=draw(REVISIONS), input_hash=draw(TEXTS))
    made = plain_decision(
        message, decided.decision_id, decided.request_id, decided.revision, decided.input_hash
    )
    answer = pdp.DecideResponse.FromString(to_response(decided).SerializeToString())
    return made, decision_of(answer, message)


class TestPlain:
    @given(plain_pairs())
    def test_it_equals_the_one_that_is_made_from_its_answer(
        self, pair: tuple[pdp.Decision, pdp.Decision]
    ) -> None:
        made, read = pair
        assert repr(made) == repr(read)
        assert (made.redacted, made.held) == (read.redacted, read.held)
        assert made == read
        assert {name: getattr(made, name) for name in FIELDS} == {
            name: getattr(read, name) for name in FIELDS
        }
        assert made.raw is made.raw

    @given(plain_pairs())
    def test_what_may_go_out_is_the_same(self, pair: tuple[pdp.Decision, pdp.Decision]) -> None:
        made, read = pair
        assert made.enforce() == read.enforce()
        with pytest.raises(ValueError, match="not held"):
            made.resume()

    @given(plain_pairs(), st.sampled_from([0, 1, 2, 3, 4, 5]))
    def test_it_can_be_pickled(
        self, pair: tuple[pdp.Decision, pdp.Decision], protocol: int
    ) -> None:
        made, read = pair
        assert _pickled(made, protocol) == _pickled(read, protocol) == read

    @given(plain_pairs())
    def test_it_can_be_copied(self, pair: tuple[pdp.Decision, pdp.Decision]) -> None:
        made, read = pair
        assert copy.copy(made) == copy.deepcopy(made) == read
        changed = dataclasses.replace(made, message="changed")
        assert changed == dataclasses.replace(read, message="changed")

    @given(plain_pairs(), st.sampled_from(FIELDS))
    def test_it_cannot_be_changed(self, pair: tuple[pdp.Decision, pdp.Decision], name: str) -> None:
        for each in pair:
            with pytest.raises(dataclasses.FrozenInstanceError):
                setattr(each, name, None)
            with pytest.raises(dataclasses.FrozenInstanceError):
                delattr(each, name)
            with pytest.raises(AttributeError):
                object.__setattr__(each, "another", None)
            with pytest.raises(TypeError, match="unhashable"):
                hash(each)

    def test_a_decision_without_fields_has_no_answer(self) -> None:
        """A decision that was never made must not look like an ALLOW."""
        with pytest.raises(AttributeError):
            _ = pdp.Decision.__new__(pdp.Decision).raw


@st.composite
def answers(draw: st.DrawFn) -> pdp.DecideResponse:
    """Answers of a server, with all that a decision has fields for."""
    allowed = draw(st.booleans())
    outcomes = [pdp.OUTCOME_ALLOW, pdp.OUTCOME_WARN, pdp.OUTCOME_REDACT]
    stopping = [pdp.OUTCOME_BLOCK, pdp.OUTCOME_PROMPT, pdp.OUTCOME_ESCALATE]
    answer = pdp.DecideResponse(
        outcome=draw(st.sampled_from(outcomes if allowed else stopping)),
        allowed=allowed,
        message=draw(TEXTS),
        reason_code=draw(TEXTS),
        decision_id=draw(TEXTS),
        request_id="r",
        revision=draw(REVISIONS),
        input_hash=draw(TEXTS),
        status_hint=draw(st.sampled_from([200, 403, 429])),
        retry_after_s=draw(st.none() | st.integers(0, 60)),
        matches=[pdp.Match(layer="static", name=name) for name in draw(st.lists(TEXTS))],
        warnings=[pdp.PolicyWarning(message=text) for text in draw(st.lists(TEXTS))],
        obligations=draw(st.lists(st.sampled_from(OBLIGATIONS))),
    )
    assert answer.IsInitialized()
    return answer


def _approval() -> pdp.Obligation:
    approval = pdp.Obligation(
        type=pdp.OBLIGATION_TYPE_APPROVAL, approval_id="a", token="t", message="May it?"
    )
    approval.expires_at.FromDatetime(datetime(2030, 1, 2, tzinfo=UTC))
    return approval


OBLIGATIONS: Final = (
    pdp.Obligation(
        type=pdp.OBLIGATION_TYPE_REDACT, replacement="*", spans=[pdp.Span(start=1, end=2)]
    ),
    pdp.Obligation(type=pdp.OBLIGATION_TYPE_MASK_FIELDS, fields=["ssn"]),
    pdp.Obligation(type=pdp.OBLIGATION_TYPE_ROUTE_TO, model="small"),
    pdp.Obligation(type=pdp.OBLIGATION_TYPE_PROMPT, message="Sure?", confirmation="c"),
    pdp.Obligation(type=99),  # type: ignore[arg-type] # of a later version
    _approval(),
)


@given(answers())
def test_a_decision_equals_what_its_constructor_makes(answer: pdp.DecideResponse) -> None:
    made = decision_of(answer, pdp.DecideRequest(request_id="r"))
    fields = {name: getattr(made, name) for name in FIELDS}
    constructed = pdp.Decision(**fields)
    assert type(made) is pdp.Decision
    assert made == constructed
    assert repr(made) == repr(constructed)
    assert _pickled(made, 5) == constructed
    assert made.raw is answer


TEXT_FIELDS: Final = ("action", "tool", "direction", "customer_id", "tenant_id", "request_id")


@given(
    st.dictionaries(st.sampled_from(TEXT_FIELDS), TEXTS),
    st.none() | TEXTS,
    st.none() | TEXTS,
)
def test_a_mapping_of_texts_becomes_the_message_that_has_them(
    fields: dict[str, str], content: str | None, model: str | None
) -> None:
    given_: dict[str, Any] = dict(fields)
    expected = pdp.DecideRequest(**given_)
    if content is not None:
        given_["content"] = content
        expected.content.CopyFrom(pdp.Content(text=content))
    if model is not None:
        given_["model"] = model
        expected.model.CopyFrom(pdp.Model(model=model))
    assert pdp.request_of(given_) == expected
    assert pdp.request_of({**given_, "explain": False}) == expected  # by way of ProtoJSON


def _pickled(decision: pdp.Decision, protocol: int) -> pdp.Decision:
    result: pdp.Decision = pickle.loads(pickle.dumps(decision, protocol))  # noqa: S301 - its own
    return result
