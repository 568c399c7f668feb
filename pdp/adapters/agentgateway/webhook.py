"""The webhook of agentgateway's prompt guard: `POST /v1/agentgateway/request` and `/response`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp.adapters.agentgateway.facts import read_headers
from pdp.adapters.agentgateway.webhook_messages import (
    FORBIDDEN,
    TOO_MANY,
    mask,
    pass_on,
    read_prompt,
    reject,
)
from pdp.adapters.approvals import decide_approved
from pdp.adapters.mapping.refusals import ClientRefusal, refusal_of
from pdp.adapters.mapping.verdicts import may_pass, obligation_names
from pdp.errors import InvalidArgument, PdpError, RateLimited, Violation
from pdp.strictjson.objects import to_text
from pdp.strictjson.parsing import parse
from pdp.strictjson.problems import LONE_SURROGATE
from pdp.transport.admission import REQUEST_ID_HEADER
from pdp.transport.beside import run_beside
from pdp.transport.http.adapter_routes import AdapterRoute, adapter_route
from pdp.transport.http.fact_headers import read_tokens
from pdp.transport.http.requests import check_json
from pdp.transport.http.responses import HttpResponse, json_response
from pdp.transport.status import http_status

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pdp.adapters.agentgateway.webhook_messages import Prompt
    from pdp.transport.call import Call
    from pdp.transport.decide_port import DecidePort
    from pdp.transport.http.adapter_routes import Handle
    from pdp.transport.http.requests import HttpRequest

REQUEST: Final = "/v1/agentgateway/request"
RESPONSE: Final = "/v1/agentgateway/response"
FORMAT: Final = "openai.chat_completions"

MASK_RESPONSES: Final = "x-pdp-mask-responses"
"""The header with which the gateway says that it does not stream answers. It asks about streams in
pieces, and passes a piece on as it is if the answer is a mask."""


def webhook_routes(port: DecidePort) -> tuple[AdapterRoute, ...]:
    """Returns the routes of the webhook.

    Args:
        port: asks for decisions.
    """
    return tuple(
        AdapterRoute("POST", template, adapter_route(port, _handler(port, is_response), refuse))
        for template, is_response in ((REQUEST, False), (RESPONSE, True))
    )


def _handler(port: DecidePort, is_response: bool) -> Handle:
    async def handle(
        call: Call, request: HttpRequest, _variables: tuple[bytes, ...]
    ) -> HttpResponse:
        body = await request.body()
        check_json(request.headers)
        prompt, text = await run_beside(len(body), _read, body, is_response)
        message = pb.DecideRequest(
            direction="output" if is_response else "input",
            payload=pb.Payload(format=FORMAT, body=text),
        )
        masks = _masks(request.headers) or not is_response
        facts = {key: text for key, text in request.headers.items() if key != MASK_RESPONSES}
        read_headers(message, facts)
        tokens = read_tokens(facts)
        if not is_response:
            message.tokens.extend(tokens)
        decision = await decide_approved(partial(port.decide, call), message)
        answer = await run_beside(len(body), answer_of, prompt, decision, masks=masks)
        return json_response(200, answer, {REQUEST_ID_HEADER: call.request_id, **call.reply})

    return handle


def answer_of(prompt: Prompt, decision: pb.DecideResponse, *, masks: bool = True) -> dict[str, Any]:
    """Returns a decision in agentgateway's words.

    Args:
        prompt: what was judged.
        decision: the decision on it.
        masks: whether the gateway carries out a mask.
    """
    if may_pass(decision):
        return pass_on(f"decision {decision.decision_id}")
    if masks and may_pass(decision, ("REDACT",)) and decision.HasField("redacted_payload"):
        document = parse(decision.redacted_payload)
        redacted = _messages(document, is_response=prompt.is_response)
        answer = mask(prompt, redacted, f"decision {decision.decision_id}")
        if answer is not None:
            return answer
    refusal = refusal_of(decision, confirmable=not prompt.is_response)
    return _rejection(refusal, decision)


def _masks(headers: Mapping[str, str]) -> bool:
    value = headers.get(MASK_RESPONSES, "false")
    if value not in {"true", "false"}:
        raise InvalidArgument.of(Violation("X-PDP-Mask-Responses", "must be true or false"))
    return value == "true"


def _messages(document: Any, *, is_response: bool) -> list[Any]:
    if is_response:
        return [each["message"] for each in document["choices"]]
    messages: list[Any] = document["messages"]
    return messages


def _rejection(refusal: ClientRefusal, decision: pb.DecideResponse) -> dict[str, Any]:
    if decision.allowed:
        names = ", ".join(dict.fromkeys(obligation_names(decision))) or "a change"
        refusal = refusal._replace(
            status=FORBIDDEN,
            message=f"The policy requires {names}, which agentgateway cannot carry out here.",
        )
    reason = f"{refusal.reason}: decision {decision.decision_id}"
    if refusal.notice.approval_id:
        reason += f", approval {refusal.notice.approval_id} until {refusal.notice.expires_at}"
    return reject(refusal.status, refusal.body("openai").decode(), reason)


def refuse(error: PdpError, reply: Mapping[str, str]) -> HttpResponse:
    """Returns the refusal of a call on which there is no decision.

    Args:
        error: why there is none.
        reply: headers of the answer.
    """
    status = TOO_MANY if isinstance(error, RateLimited) else FORBIDDEN
    refusal = ClientRefusal(
        status, error.reason, "The request could not be checked against policies."
    )
    reason = f"{error.reason}: {error.message}"
    return json_response(
        http_status(error), reject(status, refusal.body("openai").decode(), reason), reply
    )


def _read(body: bytes | bytearray, is_response: bool) -> tuple[Prompt, str]:
    prompt = read_prompt(body, is_response=is_response)
    text = to_text(prompt.document())
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidArgument.of(Violation("body", LONE_SURROGATE)) from None
    return prompt, text
