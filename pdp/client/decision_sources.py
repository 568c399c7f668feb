"""Decisions for programs on an event loop: from a server, or from an engine in this process."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final, cast

from pdp._gen.pdp.v1 import simulate_pb2 as simulate_pb
from pdp.adapters.mcp.judge import DecisionFailed
from pdp.admin.workspace import Workspace
from pdp.audit.acknowledgements import LoopAcknowledgements
from pdp.bootstrap.policies import create_publisher, load_risk_table, open_policies
from pdp.bootstrap.recording import Recording, RecordingOptions
from pdp.client.base import CallFailed, rpc
from pdp.errors import AccessDenied, InvalidArgument, MalformedRequest, PdpError, RequestTooLarge
from pdp.server.resources import open_shared_counters
from pdp.server.security import local_services
from pdp.server.wiring import wire
from pdp.transport.call import Call

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Mapping

    from google.protobuf.message import Message

    from pdp._gen.pdp.v1 import decide_pb2 as pb
    from pdp.client.base import Client
    from pdp.config import Settings
    from pdp.detect.ner import NerEngine
    from pdp.transport.call import Endpoint

CONCURRENT_CALLS: Final = 16
"""Calls of a server at a time."""

_AT_FAULT: Final = frozenset(
    {InvalidArgument.reason, MalformedRequest.reason, RequestTooLarge.reason}
)
"""Error reasons that mean that the request is at fault."""


_SIMULATE_HINT: Final = (
    ". Lists are simulated, which requires the role auditor: give --auditor-key, or use "
    "--count-lists"
)


class RemoteDecisions:
    """Decisions of a server."""

    def __init__(self, client: Client, auditor: Client | None = None) -> None:
        """Args:
        client: makes decisions. Several threads may call it at a time.
        auditor: the client for simulations; None for the same one.
        """
        self._client = client
        self._auditor = auditor or client
        self._threads = ThreadPoolExecutor(CONCURRENT_CALLS, thread_name_prefix="decide")

    async def decide(self, request: pb.DecideRequest) -> pb.DecideResponse:
        """See `DecisionSource`."""
        return cast("pb.DecideResponse", await self._call("Decide", request, self._client))

    async def simulate(self, request: pb.DecideRequest) -> pb.DecideResponse:
        """See `DecisionSource`."""
        message = simulate_pb.SimulateRequest(request=request)
        try:
            reply = await self._call("Simulate", message, self._auditor)
        except DecisionFailed as failure:
            if failure.code == AccessDenied.reason:
                failure.message += _SIMULATE_HINT
            raise
        return cast("simulate_pb.SimulateResponse", reply).decision

    async def _call(self, name: str, message: Message, client: Client) -> Message:
        loop = asyncio.get_running_loop()
        try:
            reply = await loop.run_in_executor(self._threads, client.call, name, message)
        except CallFailed as failure:
            raise _failed(failure.code, failure.message) from None
        return reply.message

    def close(self) -> None:
        """Ends the threads when their calls have ended."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class LocalDecisions:
    """Decisions of an engine in this process. Made by `open_local`."""

    def __init__(self, endpoints: Mapping[str, Endpoint]) -> None:
        """Args:
        endpoints: the guarded endpoint of each RPC, by gRPC path.
        """
        self._endpoints = endpoints

    async def decide(self, request: pb.DecideRequest) -> pb.DecideResponse:
        """See `DecisionSource`."""
        return cast("pb.DecideResponse", await self._call("Decide", request))

    async def simulate(self, request: pb.DecideRequest) -> pb.DecideResponse:
        """See `DecisionSource`."""
        message = simulate_pb.SimulateRequest(request=request)
        return cast("simulate_pb.SimulateResponse", await self._call("Simulate", message)).decision

    async def _call(self, name: str, message: Message) -> Message:
        method = rpc(name)
        try:
            return await self._endpoints[method.path](Call(method, {}, "local"), message)
        except PdpError as error:
            raise _failed(error.reason, error.message) from None


@asynccontextmanager
async def open_local(
    settings: Settings, actor: str, ner: NerEngine | None = None
) -> AsyncIterator[LocalDecisions]:
    """Opens the database, and creates it if it does not exist. It follows what others write to it.

    Args:
        settings: name the database, and say how decisions are recorded.
        actor: who makes the calls; everything is allowed to them.
        ner: the models that find named entities; None for none.

    Raises:
        ConfigError: the database cannot be used; the message says what to do.
        StoreUnavailable: the database cannot be read or written now.
    """
    async with AsyncExitStack() as stack:
        store = open_policies(settings.store_url)
        stack.callback(store.close)
        publisher = create_publisher(store, load_risk_table(settings.risk_file))
        workspace = Workspace(store, publisher)
        stack.callback(workspace.close)
        acknowledgements = LoopAcknowledgements(asyncio.get_running_loop())
        recording = Recording(RecordingOptions.of(settings), acknowledgements)
        stack.push_async_callback(asyncio.to_thread, recording.close)
        if ner is not None:
            stack.callback(ner.close)
        wiring = wire(
            publisher,
            workspace,
            ner,
            local_services(actor),
            recording=recording,
            metering=open_shared_counters(settings),
        )
        await wiring.metering.start()
        stack.push_async_callback(wiring.metering.close)
        for loop in (workspace.follow(), wiring.metering.run()):
            stack.push_async_callback(_cancel, _started(loop))
        yield LocalDecisions(wiring.endpoints)


def _started(work: Coroutine[None, None, None]) -> asyncio.Task[None]:
    return asyncio.create_task(work)


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def _failed(code: str, message: str) -> DecisionFailed:
    return DecisionFailed(code, message, at_fault=code in _AT_FAULT)
