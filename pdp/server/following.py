"""A server that decides by the policies of another one (docs/following.md)."""

from __future__ import annotations

import asyncio
from base64 import b64decode
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, cast

from pdp.audit.acknowledgements import LoopAcknowledgements
from pdp.config import check_auth, check_limits
from pdp.decisions.decider import Decider
from pdp.decisions.text_streams import TextStreams
from pdp.errors import ServerNeeded, StoreUnavailable
from pdp.follower.central import Central
from pdp.follower.connection import Connection
from pdp.follower.following import Following
from pdp.follower.options import FollowOptions
from pdp.follower.stand_ins import ServerDesk, ServerFinder, ServerMeter
from pdp.messages.conversion import MAX_REVISION
from pdp.server import garbage
from pdp.server.forwarding import Forwarder
from pdp.server.resources import open_models, open_tracing
from pdp.server.security import Security
from pdp.server.served import serve
from pdp.server.state import Readiness, ServerInfo
from pdp.server.transports import cancel, start_transports
from pdp.transport.call import Handler, Session
from pdp.transport.decision_observer import DecisionObserver
from pdp.transport.methods import methods
from pdp.transport.metrics import Metrics
from pdp.transport.servicers.decide import DecideServicer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from google.protobuf.message import Message

    from pdp._gen.pdp.v1 import decide_pb2 as pb
    from pdp.config import Settings
    from pdp.domain.ner import NerFinder
    from pdp.engine.snapshot import Snapshot
    from pdp.follower.tenants import FollowedTenants
    from pdp.server.served import Served
    from pdp.transport.call import Call, Endpoint

_NO_KEYS: Final[Mapping[str, Any]] = {}
_OWN: Final = "texts decided on here"
_PASSED_ON: Final = "texts passed on"
"""The keys of the ids of texts in the session of a stream."""

MAX_TEXTS: Final = 1000
"""Texts in chunks that one call passes on at once. This server refuses what is beyond."""


class FollowedPolicies:
    """The snapshots of followed tenants, as the decider of an event loop reads them."""

    def __init__(self, following: Following) -> None:
        """Takes the policies that are followed; `current` returns their snapshots."""
        self.current = following.snapshot
        self.revision = MAX_REVISION
        """Each tenant has its own revision, which `FollowerHandlers` compares."""

    async def load(self, tenant_id: str) -> Snapshot:
        """Returns the snapshot of a tenant; see `current`."""
        return self.current(tenant_id)

    async def reach(self, revision: int, timeout_s: float) -> bool:
        """Returns True; see `revision`."""
        return True


class FollowerHandlers:
    """Decides what can be decided here, and passes the rest on."""

    def __init__(
        self, servicer: DecideServicer, policies: FollowedPolicies, forwarder: Forwarder
    ) -> None:
        """Takes what decides here, and what passes calls on."""
        self._own = servicer.handlers()
        self._servicer = servicer
        self._policies = policies
        self._forwarder = forwarder

    def handlers(self) -> dict[str, Endpoint | Handler]:
        """Returns the handler of each RPC of the product, by its name."""
        others = {method.name: _refuse for method in methods()}
        return {
            **others,
            "GetApproval": self._forwarder.call,
            "Decide": replace(self._own["Decide"], handle=self.decide),
            "DecideBatch": replace(self._own["DecideBatch"], handle=self.batch),
            "DecideStream": replace(self._own["DecideStream"], handle=self.stream_message),
        }

    async def decide(self, call: Call, message: Message) -> Message:
        """Decides a request; see `DecideServicer.decide`."""
        request = cast("pb.DecideRequest", message)
        try:
            self._check(call.tenant_id, request)
            return await self._servicer.decide(call, message)
        except ServerNeeded:
            return await self._forwarder.call(call, message)

    async def batch(self, call: Call, message: Message) -> Message:
        """Decides a batch; see `DecideServicer.batch`."""
        try:
            for request in cast("pb.DecideBatchRequest", message).requests:
                self._check(call.tenant_id, request)
            return await self._servicer.batch(call, message)
        except ServerNeeded:
            return await self._forwarder.call(call, message)

    async def stream_message(self, call: Call, message: Message) -> Message:
        """Answers a message of a stream. A text in chunks is decided on in one place."""
        body = cast("pb.DecideStreamRequest", message)
        session = call.session or Session()
        if body.HasField("chunk"):
            return await self._chunk(call, session, body)
        tenant_id = body.request.tenant_id or call.tenant_id
        try:
            if call.principal.may_act_for(tenant_id):  # if not, it is refused here
                self._check(tenant_id, body.request)
            return await self._servicer.stream_message(call, message)
        except ServerNeeded:
            return await self._forwarder.exchange(call, session, message)

    async def _chunk(self, call: Call, session: Session, body: pb.DecideStreamRequest) -> Message:
        passed_on: set[str] = session.state.setdefault(_PASSED_ON, set())
        own: set[str] = session.state.setdefault(_OWN, set())
        stream_id = body.chunk.stream_id
        if stream_id not in own and stream_id not in passed_on:
            is_own = len(passed_on) >= MAX_TEXTS or self._decides(call, body.request)
            (own if is_own else passed_on).add(stream_id)
        if stream_id in own:
            answer = await self._servicer.stream_message(call, body)
        else:
            answer = cast(
                "pb.DecideStreamResponse", await self._forwarder.exchange(call, session, body)
            )
        if answer.release.closed:
            own.discard(stream_id)
            passed_on.discard(stream_id)
        return answer

    def _check(self, tenant_id: str, request: pb.DecideRequest) -> None:
        """Raises ServerNeeded if a request says itself that the server must decide it."""
        if request.tokens or request.want_input_hash:
            raise ServerNeeded("token")
        if request.min_revision > self._policies.current(tenant_id).revision:
            raise ServerNeeded("revision")

    def _decides(self, call: Call, request: pb.DecideRequest) -> bool:
        """Whether the texts of a stream can be decided on here until they end."""
        tenant_id = request.tenant_id or call.tenant_id
        if not call.principal.may_act_for(tenant_id):
            return True  # it is refused here
        try:
            snapshot = self._policies.current(tenant_id)
        except ServerNeeded:
            return False
        return not (
            snapshot.limits
            or snapshot.ner
            or request.tokens
            or request.want_input_hash
            or request.min_revision > snapshot.revision
        )


async def _refuse(call: Call, message: Message) -> Message:
    raise StoreUnavailable(
        "this server decides by the policies of another one, and has none of its own. Send this "
        "call to the server that it follows."
    )


@asynccontextmanager
async def run_follower(settings: Settings) -> AsyncIterator[ServerInfo]:
    """Serves decisions by the policies of another server until the context ends, then drains.

    Raises:
        ConfigError: the server cannot start with these settings; the message says what to do.
        StoreUnavailable: the log of records cannot be read or written now.
    """
    check_auth(settings)
    check_limits(settings)
    async with AsyncExitStack() as stack:
        security = Security(settings, lambda: _NO_KEYS)
        await security.start()
        tenants, served, readiness = await _assemble(stack, settings, security)
        transports = await start_transports(stack, settings, served, readiness)
        stack.push_async_callback(cancel, asyncio.create_task(security.follow()))
        garbage.start()
        for tenant_id in filter(None, settings.follow_tenants.split(",")):
            tenants.follow(tenant_id)
        transports.grpc.set_serving(True)
        readiness.open = True
        try:
            yield ServerInfo(
                grpc_address=transports.grpc_address,
                http_address=transports.http_address,
                revision=0,
                system_policies=0,
                locked=security.locked,
            )
        finally:
            readiness.open, readiness.draining = False, True
            await transports.drain(settings.drain_s)


async def _assemble(
    stack: AsyncExitStack, settings: Settings, security: Security
) -> tuple[FollowedTenants, Served, Readiness]:
    connection = Connection.of(settings)
    channel = connection.channel()
    stack.callback(channel.close)
    aio_channel = connection.aio_channel()
    stack.push_async_callback(aio_channel.close)
    following = Following(
        Central([channel], connection.key_file.metadata),
        _options(settings),
        LoopAcknowledgements(asyncio.get_running_loop()),
    )
    stack.push_async_callback(asyncio.to_thread, following.close)
    metrics, forwarder = Metrics(), Forwarder(aio_channel, connection.key_file.metadata)
    following.recording.measure(metrics)
    _measure(metrics, following, forwarder)
    policies = FollowedPolicies(following)
    decider = Decider(
        policies,
        ServerMeter(),
        _finder(stack, settings),
        following.recording.records,
        DecisionObserver(metrics).observe,
        desk=ServerDesk(),
    )
    handlers = FollowerHandlers(
        DecideServicer(decider, TextStreams(decider)), policies, forwarder
    ).handlers()
    services, around = security.services(metrics), open_tracing(stack, settings)
    served = serve(handlers, decider, services, wrap=around, settings=settings)
    readiness = Readiness()
    readiness.recorder = following.recording.recorder
    readiness.exports = lambda: _checks(following)
    return following.tenants, served, readiness


def _options(settings: Settings) -> FollowOptions:
    return FollowOptions(
        settings.data_dir / "follow",
        max_age_s=settings.follow_max_age_s,
        signing_key=b64decode(settings.follow_signing_key),
        max_tenants=settings.follow_max_tenants,
        max_unsent=settings.follow_max_unsent,
        durable=settings.audit_mode == "durable",
    )


def _finder(stack: AsyncExitStack, settings: Settings) -> NerFinder:
    models = open_models(settings)
    stack.callback(models.close)
    return models if models.has_models else ServerFinder()


def _checks(following: Following) -> Mapping[str, str]:
    """Returns how each tenant is followed, for `/readyz`."""
    states = {
        f"follow_{tenant_id}": each.problem or f"revision {each.revision}, {each.age_s:.0f} s old"
        for tenant_id, each in following.tenants.states().items()
    }
    reporter = following.reporter
    unsent = f"{reporter.unsent} records wait"
    return {**states, "reports": f"{unsent}: {reporter.problem}" if reporter.problem else unsent}


def _measure(metrics: Metrics, following: Following, forwarder: Forwarder) -> None:
    states, reporter = following.tenants.states, following.reporter
    metrics.gauge("pdp_followed_tenants", "Tenants that are followed.", lambda: len(states()))
    metrics.gauge(
        "pdp_snapshot_age_seconds",
        "Time since the policies of a tenant were last known to be in force, of the oldest.",
        lambda: max((each.age_s for each in states().values()), default=0.0),
    )
    metrics.gauge(
        "pdp_snapshot_revision",
        "Revision in force, of the tenant with the oldest.",
        lambda: min((each.revision for each in states().values()), default=0),
    )
    metrics.gauge(
        "pdp_records_unsent", "Records that wait to be reported.", lambda: reporter.unsent
    )
    metrics.counter("pdp_records_reported", "Records reported.", lambda: reporter.reported)
    metrics.counter(
        "pdp_calls_forwarded",
        "Calls that the server that is followed had to answer.",
        lambda: forwarder.calls,
    )
