"""Decisions for information, on the policies in force: they neither count nor are recorded.

Limits take no part: what asks here is a part of a request that has passed them, or no request.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pdp.domain.layers import LIMITS
from pdp.domain.request import MCP_SERVER, Target
from pdp.errors import InvalidArgument
from pdp.messages.conversion import to_response
from pdp.payloads import formats
from pdp.payloads.payload import PayloadError
from pdp.strictjson.objects import to_text
from pdp.transport.guards import settle_tenant
from pdp.transport.servicers.request_conversion import convert, read_payload

if TYPE_CHECKING:
    from pdp._gen.pdp.v1 import decide_pb2 as pb
    from pdp.decisions.decider import Decider
    from pdp.domain.decision import Decision
    from pdp.domain.request import Request
    from pdp.engine.snapshot import Snapshot
    from pdp.transport.call import Call


class Simulator:
    """Simulates decisions for one caller."""

    def __init__(self, decider: Decider, snapshot: Snapshot, request: Request) -> None:
        """Takes the policies in force, and what all decisions have in common."""
        self._decider = decider
        self._snapshot = replace(
            snapshot,
            limits=None,
            layers=tuple(each for each in snapshot.layers if each.name != LIMITS),
        )
        self._request = request

    @classmethod
    async def of(cls, decider: Decider, call: Call, message: pb.DecideRequest) -> Simulator:
        """Returns a simulator for the caller and the subject of a message.

        Args:
            decider: simulates decisions.
            call: the call, which is admitted.
            message: the message. Its payload is not read.

        Raises:
            PdpError: the message is not valid, its tenant is not one of the credential, or the
                tenant's policies cannot be loaded.
        """
        call.tenant_id = settle_tenant(call, message.tenant_id, "tenant_id")
        request = await convert(
            decider.evaluator.heavy,
            message,
            call.tenant_id,
            message.request_id or call.request_id,
            caller=call.principal.caller,
            takes_payload=True,
        )
        snapshot = await decider.snapshot(call.tenant_id, deadline=call.deadline)
        return cls(decider, snapshot, request)

    async def decide(self, message: pb.DecideRequest) -> pb.DecideResponse:
        """Returns the decision on the payload of a message.

        Raises:
            InvalidArgument: the payload is not understood, or exceeds a bound.
            RateLimited: too many large requests of the tenant wait.
        """
        heavy = self._decider.evaluator.heavy
        if not message.HasField("payload"):
            simulation = await self._decider.simulate(self._snapshot, self._request)
        else:
            payload = await read_payload(heavy, self._request.tenant_id, message)
            simulation = await self._decider.simulate_payload(
                self._snapshot, self._request, payload, message.payload.history
            )
        return to_response(simulation.decision._replace(trace=()), message)

    async def decide_tool(self, tool: str, server: str) -> Decision:
        """Returns the decision on a call of an MCP tool without arguments.

        Args:
            tool: the name of the tool.
            server: the MCP server that has it; empty if that is not known.

        Raises:
            InvalidArgument: the name is none of a tool.
        """
        params = {"name": tool, "arguments": {}}
        call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        try:
            payload = formats.read_payload("mcp.jsonrpc", to_text(call), "input")
        except PayloadError as error:
            raise InvalidArgument(f"the name of a tool: {error}") from None
        request = self._request
        if server:
            request = request._replace(target=Target(MCP_SERVER, server))
        simulation = await self._decider.simulate_payload(self._snapshot, request, payload)
        return simulation.decision
