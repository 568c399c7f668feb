"""Answers LiteLLM's questions."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from pdp.adapters.approvals import decide_approved, notice_of
from pdp.adapters.litellm import messages
from pdp.adapters.litellm.holdback import holdback_of
from pdp.adapters.litellm.payload import build_payload, redacted_texts
from pdp.adapters.litellm.requests import decide_request
from pdp.adapters.litellm.rounds import Rounds, findings_of
from pdp.adapters.mapping.verdicts import may_pass, obligation_names
from pdp.adapters.simulations import Simulator
from pdp.transport.admission import TENANT_HEADER
from pdp.transport.beside import run_beside

if TYPE_CHECKING:
    from pdp._gen.pdp.v1 import decide_pb2 as pb
    from pdp.adapters.litellm.messages import GuardrailQuestion
    from pdp.adapters.litellm.payload import BuiltPayload
    from pdp.adapters.litellm.requests import IdentityFields
    from pdp.decisions.decider import Decider
    from pdp.transport.call import Call
    from pdp.transport.decide_port import DecidePort

_TOKENS_HEADER: Final = "X-PDP-Tokens"

_IRREPLACEABLE: Final = "The policy redacts what LiteLLM cannot replace."


class GuardrailJudge:
    """Asks for the decision on a question, and says it in LiteLLM's words."""

    def __init__(self, port: DecidePort, decider: Decider, fields: IdentityFields) -> None:
        """Takes what the judge works with.

        Args:
            port: asks for decisions.
            decider: simulates the decisions on later rounds of streams.
            fields: which fields say who asks.
        """
        self._port = port
        self._decider = decider
        self._fields = fields
        self._rounds = Rounds()

    async def answer(
        self,
        call: Call,
        body: bytes | bytearray,
        *,
        masks_responses: bool,
        confirms: bool = False,
        history: str = "",
    ) -> dict[str, Any]:
        """Returns the answer to a message.

        Args:
            call: the call, which is admitted.
            body: the message.
            masks_responses: whether LiteLLM carries out redactions in answers of models.
            confirms: whether LiteLLM passes confirmations of its clients on.
            history: see the contract of payloads.

        Raises:
            PdpError: the message cannot be read, or there is no decision on it.
        """
        question, built = await run_beside(len(body), _read, body)
        request = decide_request(question, built, self._fields)
        request.payload.history = history
        decision = await self._decide(call, question, request)
        masks = masks_responses or not question.is_response
        return await run_beside(
            len(body),
            answer_of,
            question,
            built,
            decision,
            masks=masks,
            confirmable=confirms and not question.is_response,
        )

    async def _decide(
        self, call: Call, question: GuardrailQuestion, request: pb.DecideRequest
    ) -> pb.DecideResponse:
        decide = partial(self._port.decide, call)
        if not question.is_response:
            return await decide_approved(decide, request)
        tenant = request.tenant_id or call.metadata.get(TENANT_HEADER, "")
        key = (call.principal.name, tenant, question.call_id)
        previous = self._rounds.previous(key, question)
        if previous is not None:
            # Limits have let the first round pass, and do not stop the stream in its middle.
            call.request_id = request.request_id
            simulator = await Simulator.of(self._decider, call, request)
            decision = await simulator.decide(request)
            if not decision.incomplete and findings_of(decision) == previous.findings:
                self._rounds.remember(key, question, decision)
                return decision
        decision = await decide_approved(decide, request)
        self._rounds.remember(key, question, decision)
        return decision


def answer_of(
    question: GuardrailQuestion,
    built: BuiltPayload,
    decision: pb.DecideResponse,
    *,
    masks: bool = True,
    confirmable: bool = False,
) -> dict[str, Any]:
    """Returns a decision in LiteLLM's words.

    Args:
        question: what LiteLLM asked about.
        built: the payload that was judged.
        decision: the decision on it.
        masks: whether LiteLLM carries out redactions.
        confirmable: whether LiteLLM's client can send the confirmation of a prompt back.

    Raises:
        RequestTooLarge: a text is longer than one decision may judge.
    """
    if may_pass(decision):
        return messages.go_on(_holdback(question, built, decision, question.texts))
    if not masks or not may_pass(decision, ("REDACT",)):
        return messages.block(denial(decision, confirmable=confirmable))
    if not decision.HasField("redacted_payload"):
        return messages.block(denial(decision))
    texts = redacted_texts(built, decision.redacted_payload)
    if texts is None:
        return messages.block(f"{_IRREPLACEABLE} (decision {decision.decision_id})")
    return messages.replace_texts(texts, _holdback(question, built, decision, texts))


def denial(decision: pb.DecideResponse, *, confirmable: bool = False) -> str:
    """Returns why a decision stops a call, and how the client can go on.

    Args:
        decision: the decision.
        confirmable: whether the client can send the confirmation of a prompt back.
    """
    reason = decision.message
    if decision.allowed:
        names = ", ".join(dict.fromkeys(obligation_names(decision)))
        reason = f"The policy requires {names or 'a change'}, which LiteLLM cannot carry out here."
    reason = reason or decision.reason_code or "The request is not allowed by policy."
    notice = notice_of(decision, confirmable=confirmable)
    reason = f"{reason} (decision {decision.decision_id})"
    reason = notice.explain(reason, "send the request again")
    if notice.confirmation:
        confirmation = notice.confirmation.replace(".", messages.DOT)
        reason += f" {confirmation} in the header {_TOKENS_HEADER}"
    return f"{reason}, before {notice.expires_at}" if notice.expires_at else reason


def _holdback(
    question: GuardrailQuestion,
    built: BuiltPayload,
    decision: pb.DecideResponse,
    redacted: tuple[str, ...],
) -> list[int] | None:
    if not question.is_response:
        return None
    obligations = list(decision.obligations)
    return [
        holdback_of(text, after, pointer, obligations)
        for text, after, pointer in zip(question.texts, redacted, built.pointers, strict=True)
    ]


def _read(body: bytes | bytearray) -> tuple[GuardrailQuestion, BuiltPayload]:
    question = messages.read_question(body)
    return question, build_payload(question)
