"""ext_authz: Envoy asks before it sends a request on. The body cannot be changed here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pdp.adapters.envoy.answers import denied_check, passed_check
from pdp.adapters.envoy.bodies import check_encoding, check_length, check_size
from pdp.adapters.envoy.facts import PARTIAL_BODY, facts_of_check
from pdp.adapters.envoy.judgement import NO_ROUTE, facts_of_decision
from pdp.adapters.mapping import added_headers, refusal_of_error
from pdp.adapters.mapping.routes import NONE
from pdp.errors import MalformedRequest, PdpError, RequestTooLarge
from pdp.transport.http.fact_headers import TOKENS

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from pdp.adapters.envoy.facts import RequestFacts
    from pdp.adapters.envoy.judgement import Judge
    from pdp.adapters.mapping import RouteMatch
    from pdp.transport.call import Call

LATER: Final = ("REDACT", "MASK_FIELDS", "ROUTE_TO")
"""The obligations that are left to ext_proc, if it follows on the route."""

REQUEST_JUDGED: Final = "request_judged"
"""The dynamic metadata with which ext_authz says to ext_proc that it has judged the request."""


class Authorization:
    """Answers `envoy.service.auth.v3.Authorization/Check`."""

    def __init__(self, judge: Judge) -> None:
        """Args:
        judge: asks for decisions.
        """
        self._judge = judge

    async def check(self, call: Call, message: Message) -> Message:
        """Returns whether a request may pass.

        Raises:
            MalformedRequest: the message has no HTTP request.
        """
        check: Any = message
        if not check.attributes.request.http.method:
            raise MalformedRequest("attributes.request.http: is missing; ext_authz is for HTTP")
        facts = facts_of_check(check)
        found: RouteMatch | None = None
        try:
            found = self._judge.route_of(facts)
            if found is None:
                return _message(denied_check(NO_ROUTE, None, {"reason_code": NO_ROUTE.reason}))
            return await self._answer(call, found, facts, check.attributes.request.http)
        except PdpError as error:
            route = found.route if found is not None else None
            metadata = {"reason_code": error.reason}
            return _message(denied_check(refusal_of_error(error), route, metadata))

    async def _answer(
        self, call: Call, found: RouteMatch, facts: RequestFacts, http: Any
    ) -> Message:
        route = found.route
        body = http.raw_body or http.body.encode()
        if route.request_payload != NONE:
            _check_body(facts, body)
        later = LATER if route.ext_proc_follows else ()
        judgement = await self._judge.check(call, found, facts, body, later)
        metadata: dict[str, Any] = dict(facts_of_decision(judgement.decision))
        if judgement.refusal is not None:
            return _message(denied_check(judgement.refusal, route, metadata))
        metadata[REQUEST_JUDGED] = not judgement.decision.obligations
        headers = added_headers(route.add_headers, judgement.decision)
        # If ext_proc judges the request again, it needs the confirmations, and removes them.
        remove = () if route.ext_proc_follows else (TOKENS,)
        return _message(passed_check(headers, metadata, remove))


def _check_body(facts: RequestFacts, body: bytes) -> None:
    headers = facts.view.headers
    if headers.get(PARTIAL_BODY, "false").strip().lower() != "false":
        raise RequestTooLarge(
            "body: Envoy has sent only a part; raise max_request_bytes of with_request_body"
        )
    check_encoding(headers)
    check_size(len(body))
    check_length(headers, len(body))


def _message(answer: Any) -> Message:
    message: Message = answer
    return message
