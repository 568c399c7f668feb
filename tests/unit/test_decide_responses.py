"""The response message of a decision has what the decision has, whatever was answered before."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp.domain.decision import Decision, Match, Outcome, Risk, RiskFactor
from pdp.messages.conversion import to_response

_words = st.sampled_from(["", "a", "b", "LIMIT_EXCEEDED"])
_factors = st.lists(st.builds(RiskFactor, _words, _words, st.integers(-5, 5)), max_size=2)
_matches = st.lists(
    st.builds(Match, *[_words] * 6, would_be=_words, talk=st.booleans()), max_size=2
)
_decisions = st.builds(
    Decision,
    decision_id=_words,
    request_id=_words,
    outcome=st.sampled_from(list(Outcome)),
    message=_words,
    reason_code=_words,
    status_hint=st.sampled_from([200, 403, 503]),
    risk=st.builds(Risk, st.integers(0, 2), _words, _factors.map(tuple)),
    revision=st.integers(0, 2),
    matches=_matches.map(tuple),
    pii_detected=st.booleans(),
    incomplete=st.booleans(),
)


def _plain(decision: Decision) -> pb.DecideResponse:
    """Returns the response that is built field by field."""
    outcome, risk = decision.outcome, decision.risk
    stopped = {Outcome.PROMPT, Outcome.ESCALATE, Outcome.CANCEL, Outcome.BLOCK}
    return pb.DecideResponse(
        decision_id=decision.decision_id,
        request_id=decision.request_id,
        outcome=pb.Outcome.ValueType(outcome),
        allowed=outcome not in stopped,
        message=decision.message,
        reason_code=decision.reason_code,
        status_hint=decision.status_hint,
        revision=decision.revision,
        risk=pb.Risk(
            score=risk.score,
            level=risk.level,
            factors=[pb.RiskFactor(**each._asdict()) for each in risk.factors],
        ),
        matches=[pb.Match(**each._asdict()) for each in decision.matches],
        pii_detected=decision.pii_detected,
        incomplete=decision.incomplete,
    )


@given(st.lists(_decisions, min_size=1, max_size=6))
def test_every_decision_gets_its_own_response(decisions: list[Decision]) -> None:
    for decision in decisions:
        assert to_response(decision) == _plain(decision)
