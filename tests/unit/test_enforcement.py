"""`pdp_client.enforce`: what may go out by a decision, and what it refuses."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import pdp_client as pdp
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable

TEXT: Final = "My card is 4111 1111 1111 1111."
REDACTED: Final = "My card is [REDACTED]."
IN_TEXT: Final = pdp.Span(start=11, end=30)
IN_ARGUMENTS: Final = pdp.Span(path="/card", start=0, end=19)
STOPPING: Final = {
    *(pdp.OUTCOME_PROMPT, pdp.OUTCOME_ESCALATE, pdp.OUTCOME_CANCEL, pdp.OUTCOME_BLOCK)
}
PASSING: Final = (
    pdp.OUTCOME_ALLOW,
    pdp.OUTCOME_WARN,
    pdp.OUTCOME_ALLOW_WITH_OVERRIDE,
)


def redact(*spans: pdp.Span) -> pdp.Obligation:
    return pdp.Obligation(type=pdp.OBLIGATION_TYPE_REDACT, replacement="[REDACTED]", spans=spans)


def route(model: str = "small", provider: str = "openai") -> pdp.Obligation:
    kind = pdp.OBLIGATION_TYPE_ROUTE_TO
    return pdp.Obligation(type=kind, model=model, provider=provider)


def prompt(message: str = "Sure?", confirmation: str = "") -> pdp.Obligation:
    kind = pdp.OBLIGATION_TYPE_PROMPT
    return pdp.Obligation(type=kind, message=message, confirmation=confirmation)


def approval(**fields: Any) -> pdp.Obligation:
    values = {
        "message": "May it?",
        "approval_id": "01A",
        "expires_at": datetime(2026, 11, 28, tzinfo=UTC),
        "token": "t0ken",
        "approval_state": "pending",
        **fields,
    }
    values = {name: value for name, value in values.items() if value is not None}
    return pdp.Obligation(type=pdp.OBLIGATION_TYPE_APPROVAL, **values)


def mask(*fields: str) -> pdp.Obligation:
    return pdp.Obligation(type=pdp.OBLIGATION_TYPE_MASK_FIELDS, fields=fields)


def decision(
    outcome: Any = pdp.OUTCOME_ALLOW, obligations: Iterable[pdp.Obligation] = (), **fields: Any
) -> pdp.DecideResponse:
    fields = {"allowed": outcome not in STOPPING, **fields}
    return pdp.DecideResponse(outcome=outcome, obligations=obligations, **fields)


def request(**fields: Any) -> pdp.DecideRequest:
    return pdp.DecideRequest(content=pdp.Content(text=TEXT), **fields)


def refusal(response: pdp.DecideResponse, asked: pdp.DecideRequest | None = None) -> str:
    with pytest.raises(pdp.Denied) as denied:
        pdp.enforce(response, asked or request(), confirmed=True)
    assert denied.value.response is response
    return denied.value.reason


class TestPermits:
    @pytest.mark.parametrize("outcome", PASSING)
    def test_a_request_that_passes_goes_out_as_it_is(self, outcome: Any) -> None:
        permit = pdp.enforce(decision(outcome), request())
        assert permit == pdp.Permit(text=TEXT)

    def test_arguments_go_out_as_they_are(self) -> None:
        """Numbers in JSON text stay exact."""
        text = '{"id": 1234567890123456789, "price": 1.10}'
        permit = pdp.enforce(decision(), request(arguments_json=text))
        assert permit.arguments == json.loads(text)
        assert permit.arguments_json == text
        asked = request()
        asked.arguments.update({"n": 3, "f": 1.5, "l": [True, None], "o": {"s": "x"}})
        permit = pdp.enforce(decision(), asked)
        assert permit.arguments == {"n": 3, "f": 1.5, "l": [True, None], "o": {"s": "x"}}
        assert json.loads(permit.arguments_json) == permit.arguments

    def test_warnings(self) -> None:
        warnings = [pdp.PolicyWarning(policy_id="p", message="Careful.")]
        permit = pdp.enforce(decision(pdp.OUTCOME_WARN, warnings=warnings), request())
        assert permit.warnings == ("Careful.",)

    def test_redactions(self) -> None:
        response = decision(pdp.OUTCOME_REDACT, [redact(IN_TEXT)], redacted_text=REDACTED)
        assert pdp.enforce(response, request()).text == REDACTED

    @pytest.mark.parametrize("as_text", [False, True])
    def test_redactions_of_arguments(self, as_text: bool) -> None:
        response = decision(pdp.OUTCOME_REDACT, [redact(IN_ARGUMENTS)])
        asked = request()
        if as_text:
            asked.arguments_json = '{"card": "4111 1111 1111 1111"}'
            response.redacted_arguments_json = '{"card": "[REDACTED]"}'
        else:
            asked.arguments.update({"card": "4111 1111 1111 1111"})
            response.redacted_arguments.update({"card": "[REDACTED]"})
        permit = pdp.enforce(response, asked)
        assert permit.arguments == {"card": "[REDACTED]"}
        assert (permit.text, permit.arguments_json) == (TEXT, '{"card": "[REDACTED]"}')

    def test_routes(self) -> None:
        permit = pdp.enforce(decision(pdp.OUTCOME_ROUTE_TO, [route("small")]), request())
        assert permit.route == pdp.Route("small", "openai")

    def test_weaker_obligations_count_too(self) -> None:
        """A decision that redacts may also route."""
        obligations = [redact(IN_TEXT), route()]
        response = decision(pdp.OUTCOME_REDACT, obligations, redacted_text=REDACTED)
        permit = pdp.enforce(response, request())
        assert permit.text == REDACTED
        assert permit.route is not None

    def test_masked_fields_of_arguments(self) -> None:
        """The values of the fields are replaced at any depth, whatever they are."""
        text = '{"ssn": {"a": 1}, "rows": [{"ssn": "x", "id": 12345678901234567890}]}'
        response = decision(pdp.OUTCOME_REDACT, [mask("ssn")])
        permit = pdp.enforce(response, request(arguments_json=text))
        masked = {"ssn": pdp.MASK, "rows": [{"ssn": pdp.MASK, "id": 12345678901234567890}]}
        assert permit.arguments == json.loads(permit.arguments_json) == masked
        assert permit.masked_fields == ("ssn",)

    @pytest.mark.parametrize("name", ["ssn", "user.ssn", "/user/ssn", "rows[0].ssn"])
    def test_masked_fields_of_the_resource(self, name: str) -> None:
        response = decision(pdp.OUTCOME_REDACT, [mask(name)])
        permit = pdp.enforce(response, request(target=pdp.Target(fields=[name])))
        rows = [{"user": {"ssn": "1"}, "name": "x"}]
        assert permit.mask(rows) == [{"user": {"ssn": pdp.MASK}, "name": "x"}]
        assert pdp.Permit().mask(rows) is rows


class TestHolds:
    @pytest.mark.parametrize("outcome", [pdp.OUTCOME_PROMPT, pdp.OUTCOME_REDACT, *PASSING])
    def test_a_prompt_holds_whatever_the_outcome(self, outcome: Any) -> None:
        """Confirmed, the request goes out as the other obligations say."""
        obligations = [prompt("Sure?"), prompt("Really?"), redact(IN_TEXT)]
        response = decision(outcome, obligations, redacted_text=REDACTED)
        with pytest.raises(pdp.Held) as held:
            pdp.enforce(response, request())
        assert held.value.prompts == ("Sure?", "Really?")
        permit = pdp.enforce(response, request(), confirmed=True)
        assert (permit.text, permit.prompts) == (REDACTED, ("Sure?", "Really?"))

    def test_a_prompt_without_an_obligation_holds(self) -> None:
        with pytest.raises(pdp.Held) as held:
            pdp.enforce(decision(pdp.OUTCOME_PROMPT, message="Ask first."), request())
        assert held.value.prompts == ("Ask first.",)


def held(response: pdp.DecideResponse, **more: Any) -> pdp.Held:
    with pytest.raises(pdp.Held) as error:
        pdp.enforce(response, request(), **more)
    return error.value


class TestApprovals:
    def test_a_request_that_needs_an_approval_is_held_even_if_confirmed(self) -> None:
        response = decision(pdp.OUTCOME_ESCALATE, [approval()])
        for confirmed in (False, True):
            error = held(response, confirmed=confirmed)
            assert error.approval == pdp.RequiredApproval(
                "01A", "May it?", datetime(2026, 11, 28, tzinfo=UTC), is_given=False, token="t0ken"
            )
            assert (error.prompts, error.reason) == ((), "May it?")

    def test_an_approval_holds_whatever_the_outcome(self) -> None:
        for outcome in (*PASSING, pdp.OUTCOME_PROMPT, pdp.OUTCOME_REDACT):
            response = decision(outcome, [approval(), redact(IN_TEXT)], redacted_text=REDACTED)
            assert held(response, confirmed=True).approval is not None

    @pytest.mark.parametrize(
        ("state", "is_given"), [("approved", True), ("pending", False), ("", False), ("new", False)]
    )
    def test_a_request_whose_approval_is_given_is_held_until_it_is_sent_again(
        self, state: str, is_given: bool
    ) -> None:
        error = held(decision(pdp.OUTCOME_ESCALATE, [approval(approval_state=state)]))
        assert error.approval is not None
        assert error.approval.is_given is is_given

    def test_the_token_is_not_shown(self) -> None:
        error = held(decision(pdp.OUTCOME_ESCALATE, [approval()]))
        assert "t0ken" not in f"{error!r} {error} {error.approval!r}"

    def test_an_approval_without_a_message_has_a_reason(self) -> None:
        response = decision(pdp.OUTCOME_ESCALATE, [approval(message=None)], message="Wait.")
        assert held(response).reason == "Wait."
        response = decision(pdp.OUTCOME_ESCALATE, [approval(message=None)])
        assert "second person" in held(response).reason

    @pytest.mark.parametrize("missing", ["approval_id", "token", "expires_at"])
    @pytest.mark.parametrize("outcome", [pdp.OUTCOME_ESCALATE, pdp.OUTCOME_ALLOW])
    def test_an_incomplete_approval_is_denied(self, missing: str, outcome: Any) -> None:
        response = decision(outcome, [approval(**{missing: None})])
        assert f"has no {missing}" in refusal(response)

    def test_an_escalation_without_its_obligation_is_denied(self) -> None:
        assert "no obligation" in refusal(decision(pdp.OUTCOME_ESCALATE))
        assert "no obligation" in refusal(decision(pdp.OUTCOME_ESCALATE, [prompt()]))

    def test_several_approvals_are_denied(self) -> None:
        both = [approval(), approval(approval_id="01B")]
        assert "several approvals" in refusal(decision(pdp.OUTCOME_ESCALATE, both))

    def test_an_expiry_that_is_no_time_is_denied(self) -> None:
        obligation = approval()
        obligation.expires_at.seconds = 1 << 60
        assert "does not exist" in refusal(decision(pdp.OUTCOME_ESCALATE, [obligation]))

    def test_an_approval_with_an_unknown_field_is_denied(self) -> None:
        raw = approval().SerializeToString() + bytes([15 << 3 | 2, 1]) + b"x"
        unknown = pdp.Obligation.FromString(raw)
        assert "not known" in refusal(decision(pdp.OUTCOME_ESCALATE, [unknown]))


class TestResume:
    """What is sent again after a person has answered."""

    def test_the_token_of_the_approval(self) -> None:
        asked = request(request_id="r")
        again = pdp.resume(
            asked, held(decision(pdp.OUTCOME_ESCALATE, [approval()], request_id="r"))
        )
        assert again.tokens == ["t0ken"]
        del again.tokens[:]
        assert again == asked

    def test_the_confirmation_only_if_the_user_has_confirmed(self) -> None:
        prompts = [prompt("Sure?", "c0nfirm"), prompt("Really?", "c0nfirm")]
        error = held(decision(pdp.OUTCOME_PROMPT, prompts))
        assert pdp.resume(request(), error, confirmed=True).tokens == ["c0nfirm"]
        with pytest.raises(ValueError, match="has not confirmed"):
            pdp.resume(request(), error)

    def test_both(self) -> None:
        error = held(decision(pdp.OUTCOME_ESCALATE, [approval(), prompt("Sure?", "c0nfirm")]))
        assert error.prompts == ("Sure?",)
        assert pdp.resume(request(), error).tokens == ["t0ken"]
        assert pdp.resume(request(), error, confirmed=True).tokens == ["t0ken", "c0nfirm"]

    def test_a_request_that_is_held_again_keeps_its_tokens(self) -> None:
        once = pdp.resume(request(), held(decision(pdp.OUTCOME_ESCALATE, [approval()])))
        asked = held(decision(pdp.OUTCOME_PROMPT, [prompt("Sure?", "c0nfirm")]))
        twice = pdp.resume(once, asked, confirmed=True)
        assert twice.tokens == ["t0ken", "c0nfirm"]
        same = pdp.resume(twice, asked, confirmed=True)
        assert same.tokens == twice.tokens
        assert once.tokens == ["t0ken"]

    def test_a_server_without_confirmations(self) -> None:
        """It is of an older version. `enforce(…, confirmed=True)` works with it."""
        error = held(decision(pdp.OUTCOME_PROMPT, [prompt()]))
        with pytest.raises(ValueError, match="no confirmation"):
            pdp.resume(request(), error, confirmed=True)


class TestDenials:
    """Even if the user has confirmed."""

    @pytest.mark.parametrize("outcome", [pdp.OUTCOME_BLOCK, pdp.OUTCOME_CANCEL])
    def test_a_stopped_request(self, outcome: Any) -> None:
        assert refusal(decision(outcome, message="No rivals.")) == "No rivals."
        assert refusal(decision(outcome, [prompt()])) == "The request is not allowed."

    @pytest.mark.parametrize("outcome", [0, 10, 99])
    @pytest.mark.parametrize("allowed", [False, True])
    def test_an_unknown_outcome(self, outcome: Any, allowed: bool) -> None:
        assert "is not known" in refusal(decision(outcome, allowed=allowed))

    def test_an_empty_response(self) -> None:
        assert "is not known" in refusal(pdp.DecideResponse())

    @pytest.mark.parametrize("outcome", pdp.Outcome.values()[1:])
    def test_a_contradiction(self, outcome: Any) -> None:
        allowed = decision(outcome).allowed
        assert "allowed is" in refusal(decision(outcome, allowed=not allowed))

    @pytest.mark.parametrize("kind", [0, 6, 99])
    def test_an_unknown_obligation(self, kind: Any) -> None:
        response = decision(obligations=[pdp.Obligation(type=kind, message="do this")])
        assert "the obligation" in refusal(response)

    def test_an_obligation_with_an_unknown_field(self) -> None:
        """It changes what the obligation asks for, and only newer clients know how."""
        raw = route().SerializeToString() + bytes([15 << 3 | 2, 1]) + b"x"
        unknown = pdp.Obligation.FromString(raw)
        assert "not known" in refusal(decision(pdp.OUTCOME_ROUTE_TO, [unknown]))
        span = pdp.Span.FromString(IN_TEXT.SerializeToString() + bytes([15 << 3, 1]))
        response = decision(pdp.OUTCOME_REDACT, [redact(span)], redacted_text=REDACTED)
        assert "not known" in refusal(response)

    @pytest.mark.parametrize(
        "obligation",
        [redact(), route(""), prompt(""), mask()],
        ids=["redact", "route", "ask", "mask"],
    )
    def test_an_obligation_that_does_not_say_what_to_do(self, obligation: pdp.Obligation) -> None:
        assert " has no " in refusal(decision(obligations=[obligation]))

    @pytest.mark.parametrize("outcome", [pdp.OUTCOME_REDACT, pdp.OUTCOME_ROUTE_TO])
    def test_an_outcome_without_its_obligation(self, outcome: Any) -> None:
        assert "no obligation" in refusal(decision(outcome))
        assert "no obligation" in refusal(decision(outcome, [prompt()]))

    def test_spans_without_a_redacted_text(self) -> None:
        assert "no redacted text" in refusal(decision(pdp.OUTCOME_REDACT, [redact(IN_TEXT)]))
        response = decision(pdp.OUTCOME_REDACT, [redact(IN_TEXT, IN_ARGUMENTS)])
        response.redacted_text = REDACTED
        assert "no redacted arguments" in refusal(response)

    @pytest.mark.parametrize("text", ["[]", "{", "", "null"])
    def test_redacted_arguments_that_are_no_object(self, text: str) -> None:
        response = decision(pdp.OUTCOME_REDACT, [redact(IN_ARGUMENTS)])
        response.redacted_arguments_json = text
        assert "not a JSON object" in refusal(response)

    @pytest.mark.parametrize("other", [route("b"), route("a", "azure")])
    def test_two_routes(self, other: pdp.Obligation) -> None:
        response = decision(pdp.OUTCOME_ROUTE_TO, [route("a"), other])
        assert "several models" in refusal(response)

    def test_a_field_that_cannot_be_masked(self) -> None:
        """It may be in a place that this client does not see, such as JSON in a string."""
        response = decision(pdp.OUTCOME_REDACT, [mask("ssn")])
        assert "no such field" in refusal(response)
        asked = request(arguments_json='{"query": "{\\"ssn\\": 1}"}')
        assert "no such field" in refusal(response, asked)

    def test_the_decision_of_another_request(self) -> None:
        response = decision(request_id="r2")
        assert "another request" in refusal(response, request(request_id="r1"))
        assert pdp.enforce(response, request(request_id="r2")).text == TEXT
        assert pdp.enforce(response, request()).text == TEXT


def test_all_errors_are_one_class() -> None:
    """A caller that handles neither of the two stops the request."""
    assert issubclass(pdp.Denied, pdp.NotPermitted)
    assert issubclass(pdp.Held, pdp.NotPermitted)


def test_every_outcome_and_obligation_of_the_contract_is_known() -> None:
    """If the contract gets another one, this client must learn what to do with it."""
    assert pdp.Outcome.values() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert pdp.ObligationType.values() == [0, 1, 2, 3, 4, 5]
    assert set(pdp.Obligation.DESCRIPTOR.fields_by_name) == {
        *("type", "replacement", "spans", "model", "message", "fields", "provider"),
        *("approval_id", "expires_at", "token", "confirmation", "approval_state"),
    }


class TestPayloads:
    BODY: Final = '{"messages": [{"role": "user", "content": "My card is 4111 1111 1111 1111."}]}'
    SAFE: Final = '{"messages": [{"role": "user", "content": "My card is [REDACTED]."}]}'
    IN_BODY: Final = pdp.Span(path="/messages/0/content", start=11, end=30)
    FORMAT: Final = "openai.chat_completions"

    def asked(self, **fields: Any) -> pdp.DecideRequest:
        return pdp.DecideRequest(payload=pdp.Payload(body=self.BODY), **fields)

    def test_an_allowed_payload_goes_out_as_it_is(self) -> None:
        permit = pdp.enforce(decision(payload_format=self.FORMAT), self.asked())
        assert (permit.payload, permit.text, permit.arguments) == (self.BODY, "", None)

    def test_the_redacted_payload_goes_out(self) -> None:
        response = decision(
            pdp.OUTCOME_REDACT,
            [redact(self.IN_BODY)],
            payload_format=self.FORMAT,
            redacted_payload=self.SAFE,
        )
        assert pdp.enforce(response, self.asked()).payload == self.SAFE

    def test_a_redaction_without_the_redacted_payload(self) -> None:
        response = decision(pdp.OUTCOME_REDACT, [redact(self.IN_BODY)], payload_format=self.FORMAT)
        assert "no redacted payload" in refusal(response, self.asked())

    def test_a_server_that_does_not_know_payloads(self) -> None:
        """It has ignored the field, and judged a request without content."""
        assert "does not know payloads" in refusal(decision(), self.asked())

    def test_fields_of_a_payload_are_not_masked(self) -> None:
        response = decision(obligations=[mask("ssn")], payload_format=self.FORMAT)
        assert "the field ssn must be masked" in refusal(response, self.asked())
        target = pdp.Target(fields=["ssn"])
        permit = pdp.enforce(response, self.asked(target=target))
        assert permit.mask({"ssn": "1"}) == {"ssn": "[MASKED]"}
