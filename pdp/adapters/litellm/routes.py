"""The route of LiteLLM's generic guardrail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pdp.adapters.litellm.judge import GuardrailJudge
from pdp.adapters.litellm.messages import block
from pdp.adapters.litellm.requests import identity_fields
from pdp.errors import InvalidArgument, PdpError, Violation
from pdp.transport.admission import REQUEST_ID_HEADER
from pdp.transport.http.adapter_routes import AdapterRoute, adapter_route
from pdp.transport.http.requests import check_json
from pdp.transport.http.responses import HttpResponse, json_response
from pdp.transport.status import http_status

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pdp.config import Settings
    from pdp.decisions.decider import Decider
    from pdp.transport.call import Call
    from pdp.transport.decide_port import DecidePort
    from pdp.transport.http.requests import HttpRequest

TEMPLATE: Final = "/beta/litellm_basic_guardrail_api"
"""LiteLLM appends this path to the address of a guardrail."""

MASK_RESPONSES: Final = "x-pdp-mask-responses"
"""The header with which LiteLLM's configuration says that redactions in answers reach the client.
They do not on streams of most formats, nor on any stream by default."""

CONFIRMATIONS: Final = "x-pdp-confirmations"
"""The header with which LiteLLM's configuration says that it passes `X-PDP-Tokens` on. Only then do
refusals have confirmations, because LiteLLM writes refusals into its log."""

HISTORY: Final = "x-pdp-history"
"""The header with which LiteLLM's configuration says what happens to earlier messages."""

STATUS_HINT: Final = "x-pdp-status-hint"


def litellm_routes(
    port: DecidePort, decider: Decider, settings: Settings
) -> tuple[AdapterRoute, ...]:
    """Returns the routes of LiteLLM's guardrail.

    Args:
        port: asks for decisions.
        decider: simulates decisions on later rounds of streams.
        settings: which fields of LiteLLM say who asks.
    """
    judge = GuardrailJudge(port, decider, identity_fields(settings))

    async def handle(
        call: Call, request: HttpRequest, _variables: tuple[bytes, ...]
    ) -> HttpResponse:
        body = await request.body()
        check_json(request.headers)
        answer = await judge.answer(
            call,
            body,
            masks_responses=_is_on(request.headers, MASK_RESPONSES),
            confirms=_is_on(request.headers, CONFIRMATIONS),
            history=request.headers.get(HISTORY, ""),
        )
        return json_response(200, answer, {REQUEST_ID_HEADER: call.request_id, **call.reply})

    return (AdapterRoute("POST", TEMPLATE, adapter_route(port, handle, refuse)),)


def _is_on(headers: Mapping[str, str], name: str) -> bool:
    value = headers.get(name, "false")
    if value not in {"true", "false"}:
        raise InvalidArgument.of(Violation(name, "must be true or false"))
    return value == "true"


def refuse(error: PdpError, reply: Mapping[str, str]) -> HttpResponse:
    """Returns the refusal of a call on which there is no decision.

    It is a 200, because LiteLLM goes on after any other status if it is configured so.

    Args:
        error: why there is none.
        reply: headers of the answer.
    """
    request_id = reply.get(REQUEST_ID_HEADER, "")
    reason = f"There is no decision on this call: {error.reason}, {error.message}"
    return json_response(
        200,
        block(f"{reason} (request {request_id})"),
        {**reply, STATUS_HINT: str(http_status(error))},
    )
