"""Refusals, in the form that the clients of a provider's API understand."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pdp.adapters.approvals import NO_NOTICE, HoldNotice, notice_of
from pdp.adapters.mapping.verdicts import outcome_name
from pdp.errors import RateLimited
from pdp.transport.http.responses import to_json
from pdp.transport.status import http_status

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pdp._gen.pdp.v1 import decide_pb2 as pb
    from pdp.errors import PdpError

FORBIDDEN: Final = 403
TOO_MANY: Final = 429
INTERNAL: Final = 500

DEFAULT_MESSAGE: Final = "The request is not allowed by policy."

_ANTHROPIC_TYPES: Final[Mapping[int, str]] = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}


class ClientRefusal(NamedTuple):
    """A refusal.

    Attributes:
        status: the HTTP status for the client, from 400 to 599.
        reason: the reason code.
        message: a sentence that is safe to show.
        decision_id: the id of the decision; empty if there was none.
        outcome: its outcome; empty if there was none.
        retry_after_s: the seconds until the request can pass; None if unknown.
        notice: what the client needs to go on, if the request waits for a person.
    """

    status: int
    reason: str
    message: str
    decision_id: str = ""
    outcome: str = ""
    retry_after_s: int | None = None
    notice: HoldNotice = NO_NOTICE

    def body(self, form: str) -> bytes:
        """Returns the JSON body of the refusal.

        Args:
            form: `openai`, `anthropic` or `pdp`.
        """
        return to_json(_FORMS[form](self))

    def headers(self) -> dict[str, str]:
        """Returns the headers of the refusal."""
        return {"content-type": "application/json", **self.retry_headers()}

    def retry_headers(self) -> dict[str, str]:
        """Returns the header that says when the request can pass; none if that is unknown."""
        return {} if self.retry_after_s is None else {"retry-after": str(self.retry_after_s)}


Refusal = ClientRefusal


def refusal_of(response: pb.DecideResponse, *, confirmable: bool = False) -> ClientRefusal:
    """Returns the refusal of a request that may not pass.

    The status is the one that the policy hints at; 403 if that is not one of a refusal.

    Args:
        response: the decision.
        confirmable: whether the client can send the confirmation of a prompt back.
    """
    hint = response.status_hint
    return ClientRefusal(
        status=hint if hint in range(400, 600) else FORBIDDEN,
        reason=response.reason_code or outcome_name(response),
        message=response.message or DEFAULT_MESSAGE,
        decision_id=response.decision_id,
        outcome=outcome_name(response),
        retry_after_s=response.retry_after_s if response.HasField("retry_after_s") else None,
        notice=notice_of(response, confirmable=confirmable),
    )


def refusal_of_error(error: PdpError) -> ClientRefusal:
    """Returns the refusal of a request on which there is no decision."""
    wait = math.ceil(error.retry_after_s) if isinstance(error, RateLimited) else None
    return ClientRefusal(http_status(error), error.reason, error.message, retry_after_s=wait)


def _openai(refusal: ClientRefusal) -> dict[str, Any]:
    if refusal.status == TOO_MANY:
        kind = "requests"
    else:
        kind = "server_error" if refusal.status >= INTERNAL else "invalid_request_error"
    error: dict[str, Any] = {
        "message": refusal.message,
        "type": kind,
        "param": None,
        "code": refusal.reason,
    }
    if refusal.decision_id:
        error["decision_id"] = refusal.decision_id
    return {"error": error | refusal.notice.facts()}


def _anthropic(refusal: ClientRefusal) -> dict[str, Any]:
    usual = "api_error" if refusal.status >= INTERNAL else "invalid_request_error"
    kind = _ANTHROPIC_TYPES.get(refusal.status, usual)
    error = {"type": kind, "message": refusal.message, "code": refusal.reason}
    error |= refusal.notice.facts()
    return {"type": "error", "error": error, "request_id": refusal.decision_id or None}


def _pdp(refusal: ClientRefusal) -> dict[str, Any]:
    error: dict[str, Any] = {"code": refusal.reason, "message": refusal.message, "details": []}
    body: dict[str, Any] = {"error": error}
    if refusal.decision_id:
        body |= {"decision_id": refusal.decision_id, "outcome": refusal.outcome}
    return body | refusal.notice.facts()


_FORMS: Final = {"openai": _openai, "anthropic": _anthropic, "pdp": _pdp}

FORMS: Final = tuple(_FORMS)
