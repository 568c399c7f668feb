"""Asks for decisions on the requests and answers that Envoy passes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp.adapters.envoy.bodies import text_of
from pdp.adapters.envoy.event_streams import CHANGES, EventStream
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

if TYPE_CHECKING:
    from collections.abc import Collection

    from pdp.adapters.envoy.facts import Facts
    from pdp.adapters.mapping import Route, RouteMatch
    from pdp.transport.call import Call
    from pdp.transport.decide_port import DecidePort

REQUEST_ID: Final = "x-request-id"
MAX_REQUEST_ID: Final = 256
FORBIDDEN: Final = 403


NO_ROUTE: Final = ClientRefusal(
    FORBIDDEN, "ROUTE_NOT_FOUND", "No route of the mapping file is for this request."
)


class Judgement(NamedTuple):
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

    def route_of(self, facts: Facts) -> RouteMatch | None:
        """Returns the first route that is for a request; None if there is none.

        Raises:
            InvalidArgument: the path can be read in different ways.
        """
        return find_route(self._routes, facts.method, facts.host, facts.target)

    async def request(
        self,
        call: Call,
        found: RouteMatch,
        facts: Facts,
        body: bytes,
        supported: Collection[str] = (),
        *,
        history: str = "all",
    ) -> Judgement:
        """Judges an HTTP request.

        Args:
            call: Envoy's call.
            found: the route.
            facts: what is known of the request.
            body: its body; empty if the route has no payload.
            supported: the obligations that can be carried out, here or later.
            history: see the contract of payloads.

        Raises:
            PdpError: the request cannot be judged.
        """
        question = _question(found, facts)
        if found.route.request_payload != NONE:
            question.payload.format = payload_format(found.route.request_payload)
            question.payload.body = text_of(body)
            question.payload.history = history
        return _judgement(await self._port.decide(call, question), supported)

    async def answer(
        self, call: Call, found: RouteMatch, facts: Facts, body: bytes, format_: str
    ) -> Judgement:
        """Judges the body of an answer; `format_` is its format.

        Raises:
            PdpError: the answer cannot be judged.
        """
        question = _question(found, facts)
        question.direction = "output"
        question.payload.format = format_
        question.payload.body = text_of(body)
        return _judgement(await self._port.decide(call, question), CHANGES)

    def events(self, found: RouteMatch, facts: Facts, format_: str) -> EventStream:
        """Returns what judges an answer that is a stream of events.

        Raises:
            InvalidArgument: a required fact is not there.
        """
        question = _question(found, facts)
        question.direction = "output"
        question.payload.format = format_
        return EventStream(self._port, question)


def _question(found: RouteMatch, facts: Facts) -> pb.DecideRequest:
    """Returns a request with what the mapping file says, without a payload."""
    question = pb.DecideRequest(direction="input")
    view = facts.view._replace(path_variables=found.path_variables)
    fill_context(question, found.route.context, view)
    question.request_id = facts.view.headers.get(REQUEST_ID, "")[:MAX_REQUEST_ID]
    return question


def _judgement(decision: pb.DecideResponse, supported: Collection[str]) -> Judgement:
    if not may_pass(decision, supported):
        return Judgement(decision, refusal_of(decision))
    if supported == CHANGES:
        if decision.HasField("redacted_payload"):
            return Judgement(decision, body=decision.redacted_payload.encode())
        if decision.obligations:  # nothing says what to send in place of the body
            return Judgement(decision, refusal_of(decision))
    return Judgement(decision)


def facts_of_decision(decision: pb.DecideResponse) -> dict[str, str]:
    """Returns what dynamic metadata say of a decision; what is empty is left out."""
    return {name: value for name, value in facts_of(decision).items() if value}
