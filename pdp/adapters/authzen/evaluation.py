"""Access Evaluation and Access Evaluations."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp.adapters.approvals import decide_again, passes_later
from pdp.adapters.authzen.answers import approval_of, carried_out, error_answer, to_answer
from pdp.adapters.authzen.documents import (
    check_defaults,
    read_evaluation,
    with_defaults,
)
from pdp.adapters.authzen.mapping import renamed, to_message
from pdp.errors import (
    InvalidArgument,
    PdpError,
    RequestTooLarge,
    Unauthenticated,
    Violation,
)
from pdp.strictjson.problems import type_mismatch
from pdp.transport.admission import TENANT_HEADER
from pdp.transport.guards import settle_tenant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pdp.adapters.authzen.access_requests import AccessRequests
    from pdp.adapters.authzen.answers import JsonAnswer
    from pdp.adapters.authzen.documents import JsonObject
    from pdp.adapters.authzen.mapping import Mapped, ToolAction
    from pdp.decisions.decider import Decider
    from pdp.transport.call import Call
    from pdp.transport.decide_port import DecidePort

    _Item = Mapped | PdpError
    """One of several evaluations: the request for its decision, or why it cannot be asked."""

MAX_EVALUATIONS: Final = 1000
"""Evaluations of one request."""

MAX_BYTES: Final = 8 * 1024 * 1024
"""The size of all evaluations of one request, once each has its defaults."""

EXECUTE_ALL: Final = "execute_all"
DENY_ON_FIRST_DENY: Final = "deny_on_first_deny"
PERMIT_ON_FIRST_PERMIT: Final = "permit_on_first_permit"

SEMANTICS: Final = (EXECUTE_ALL, DENY_ON_FIRST_DENY, PERMIT_ON_FIRST_PERMIT)


class Evaluations:
    """Answers evaluations by decisions, which count and are recorded."""

    def __init__(
        self, port: DecidePort, decider: Decider, requests: AccessRequests | None = None
    ) -> None:
        """Takes what evaluations work with.

        Args:
            port: asks for decisions.
            decider: has the policies of tenants.
            requests: offers access requests with denials; None if the server takes none.
        """
        self._port = port
        self._decider = decider
        self._requests = requests

    async def evaluate(self, call: Call, document: JsonObject, *, large: bool) -> JsonAnswer:
        """Returns the answer to one evaluation.

        Args:
            call: the call, which has been admitted.
            document: the body.
            large: whether the body is so large that a thread converts it.

        Raises:
            PdpError: the document is no valid evaluation, or it cannot be evaluated now.
        """
        tool_action = await self._tool_action(call)
        if large:
            mapped = await asyncio.to_thread(self._mapped, document, tool_action)
        else:
            mapped = self._mapped(document, tool_action)
        try:
            response = await self._port.decide(call, mapped.message)
            return await self._answer(call, mapped, response)
        except InvalidArgument as error:
            raise renamed(error, mapped) from None

    async def evaluate_all(self, call: Call, document: JsonObject, *, large: bool) -> JsonAnswer:
        """Returns the answers to several evaluations, in order; to one, if there is no list.

        An evaluation that is not valid is denied in its place.

        Args:
            call: the call, which has been admitted.
            document: the body.
            large: whether the body is so large that a thread converts it.

        Raises:
            PdpError: the document as a whole is not valid, or it cannot be evaluated now.
        """
        items = _items_of(document)
        if not items:
            return await self.evaluate(call, document, large=large)
        semantic = _semantic_of(document)
        check_defaults(document)
        tool_action = await self._tool_action(call)
        read = await asyncio.to_thread(self._read_all, items, document, tool_action)
        if semantic == EXECUTE_ALL:
            answers = await self._execute_all(call, read)
        else:
            answers = await self._until(call, read, decision=semantic == PERMIT_ON_FIRST_PERMIT)
        return {"evaluations": answers}

    async def _tool_action(self, call: Call) -> ToolAction:
        """Returns the tenant's table of the actions of tools."""
        tenant_id = settle_tenant(call, "", TENANT_HEADER)
        return (await self._decider.snapshot(tenant_id)).tool_actions.action_of

    async def _execute_all(self, call: Call, items: list[_Item]) -> list[JsonAnswer]:
        asked = [each for each in items if not isinstance(each, PdpError)]
        responses = iter(await self._batch(call, asked))
        return [
            error_answer(each)
            if isinstance(each, PdpError)
            else await self._item_answer(call, each, next(responses))
            for each in items
        ]

    async def _item_answer(
        self, call: Call, mapped: Mapped, response: pb.DecideResponse
    ) -> JsonAnswer:
        """Returns the answer to one of several evaluations; if it fails, a denial in its place."""
        try:
            return await self._answer(call, mapped, response)
        except PdpError as error:
            return error_answer(error)

    async def _answer(self, call: Call, mapped: Mapped, response: pb.DecideResponse) -> JsonAnswer:
        """Returns the answer to an evaluation. If a person has approved it, the approval is used.

        Args:
            call: the call.
            mapped: the evaluation.
            response: the decision on it without the approval.

        Raises:
            PdpError: the approved evaluation cannot be decided now.
        """
        if self._is_approved(mapped, response):
            decide = partial(self._port.decide, call)
            response = await decide_again(decide, mapped.message, response)
        answer = to_answer(response, mapped)
        if self._requests is not None:
            answer["context"].update(self._requests.context(response, mapped))
        return answer

    def _is_approved(self, mapped: Mapped, response: pb.DecideResponse) -> bool:
        """Whether an evaluation passes with its approval, and refers to no other."""
        approval = approval_of(response)
        return (
            approval is not None
            and mapped.approval_id in {"", approval.approval_id}
            and passes_later(response, (), carried_out(mapped.supported))
        )

    async def _batch(self, call: Call, asked: list[Mapped]) -> Sequence[pb.DecideResponse]:
        if not asked:
            return ()
        batch = pb.DecideBatchRequest(requests=[each.message for each in asked])
        try:
            return (await self._port.decide_all(call, batch)).responses
        except InvalidArgument as error:
            places = [field.replace("requests", "evaluations", 1) for field, _ in error.violations]
            reasons = [reason for _, reason in error.violations]
            raise InvalidArgument.of(*map(Violation, places, reasons)) from None

    async def _until(self, call: Call, items: list[_Item], *, decision: bool) -> list[JsonAnswer]:
        """Evaluates one after the other, up to the first that is decided so."""
        answers: list[JsonAnswer] = []
        for index, item in enumerate(items):
            answers.append(await self._one(call, item, first=index == 0))
            if answers[-1]["decision"] is decision:
                break
        return answers

    async def _one(self, call: Call, item: _Item, *, first: bool) -> JsonAnswer:
        if isinstance(item, PdpError):
            return error_answer(item)
        try:
            if not first:  # each evaluation counts against the caller's rate
                call = self._port.call(call.metadata, call.transport, call.peer, call.deadline)
                self._port.admit(call)
            response = await self._port.decide(call, item.message)
            return await self._answer(call, item, response)
        except Unauthenticated:
            raise  # the credential has ended meanwhile
        except InvalidArgument as error:
            return error_answer(renamed(error, item))
        except PdpError as error:
            return error_answer(error)

    def _mapped(self, document: JsonObject, tool_action: ToolAction) -> Mapped:
        evaluation = read_evaluation(document)
        takes_approval = self._requests is not None
        return to_message(evaluation, tool_action, takes_approval=takes_approval)

    def _read_all(
        self, items: list[Any], defaults: JsonObject, tool_action: ToolAction
    ) -> list[_Item]:
        """Returns what each item asks for, or why it cannot be asked.

        Raises:
            RequestTooLarge: the items together are too large.
        """
        read: list[_Item] = []
        size = 0
        for index, item in enumerate(items):
            try:
                if not isinstance(item, dict):
                    path = f"evaluations[{index}]"
                    raise InvalidArgument.of(Violation(path, type_mismatch("an object", item)))
                mapped = self._mapped(with_defaults(item, defaults), tool_action)
            except InvalidArgument as error:
                read.append(error)
                continue
            size += mapped.message.ByteSize()
            if size > MAX_BYTES:
                raise RequestTooLarge(
                    f"the evaluations with their defaults are larger than {MAX_BYTES} bytes; "
                    "send fewer of them at once"
                )
            read.append(mapped)
        return read


def _items_of(document: JsonObject) -> list[Any]:
    items = document.get("evaluations", [])
    if type(items) is not list:
        raise InvalidArgument.of(Violation("evaluations", type_mismatch("an array", items)))
    if len(items) > MAX_EVALUATIONS:
        reason = f"must have at most {MAX_EVALUATIONS} items, not {len(items)}"
        raise InvalidArgument.of(Violation("evaluations", reason))
    return items


def _semantic_of(document: JsonObject) -> str:
    options = document.get("options", {})
    if not isinstance(options, Mapping):
        raise InvalidArgument.of(Violation("options", type_mismatch("an object", options)))
    semantic = options.get("evaluations_semantic", EXECUTE_ALL)
    if semantic not in SEMANTICS:
        reason = f"must be one of {', '.join(SEMANTICS)}"
        raise InvalidArgument.of(Violation("options.evaluations_semantic", reason))
    return str(semantic)
