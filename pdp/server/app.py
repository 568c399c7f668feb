"""Builds the server, and runs it from start to drain. This is the composition root."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from pdp.admin.compaction import ChangeLogCompactor
from pdp.admin.workspace import Workspace
from pdp.audit.acknowledgements import LoopAcknowledgements
from pdp.bootstrap.policies import load_risk_table
from pdp.bootstrap.recording import Recording, RecordingOptions
from pdp.config import Settings, check_auth, check_limits
from pdp.domain.api_key import KIND as KEY_KIND
from pdp.domain.static_policy import KIND
from pdp.errors import StoreUnavailable
from pdp.server import garbage
from pdp.server.exports import ExportSubsystem
from pdp.server.following import run_follower
from pdp.server.heartbeat import Heartbeat
from pdp.server.recent_tenants import RecentTenants
from pdp.server.resources import open_models, open_shared_counters, open_tracing
from pdp.server.saved_policies import follow_when_open, open_server_policies, saved_parts
from pdp.server.security import Security
from pdp.server.shared_counters import measure_shared_counters
from pdp.server.state import Readiness, ServerInfo
from pdp.server.transports import cancel, start_transports
from pdp.server.wiring import Wiring, wire

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterator

    from pdp.publisher import Publisher
    from pdp.server.saved_policies import SavedPoliciesParts
    from pdp.server.worker import Worker
    from pdp.store.port import Store

SWITCH_INTERVAL_S: Final = 0.0002
"""How long a thread may keep the interpreter while the event loop waits for it. By default it is 5
ms, several times for each call."""

_log: Final = structlog.get_logger("pdp.server")


@asynccontextmanager
async def run_server(settings: Settings, worker: Worker | None = None) -> AsyncIterator[ServerInfo]:
    """Serves until the context ends, then drains.

    While it drains, health reports NOT_SERVING, and running calls get `drain_s` seconds. After that
    they are cancelled.

    Args:
        settings: the settings.
        worker: the link to the other processes that share the ports; None if there are none.

    Raises:
        ConfigError: the server cannot start with these settings; the message says what to do.
        StoreUnavailable: the database cannot be read or written now.
    """
    check_auth(settings)
    check_limits(settings)
    async with AsyncExitStack() as stack:
        parts = await _assemble(stack, settings, worker)
        wiring, publisher, readiness = parts.wiring, parts.publisher, parts.readiness
        transports = await start_transports(stack, settings, wiring.served, readiness)
        for loop in _loops(parts, settings):
            stack.push_async_callback(cancel, asyncio.create_task(loop))
        garbage.start()
        publisher.on_publish = garbage.freeze_snapshots
        _follow_recent_tenants(stack, settings, parts)
        transports.grpc.set_serving(True)
        readiness.open = True
        heartbeat = _start_heartbeat(stack, parts, worker)
        try:
            yield ServerInfo(
                grpc_address=transports.grpc_address,
                http_address=transports.http_address,
                revision=publisher.revision,
                system_policies=len(publisher.platform.policies.of_kind(KIND)),
                locked=parts.security.locked,
            )
        finally:
            readiness.open, readiness.draining = False, True
            heartbeat.write_soon()
            for end in wiring.served.end_streams:
                end()
            await transports.drain(settings.drain_s)


def _start_heartbeat(stack: AsyncExitStack, parts: _Parts, worker: Worker | None) -> Heartbeat:
    heartbeat = Heartbeat(
        parts.store,
        parts.publisher,
        parts.workspace.stats,
        parts.readiness,
        worker.number if worker else 0,
    )
    stack.push_async_callback(heartbeat.leave)
    stack.push_async_callback(cancel, asyncio.create_task(heartbeat.run()))
    return heartbeat


def _loops(parts: _Parts, settings: Settings) -> Iterator[Coroutine[None, None, None]]:
    """Yields what runs beside the calls, as long as the server does."""
    compactor = ChangeLogCompactor(parts.workspace, settings.change_log_days)
    parts.wiring.metrics.counter(
        "pdp_changes_removed", "Changes removed because of their age.", lambda: compactor.removed
    )
    yield parts.wiring.sweeper.run()
    yield parts.security.follow()
    yield follow_when_open(parts.store, parts.workspace, parts.wiring.metering)
    if parts.saved is not None:
        yield parts.saved.saver.run()
    yield parts.wiring.metering.run()
    yield compactor.run()


def _follow_recent_tenants(stack: AsyncExitStack, settings: Settings, parts: _Parts) -> None:
    recent = RecentTenants(
        parts.publisher, parts.workspace, settings.data_dir, settings.prewarm_tenants
    )
    stack.push_async_callback(asyncio.to_thread, recent.write)
    stack.push_async_callback(cancel, asyncio.create_task(recent.run()))


@dataclass(frozen=True, slots=True)
class _Parts:
    """The parts of a server that does not listen yet."""

    store: Store
    publisher: Publisher
    workspace: Workspace
    security: Security
    wiring: Wiring
    readiness: Readiness
    saved: SavedPoliciesParts | None


async def _assemble(stack: AsyncExitStack, settings: Settings, worker: Worker | None) -> _Parts:
    opened = open_server_policies(settings, load_risk_table(settings.risk_file))
    store, publisher = opened.store, opened.publisher
    stack.callback(store.close)
    workspace = Workspace(store, publisher)
    stack.callback(workspace.close)
    saved = saved_parts(opened, workspace, settings.tenant_cache_mb)
    if saved is not None:
        stack.callback(saved.close)
    ner = open_models(settings)
    stack.callback(ner.close)
    security = Security(settings, lambda: publisher.platform.policies.of_kind(KEY_KIND))
    await security.start()
    around = open_tracing(stack, settings)
    recording, exports = _recording(stack, settings)
    wiring = wire(
        publisher,
        workspace,
        ner,
        security.services,
        wrap=around,
        recording=recording,
        exporting=exports,
        settings=settings,
        metering=(shared := open_shared_counters(settings)),
        saved=saved.policies if saved else None,
    )
    if shared is not None:
        measure_shared_counters(wiring.metrics, shared)
    exports.start(recording.log, publisher, workspace, wiring.metrics)
    recording.recorder.subscribe(exports.exporter)
    if worker is not None:
        worker.render, wiring.metrics.all_workers = wiring.metrics.render, worker.all_metrics
        worker.on_write, workspace.notify = workspace.wake, worker.notify_write
    stack.push_async_callback(wiring.metering.close)
    try:
        await wiring.metering.start()
    except StoreUnavailable:
        if not publisher.from_files:  # else the counts are read when the store is open
            raise
    readiness = Readiness()
    readiness.models = ner.states
    readiness.recorder = recording.recorder
    readiness.exports = exports.checks
    readiness.store = workspace.stats.state
    if saved is not None:
        saved.measure(wiring.metrics)
        readiness.saved_policies = saved.saver.state
    return _Parts(store, publisher, workspace, security, wiring, readiness, saved)


def _recording(stack: AsyncExitStack, settings: Settings) -> tuple[Recording, ExportSubsystem]:
    exports = ExportSubsystem.from_settings(settings)
    recording = Recording(
        RecordingOptions.of(settings), LoopAcknowledgements(asyncio.get_running_loop())
    )
    # At the end, in this order: record all decisions, export all records, close the log.
    stack.push_async_callback(asyncio.to_thread, recording.close)
    stack.push_async_callback(asyncio.to_thread, exports.exporter.close)
    stack.push_async_callback(asyncio.to_thread, recording.recorder.close)
    return recording, exports


async def serve(
    settings: Settings,
    announce: Callable[[ServerInfo], None],
    stop: asyncio.Event | None = None,
    worker: Worker | None = None,
) -> None:
    """Serves until SIGTERM, SIGINT or SIGHUP, or until `stop` is set.

    A second signal ends the process at once.

    Args:
        settings: the settings.
        announce: called once, when health reports SERVING.
        stop: set by the caller to drain and end.
        worker: see `run_server`.

    Raises:
        ConfigError: the server cannot start with these settings; the message says what to do.
        StoreUnavailable: the database cannot be read or written now.
    """
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    stop = stop or asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, _on_signal, number, stop)
    async with run_follower(settings) if settings.follow else run_server(settings, worker) as info:
        announce(info)
        await stop.wait()
        _log.info("draining", seconds=settings.drain_s)


def _on_signal(number: int, stop: asyncio.Event) -> None:
    if stop.is_set():
        # The second signal ends the process at once. No committed change is lost, and the database
        # rolls an interrupted transaction back.
        os._exit(128 + number)
    stop.set()
