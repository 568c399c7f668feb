"""Calls the endpoints of the server in this process: the same guards, but no network."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

from pdp.admin.workspace import Workspace
from pdp.audit.acknowledgements import LoopAcknowledgements
from pdp.bootstrap.policies import create_publisher, load_risk_table, open_policies
from pdp.bootstrap.recording import Recording, RecordingOptions
from pdp.client.base import CallFailed, Reply, rpc
from pdp.errors import InternalError, PdpError, RevisionUnavailable, StoreUnavailable
from pdp.server.security import local_services
from pdp.server.wiring import wire
from pdp.transport.call import Call
from pdp.transport.response_streams import stream_messages

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Iterator
    from pathlib import Path
    from types import TracebackType

    from google.protobuf.message import Message

    from pdp.detect.ner import NerEngine

_UNAVAILABLE = (StoreUnavailable, RevisionUnavailable, InternalError)


class LocalClient:
    """A `Client` of the endpoints, on a database that it opens itself."""

    def __init__(
        self,
        database_url: str,
        *,
        risk_file: Path | None = None,
        actor: str = "dev-admin",
        records: RecordingOptions | None = None,
        ner: NerEngine | None = None,
        recording: bool = True,
    ) -> None:
        """Opens the database; creates it if it does not exist.

        Args:
            database_url: see `pdp.store.open_store`.
            risk_file: a TOML file that replaces risk points.
            actor: the actor that the change log names. It may do everything, because it has access
                to the database itself.
            records: how to record decisions; None for durably, in a log next to the database.
            ner: the models that find named entities; None for none. The client closes them.
            recording: whether decisions are recorded; False for a client that makes none.

        Raises:
            ConfigError: the database cannot be used; the message says what to do.
            StoreUnavailable: the database cannot be read or written now.
        """
        risk = load_risk_table(risk_file)
        with ExitStack() as resources:
            store = open_policies(database_url)
            resources.callback(store.close)
            publisher = create_publisher(store, risk)
            workspace = Workspace(store, publisher)
            resources.callback(workspace.close)
            # The loop runs only during a call; nothing runs between calls.
            self._runner = resources.enter_context(asyncio.Runner())
            recorded = None
            if recording:
                acknowledgements = LoopAcknowledgements(self._runner.get_loop())
                options = records or RecordingOptions.beside(database_url)
                recorded = Recording(options, acknowledgements)
                resources.callback(recorded.close)
            if ner is not None:
                resources.callback(ner.close)
            wiring = wire(publisher, workspace, ner, local_services(actor), recording=recorded)
            self._endpoints = wiring.endpoints
            self._runner.run(wiring.metering.start())
            resources.callback(lambda: self._runner.run(wiring.metering.close()))
            self._resources = resources.pop_all()

    def call(self, name: str, message: Message, tenant_id: str = "") -> Reply:
        """See `Client.call`."""
        method = rpc(name)
        call = Call(method, {"x-tenant-id": tenant_id} if tenant_id else {}, "local")
        work: Coroutine[Any, Any, Message] = self._call(call, message)
        try:
            return Reply(self._runner.run(work), call.reply)
        except PdpError as error:
            raise CallFailed.of(error, unavailable=isinstance(error, _UNAVAILABLE)) from None

    def stream(self, name: str, message: Message, tenant_id: str = "") -> Iterator[Message]:
        """See `Client.stream`."""
        call = Call(rpc(name), {"x-tenant-id": tenant_id} if tenant_id else {}, "local")
        try:
            self._runner.run(self._call(call, message))
            messages = stream_messages(call)
            while (each := self._runner.run(_next(messages))) is not None:
                yield each
        except PdpError as error:
            raise CallFailed.of(error, unavailable=isinstance(error, _UNAVAILABLE)) from None

    async def _call(self, call: Call, message: Message) -> Message:
        return await self._endpoints[call.method.path](call, message)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._resources.close()


async def _next(messages: AsyncIterator[Message]) -> Message | None:
    return await anext(messages, None)
