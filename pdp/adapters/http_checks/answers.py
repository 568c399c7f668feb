"""The answers of HTTP checks: 200 only for a request that may pass, and never 5xx.

nginx takes every status other than 200, 401 and 403 for an outage, Envoy takes 5xx for one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pdp.adapters.approvals import without_approval_tokens
from pdp.adapters.mapping.refusals import TOO_MANY, refusal_of, refusal_of_error
from pdp.adapters.mapping.verdicts import added_headers, outcome_name
from pdp.jsonpb import encode
from pdp.transport.http.headers import JSON_HEADERS
from pdp.transport.http.responses import HttpResponse, json_response, reply_headers
from pdp.transport.status import envelope

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pdp._gen.pdp.v1 import decide_pb2 as pb
    from pdp.adapters.mapping import Route
    from pdp.errors import PdpError

OK: Final = 200
UNAUTHENTICATED: Final = 401
FORBIDDEN: Final = 403

MAX_OBLIGATIONS: Final = 16


def passed(
    response: pb.DecideResponse, reply: Mapping[str, str], route: Route | None
) -> HttpResponse:
    """Returns the answer for a request that may pass.

    Args:
        response: the decision, which is the body.
        reply: headers of the answer.
        route: the route in the mapping file; None for none.
    """
    headers = {**reply, **_decision_headers(response, OK), **_added(route, response)}
    return json_response(OK, encode(response), headers)


def denied(
    response: pb.DecideResponse, reply: Mapping[str, str], route: Route | None
) -> HttpResponse:
    """Returns the answer for a request that may not pass; see `passed`."""
    refusal = refusal_of(response, confirmable=True)
    notice = refusal.notice.facts()
    headers = {
        **reply,
        **_decision_headers(response, refusal.status),
        "x-pdp-reason": refusal.reason,
        **{f"x-pdp-{name.replace('_', '-')}": value for name, value in notice.items()},
        **refusal.retry_headers(),
        **_added(route, response),
    }
    status = TOO_MANY if refusal.status == TOO_MANY else FORBIDDEN
    if route is None:
        return json_response(status, encode(without_approval_tokens(response)), headers)
    return HttpResponse(status, JSON_HEADERS + reply_headers(headers), refusal.body(route.refusal))


def refused(error: PdpError, reply: Mapping[str, str]) -> HttpResponse:
    """Returns the answer if there is no decision: a denial.

    It is 401 only for the credential of the gateway itself.
    """
    refusal = refusal_of_error(error)
    status = refusal.status if refusal.status in (UNAUTHENTICATED, TOO_MANY) else FORBIDDEN
    headers = {
        **reply,
        "x-pdp-status-hint": str(refusal.status),
        "x-pdp-reason": refusal.reason,
        **refusal.retry_headers(),
    }
    return json_response(status, envelope(error), headers)


def _decision_headers(response: pb.DecideResponse, status: int) -> dict[str, str]:
    headers = {
        "x-pdp-outcome": outcome_name(response),
        "x-pdp-decision-id": response.decision_id,
        "x-pdp-status-hint": str(status),
        "x-pdp-reason": response.reason_code,
    }
    return {name: value for name, value in headers.items() if value}


def _added(route: Route | None, response: pb.DecideResponse) -> dict[str, str]:
    return added_headers(route.add_headers, response) if route else {}
