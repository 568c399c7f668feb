"""Calls the server's own endpoints in this process: the same guards, no wire and no server."""

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
from pdp.server.security import for_owner
from pdp.server.wiring import wire
from pdp.store import default_audit_url
from pdp.transport.call import Call
from pdp.transport.response_streams import sent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Iterator
    from pathlib import Path
    from types import TracebackType

    from google.protobuf.message import Message

    from pdp.detect.ner import NerEngine

_UNAVAILABLE = (StoreUnavailable, RevisionUnavailable, InternalError)


class LocalClient:
    """A `Caller` of the endpoints on a database."""

    def __init__(
        self,
        database_url: str,
        *,
        risk_file: Path | None = None,
        actor: str = "dev-admin",
        records: RecordingOptions | None = None,
        ner: NerEngine | None = None,
    ) -> None:
        """Opens the database, made where it is not there.

        Args:
            database_url: `sqlite:///PATH`.
            risk_file: TOML file that replaces risk points.
            actor: who changes what, in the change log. Who has the database may do anything.
            records: how decisions are recorded; where None, durably, beside the database.
            ner: the models that find named entities; None for none. It is closed with this.

        Raises:
            ConfigError: it cannot be used; the message says what to do.
            StoreUnavailable: it cannot be read or written now.

        """
        risk = load_risk_table(risk_file)
        with ExitStack() as undo:
            store = open_policies(database_url)
            undo.callback(store.close)
            publisher = create_publisher(store, risk)
            workspace = Workspace(store, publisher)
            undo.callback(workspace.close)
            # Each call brings the loop as far as its answer; between calls nothing runs.
            self._runner = undo.enter_context(asyncio.Runner())
            tickets = LoopAcknowledgements(self._runner.get_loop())
            keeping = Recording(
                records or RecordingOptions(default_audit_url(database_url)), tickets
            )
            undo.callback(keeping.close)
            if ner is not None:
                undo.callback(ner.close)
            wiring = wire(publisher, workspace, ner, for_owner(actor), keeping=keeping)
            self._endpoints = wiring.endpoints
            self._runner.run(wiring.metering.sync())
            undo.callback(lambda: self._runner.run(wiring.metering.close()))
            self._end = undo.pop_all()

    def call(self, name: str, message: Message, tenant_id: str = "") -> Reply:
        """See `Caller.call`."""
        method = rpc(name)
        call = Call(method, {"x-tenant-id": tenant_id} if tenant_id else {}, "local")
        work: Coroutine[Any, Any, Message] = self._call(call, message)
        try:
            return Reply(self._runner.run(work), call.reply)
        except PdpError as error:
            raise CallFailed.of(error, unavailable=isinstance(error, _UNAVAILABLE)) from None

    def stream(self, name: str, message: Message, tenant_id: str = "") -> Iterator[Message]:
        """See `Caller.stream`."""
        call = Call(rpc(name), {"x-tenant-id": tenant_id} if tenant_id else {}, "local")
        try:
            self._runner.run(self._call(call, message))
            messages = sent(call)
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
        self._end.close()


async def _next(messages: AsyncIterator[Message]) -> Message | None:
    return await anext(messages, None)
