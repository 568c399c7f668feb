"""ext_proc: Envoy passes requests and answers on, which may be changed or refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pdp.adapters.envoy.answers import immediate
from pdp.adapters.envoy.bodies import Budget
from pdp.adapters.envoy.exchange import Exchange
from pdp.adapters.mapping import refusal_of_error
from pdp.errors import InternalError, RateLimited

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from pdp.adapters.envoy.judgement import Judge
    from pdp.transport.call import Call

_EXCHANGE: Final = "envoy.exchange"


class Processing:
    """Answers `envoy.service.ext_proc.v3.ExternalProcessor/Process`, message by message."""

    def __init__(self, judge: Judge, budget: Budget | None = None) -> None:
        """Args:
        judge: asks for decisions.
        budget: what all requests together may hold.
        """
        self._judge = judge
        self._budget = budget or Budget()

    async def process(self, call: Call, message: Message) -> Message:
        """Returns the answer to the next message of a stream.

        Raises:
            InvalidArgument: Envoy would not wait for the answer.
        """
        session = call.session
        if session is None:
            raise InternalError("a message without its stream")
        exchange = session.state.get(_EXCHANGE)
        if exchange is None:
            try:
                self._budget.open()
            except RateLimited as error:
                refused: Message = immediate(refusal_of_error(error), None, {})
                return refused
            exchange = session.state[_EXCHANGE] = Exchange(self._judge, self._budget)
            session.at_end(exchange.end)
            session.at_end(self._budget.close)
        answer: Message = await exchange.answer(call, message)
        return answer
