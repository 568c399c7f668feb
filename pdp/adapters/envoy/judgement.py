"""Asks for decisions on the requests and answers that Envoy passes on."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp.adapters.approvals import decide_approved, passes_later
from pdp.adapters.envoy.bodies import text_of
from pdp.adapters.envoy.event_streams import CHANGES, AnswerEvents
from pdp.adapters.envoy.routing import ROUTE_TO, may_route, routed
from pdp.adapters.mapping import (
    ClientRefusal,
    fill_context,
    find_route,
    may_pass,
    payload_format,
    refusal_of,
)
from pdp.adapters.mapping.routes import NONE
from pdp.adapters.mapping.verdicts import facts_of
from pdp.transport.http.fact_headers import TOKENS, read_tokens

if TYPE_CHECKING:
    from collections.abc import Collection

    from pdp.adapters.envoy.facts import RequestFacts
    from pdp.adapters.mapping import Route, RouteMatch
    from pdp.transport.call import Call
    from pdp.transport.decide_port import DecidePort

REQUEST_ID: Final = "x-request-id"
MAX_REQUEST_ID: Final = 256
FORBIDDEN: Final = 403
ALL: Final = "all"


NO_ROUTE: Final = ClientRefusal(
    FORBIDDEN, "ROUTE_NOT_FOUND", "No route of the mapping file is for this request."
)


class JudgedTraffic(NamedTuple):
    """What becomes of a request or an answer.

    Attributes:
        decision: the decision.
        refusal: if it may not pass.
        body: what passes in place of the body; None for the body as it is.
    """

    decision: pb.DecideResponse
    refusal: ClientRefusal | None = None
    body: bytes | None = None


class Judge:
    """Asks for decisions as the mapping file says."""

    def __init__(self, port: DecidePort, routes: tuple[Route, ...]) -> None:
        """Args:
        port: asks for decisions.
        routes: of the mapping file.
        """
        self._port = port
        self._routes = routes

    def route_of(self, facts: RequestFacts) -> RouteMatch | None:
        """Returns the first route that is for a request; None if there is none.

        Raises:
            InvalidArgument: the path can be read in different ways.
        """
        return find_route(self._routes, facts.method, facts.host, facts.target)

    async def check(
        self,
        call: Call,
        found: RouteMatch,
        facts: RequestFacts,
        body: bytes,
        later: Collection[str],
    ) -> JudgedTraffic:
        """Judges an HTTP request whose body cannot be changed here.

        Args:
            call: Envoy's call.
            found: the route.
            facts: what is known of the request.
            body: its body; empty if the route has no payload.
            later: the obligations that are carried out later, when the request is judged again. If
                there are none, all of the history is judged. Otherwise approvals and confirmations
                are left for later, because they are used once.

        Raises:
            PdpError: the request cannot be judged.
        """
        question = _request_question(found, facts, body, found.route.history if later else ALL)
        if not later:
            decision = await decide_approved(partial(self._port.decide, call), question)
            return _left_to_others(decision, ())
        tokens = list(question.tokens)
        question.ClearField("tokens")
        decision = await self._port.decide(call, question)
        if passes_later(decision, tokens, _types_of(later)):
            return JudgedTraffic(decision)
        return _left_to_others(decision, later)

    async def request(
        self, call: Call, found: RouteMatch, facts: RequestFacts, body: bytes
    ) -> JudgedTraffic:
        """Judges an HTTP request whose body can be changed; see `check`."""
        question = _request_question(found, facts, body, found.route.history)
        supported = (*CHANGES, ROUTE_TO) if may_route(call.metadata) else CHANGES
        decision = await decide_approved(partial(self._port.decide, call), question)
        return _carried_out(decision, supported, question.payload.body, confirmable=True)

    async def answer(
        self, call: Call, found: RouteMatch, facts: RequestFacts, body: bytes, format_: str
    ) -> JudgedTraffic:
        """Judges the body of an answer; `format_` is its format.

        Raises:
            PdpError: the answer cannot be judged.
        """
        question = _question(found, facts)
        question.direction = "output"
        question.payload.format = format_
        question.payload.body = text_of(body)
        decision = await decide_approved(partial(self._port.decide, call), question)
        return _carried_out(decision, CHANGES, question.payload.body)

    def events(self, found: RouteMatch, facts: RequestFacts, format_: str) -> AnswerEvents:
        """Returns what judges an answer that is a stream of events.

        Raises:
            InvalidArgument: a required fact is not there.
        """
        question = _question(found, facts)
        question.direction = "output"
        question.payload.format = format_
        return AnswerEvents(self._port, question)


def _question(found: RouteMatch, facts: RequestFacts) -> pb.DecideRequest:
    """Returns a request with what the mapping file says, without a payload and tokens."""
    question = pb.DecideRequest(direction="input")
    view = facts.view._replace(path_variables=found.path_variables)
    fill_context(question, found.route.context, view)
    question.request_id = facts.view.headers.get(REQUEST_ID, "")[:MAX_REQUEST_ID]
    return question


def _request_question(
    found: RouteMatch, facts: RequestFacts, body: bytes, history: str
) -> pb.DecideRequest:
    """Returns the request about an HTTP request.

    Raises:
        InvalidArgument: the body is no text, a required fact is not there, or what the client sends
            as tokens is none.
    """
    question = _question(found, facts)
    question.tokens.extend(read_tokens({TOKENS: facts.tokens}))
    if found.route.request_payload != NONE:
        question.payload.format = payload_format(found.route.request_payload)
        question.payload.body = text_of(body)
        question.payload.history = history
    return question


def _left_to_others(decision: pb.DecideResponse, supported: Collection[str]) -> JudgedTraffic:
    """Returns the judgement if the obligations are carried out elsewhere."""
    if may_pass(decision, supported):
        return JudgedTraffic(decision)
    return JudgedTraffic(decision, refusal_of(decision, confirmable=True))


def _types_of(obligations: Collection[str]) -> list[int]:
    return [pb.ObligationType.Value(f"OBLIGATION_TYPE_{each}") for each in obligations]


def _carried_out(
    decision: pb.DecideResponse,
    supported: Collection[str],
    sent: str,
    *,
    confirmable: bool = False,
) -> JudgedTraffic:
    """Returns the judgement with the body in which the obligations are carried out.

    Args:
        decision: the decision.
        supported: the obligations that can be carried out.
        sent: the body as it was sent.
        confirmable: whether the client can send the confirmation of a prompt back.
    """
    if not may_pass(decision, supported):
        return JudgedTraffic(decision, refusal_of(decision, confirmable=confirmable))
    is_redacted = decision.HasField("redacted_payload")
    redacts = any(each.type == pb.OBLIGATION_TYPE_REDACT for each in decision.obligations)
    body = routed(decision, decision.redacted_payload if is_redacted else sent)
    if body is None or redacts > is_redacted:  # nothing says what to send in place of the body
        return JudgedTraffic(decision, refusal_of(decision))
    return JudgedTraffic(decision, body=None if body == sent else body.encode())


def facts_of_decision(decision: pb.DecideResponse) -> dict[str, str]:
    """Returns what dynamic metadata say of a decision; what is empty is left out."""
    return {name: value for name, value in facts_of(decision).items() if value}
