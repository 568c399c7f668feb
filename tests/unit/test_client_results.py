"""The Python client: requests from mappings, results with types, and the vectors of redactions."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pdp_client as pdp
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from pdp_client.results import decision_of


def timestamp(time: datetime) -> Timestamp:
    result = Timestamp()
    result.FromDatetime(time)
    return result


VECTORS: Final = json.loads(
    (Path(__file__).parents[1] / "vectors/redactions.json").read_text(encoding="utf-8")
)
LATER: Final = datetime(2030, 1, 2, tzinfo=UTC)


def redaction(vector: dict[str, Any]) -> pdp.Redaction:
    spans = tuple(pdp.RedactedSpan(**each) for each in vector["spans"])
    return pdp.Redaction(spans, vector["replacement"])


@pytest.mark.parametrize("vector", VECTORS["texts"], ids=lambda vector: vector["name"])
def test_a_text_is_redacted(vector: dict[str, Any]) -> None:
    assert pdp.redact_text(vector["text"], [redaction(vector)]) == vector["expected"]


@pytest.mark.parametrize("vector", VECTORS["arguments"], ids=lambda vector: vector["name"])
def test_arguments_are_redacted(vector: dict[str, Any]) -> None:
    redactions = [redaction(vector)]
    assert pdp.redact_json(vector["arguments"], redactions) == vector["expected"]
    text = pdp.redact_json_text(json.dumps(vector["arguments"]), redactions)
    assert json.loads(text) == vector["expected"]


class TestRequests:
    def test_from_a_mapping(self) -> None:
        request = pdp.request_of(
            {
                "content": "hi",
                "model": "gpt-4o",
                "subject": {"user_id": "ann", "attributes": {"n": 2**60 + 1}},
                "timestamp": LATER,
                "context": {"a": None},
            }
        )
        assert request.content.text == "hi"
        assert request.model.model == "gpt-4o"
        assert json.loads(request.subject.attributes_json) == {"n": 2**60 + 1}
        assert request.timestamp.ToDatetime(UTC) == LATER
        assert json.loads(request.context_json) == {"a": None}

    def test_a_message_is_copied(self) -> None:
        message = pdp.DecideRequest(tool="t")
        assert pdp.request_of(message) == message
        assert pdp.request_of(message) is not message

    @pytest.mark.parametrize(
        "fields",
        [
            {"contents": "hi"},
            {"content": 1},
            {"arguments": {"a": object()}},
            {"arguments": {"a": float("nan")}},
            {"arguments": {}, "arguments_json": "{}"},
            {"timestamp": datetime(2030, 1, 1)},  # noqa: DTZ001 - the fault
            {"payload": {"body": b"\xff"}},
        ],
    )
    def test_what_is_not_a_request(self, fields: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match=r".+"):
            pdp.request_of(fields)


def response(**fields: Any) -> pdp.DecideResponse:
    return pdp.DecideResponse(**{"outcome": pdp.OUTCOME_ALLOW, "allowed": True, **fields})


class TestResults:
    def test_an_approval(self) -> None:
        obligation = pdp.Obligation(
            type=pdp.OBLIGATION_TYPE_APPROVAL,
            approval_id="a1",
            token="secret",
            message="May it?",
            expires_at=timestamp(LATER),
            approval_state="approved",
        )
        answer = response(outcome=pdp.OUTCOME_ESCALATE, allowed=False, obligations=[obligation])
        decision = decision_of(answer, pdp.DecideRequest(tool="t"))
        approval = decision.obligations.approval
        assert approval == pdp.RequiredApproval("a1", "May it?", LATER, True, "secret")
        assert decision.held
        assert not decision.allowed
        assert "secret" not in repr(decision)
        assert decision.resume() == pdp.DecideRequest(tool="t", tokens=["secret"])

    def test_a_prompt(self) -> None:
        obligation = pdp.Obligation(
            type=pdp.OBLIGATION_TYPE_PROMPT,
            message="Sure?",
            confirmation="c",
            expires_at=timestamp(LATER),
        )
        answer = response(outcome=pdp.OUTCOME_PROMPT, allowed=False, obligations=[obligation])
        decision = decision_of(answer, pdp.DecideRequest())
        assert decision.obligations.prompts == (pdp.ConfirmationPrompt("Sure?", "c", LATER),)
        with pytest.raises(pdp.Held):
            decision.enforce()
        assert decision.resume(confirmed=True).tokens == ["c"]
        with pytest.raises(ValueError, match="has not confirmed"):
            decision.resume()

    def test_the_rest(self) -> None:
        obligations = [
            pdp.Obligation(type=pdp.OBLIGATION_TYPE_ROUTE_TO, model="small", provider="p"),
            pdp.Obligation(type=pdp.OBLIGATION_TYPE_MASK_FIELDS, fields=["a", "b"]),
        ]
        answer = response(
            obligations=obligations,
            retry_after_s=0,
            revision=7,
            input_hash="h",
            matches=[pdp.Match(layer="static", policy_id="p1")],
            warnings=[pdp.PolicyWarning(message="careful")],
        )
        decision = decision_of(answer, pdp.DecideRequest())
        assert decision.obligations.route == pdp.Route("small", "p")
        assert decision.obligations.mask_fields == ("a", "b")
        assert decision.redacted
        assert decision.retry_after == 0
        assert decision_of(response(), pdp.DecideRequest()).retry_after is None
        assert (decision.revision, decision.input_hash) == (7, "h")
        assert decision.matches[0].policy_id == "p1"
        assert decision.warnings == ("careful",)
        with pytest.raises(dataclasses.FrozenInstanceError):
            decision.allowed = True  # type: ignore[misc] # that is what must fail
        with pytest.raises(ValueError, match="not held"):
            decision_of(response(), pdp.DecideRequest()).resume()

    def test_an_obligation_that_is_not_known(self) -> None:
        unknown = pdp.Obligation(type=99)  # type: ignore[arg-type] # of a newer server
        decision = decision_of(response(obligations=[unknown]), pdp.DecideRequest())
        assert not decision.obligations.is_known
        with pytest.raises(pdp.Denied):
            decision.enforce()
