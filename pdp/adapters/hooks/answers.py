"""Answers a webhook, as the mapping file describes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pdp.adapters.hooks.requests import takes_tokens
from pdp.adapters.mapping import may_pass, refusal_of, refusal_of_error
from pdp.adapters.mapping.templates import REDACTED, render
from pdp.adapters.mapping.verdicts import outcome_name
from pdp.jsonpb import decode_json
from pdp.strictjson.objects import to_text
from pdp.transport.http.headers import JSON_HEADERS
from pdp.transport.http.responses import NO_CONTENT, HttpResponse, reply_headers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pdp._gen.pdp.v1 import decide_pb2 as pb
    from pdp.adapters.hooks.requests import HookRequest
    from pdp.adapters.mapping import Answer, ClientRefusal, Hook
    from pdp.errors import PdpError

REDACT: Final = "REDACT"
BLOCK: Final = "BLOCK"
FORBIDDEN: Final = 403
CLIENT_ERRORS: Final = range(400, 500)


def answer_decision(
    hook: Hook, asked: HookRequest, response: pb.DecideResponse, reply: Mapping[str, str]
) -> HttpResponse:
    """Returns the answer to a webhook.

    Args:
        hook: how the answer looks.
        asked: what the webhook asked.
        response: the decision.
        reply: headers of the answer.
    """
    facts = _facts(response)
    if may_pass(response):
        return _answer(hook.answers.allow, facts, reply)
    redacted = _redacted(asked, response)
    if hook.answers.redact and redacted is not None and may_pass(response, (REDACT,)):
        return _answer(hook.answers.redact, {**facts, REDACTED: redacted}, reply)
    refusal = refusal_of(response, confirmable=takes_tokens(asked.message))
    return _answer(hook.answers.deny, {**facts, **_denial(refusal)}, reply)


def answer_error(hook: Hook, error: PdpError, reply: Mapping[str, str]) -> HttpResponse:
    """Returns the denial of a webhook on which there is no decision. Its status is never 2xx.

    Args:
        hook: how the answer looks.
        error: why there is no decision.
        reply: headers of the answer.
    """
    refusal = refusal_of_error(error)
    facts = {
        "decision_id": "",
        "outcome": BLOCK,
        "reason_code": refusal.reason,
        "message": refusal.message,
        "status_hint": refusal.status,
    }
    status = refusal.status if refusal.status in CLIENT_ERRORS else FORBIDDEN
    return _json(status, render(hook.answers.deny.body, facts), reply)


def _answer(answer: Answer, facts: Mapping[str, Any], reply: Mapping[str, str]) -> HttpResponse:
    return _json(answer.status, render(answer.body, facts), reply)


def _json(status: int, value: Any, reply: Mapping[str, str]) -> HttpResponse:
    headers = JSON_HEADERS + reply_headers(reply)
    # A payload may have integers of any size, which faster encoders refuse.
    body = b"" if status == NO_CONTENT else to_text(value).encode()
    return HttpResponse(status, headers, body)


def _facts(response: pb.DecideResponse) -> dict[str, Any]:
    return {
        "decision_id": response.decision_id,
        "outcome": outcome_name(response),
        "reason_code": response.reason_code,
        "message": response.message,
        "status_hint": response.status_hint,
    }


def _denial(refusal: ClientRefusal) -> dict[str, Any]:
    """Returns the facts of a denial that a decision may leave empty."""
    return {
        **refusal.notice.facts(),
        "reason_code": refusal.reason,
        "message": refusal.message,
        "status_hint": refusal.status,
    }


def _redacted(asked: HookRequest, response: pb.DecideResponse) -> Any:
    """Returns what takes the place of the text or the payload; None if nothing does."""
    if not asked.message.HasField("payload"):
        return response.redacted_text if response.HasField("redacted_text") else None
    if not response.HasField("redacted_payload"):
        return None
    text = response.redacted_payload
    return text if asked.as_text else decode_json(text.encode())
