"""Access requests of AuthZEN: what is offered with a denial, and which tokens bind a submission."""

from __future__ import annotations

import time
from typing import Any, Final

import pytest

from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp.adapters.authzen.access_requests import AccessRequests, RefusedSubmission, _approval_id
from pdp.adapters.authzen.mapping import Mapped
from pdp.decisions.approvals.tokens import HoldToken, sign, subject_digest
from pdp.decisions.input_hash import input_hash, tag_of
from pdp.domain.approval import CONFIRMATION_KIND, KIND
from pdp.domain.request import Request, Subject

KEY: Final = b"k" * 32
REQUEST: Final = Request(tenant_id="acme", action="db:prod:delete", subject=Subject("ann"))
REQUESTS: Final = AccessRequests(None, None, "https://pdp.example.com")  # type: ignore[arg-type] # offers need neither


def token_of(key: bytes = KEY, **fields: Any) -> str:
    hash_ = input_hash(KEY, REQUEST)
    token = HoldToken(
        kind=KIND,
        id="01A",
        tenant_id="acme",
        subject=subject_digest(KEY, REQUEST),
        input_hash=hash_,
        parts=(tag_of(hash_),),
        rules=(),
        expires_at=int(time.time()) + 3600,
    )
    return sign(key, token._replace(**fields))


def read(token: str) -> str:
    request = REQUEST._replace(tokens=(token,))
    return _approval_id(KEY, request, [request])


def test_a_binding_token_names_its_approval() -> None:
    assert read(token_of()) == "01A"


@pytest.mark.parametrize(
    ("token", "problem", "status"),
    [
        (token_of(expires_at=1), "expired_denial", 410),
        (token_of(kind=CONFIRMATION_KIND), "not_requestable", 400),
        (token_of(kind="other"), "invalid_denial_binding", 400),
        (token_of(b"x" * 32), "invalid_denial_binding", 400),
        (token_of(tenant_id="globex"), "invalid_denial_binding", 400),
        (token_of(subject="0" * 32), "invalid_denial_binding", 400),
        (token_of(parts=("0" * 32,)), "invalid_denial_binding", 400),
        (token_of(parts=()), "invalid_denial_binding", 400),
        (token_of(input_hash="0" * 64), "invalid_denial_binding", 400),
        ("", "invalid_denial_binding", 400),
        ("x.y.z", "invalid_denial_binding", 400),
    ],
)
def test_another_token_is_refused(token: str, problem: str, status: int) -> None:
    with pytest.raises(RefusedSubmission) as refused:
        read(token)
    assert (refused.value.problem, refused.value.status) == (problem, status)


def test_without_a_key_no_token_is_bound() -> None:
    request = REQUEST._replace(tokens=(token_of(),))
    with pytest.raises(RefusedSubmission):
        _approval_id(b"", request, [request])


APPROVAL: Final = pb.Obligation(
    type=pb.OBLIGATION_TYPE_APPROVAL, approval_id="01A", token="t", message="May it?"
)


def escalated(*obligations: pb.Obligation, **fields: Any) -> pb.DecideResponse:
    values = {"outcome": pb.OUTCOME_ESCALATE, "decision_id": "d", **fields}
    return pb.DecideResponse(obligations=obligations, **values)


def context(response: pb.DecideResponse, approval_id: str = "", *supported: str) -> dict[str, Any]:
    mapped = Mapped(pb.DecideRequest(), frozenset(supported), approval_id=approval_id)
    return REQUESTS.context(response, mapped)


def test_a_denial_that_needs_an_approval_offers_a_request() -> None:
    found = context(escalated(APPROVAL))
    assert found["evaluation_id"] == "d"
    assert found["reason"] == "approval_required"
    assert found["access_request"]["endpoint"] == "https://pdp.example.com/access/v1/requests"
    assert found["access_request"]["binding_token"] == "t"
    assert "next_action" not in found


@pytest.mark.parametrize(
    "response",
    [
        escalated(),
        escalated(APPROVAL, outcome=pb.OUTCOME_BLOCK),
        escalated(pb.Obligation(type=pb.OBLIGATION_TYPE_APPROVAL, approval_id="01A")),
        escalated(pb.Obligation(type=pb.OBLIGATION_TYPE_APPROVAL, token="t")),
        escalated(APPROVAL, pb.Obligation(type=pb.OBLIGATION_TYPE_REDACT)),
        escalated(APPROVAL, pb.Obligation(type=99)),  # type: ignore[arg-type] # of a newer server
        escalated(outcome=pb.OUTCOME_ALLOW, allowed=True),
    ],
)
def test_nothing_is_offered_that_could_not_pass(response: pb.DecideResponse) -> None:
    assert context(response, "", "step-up") == {}


def test_other_obligations_must_be_supported() -> None:
    response = escalated(APPROVAL, pb.Obligation(type=pb.OBLIGATION_TYPE_REDACT))
    assert "access_request" in context(response, "", "custom")


def test_a_reference_to_another_approval_is_unverifiable() -> None:
    found = context(escalated(APPROVAL), "01B")
    assert (found["reason"], found["next_action"]) == ("approval_unverifiable", "request")
    assert found["access_request"]["binding_token"] == "t"
    assert context(escalated(APPROVAL), "01A")["reason"] == "approval_required"


def test_what_follows_a_denial_that_no_approval_lifts() -> None:
    blocked = pb.DecideResponse(outcome=pb.OUTCOME_BLOCK)
    assert context(blocked, "01A") == {"reason": "policy_denied", "next_action": "none"}
    assert context(blocked) == {}
    limited = pb.DecideResponse(outcome=pb.OUTCOME_BLOCK, retry_after_s=9)
    assert context(limited, "01A") == {"next_action": "retry", "retry_after": 9}


def test_a_permit_names_the_approval_that_it_has_used() -> None:
    match = pb.Match(layer="chain", approved_by="01A")
    permitted = pb.DecideResponse(outcome=pb.OUTCOME_ALLOW, allowed=True, matches=[match])
    assert context(permitted, "01A") == {"approval": {"id": "01A"}}
    assert context(permitted, "01B") == {}
    assert context(permitted) == {}
