"""The composition root: builds and wires the server, and owns its life from start to drain."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from pdp.admin.workspace import Workspace
from pdp.audit.acknowledgements import LoopAcknowledgements
from pdp.bootstrap.policies import create_publisher, load_risk_table, open_policies
from pdp.bootstrap.recording import Recording, RecordingOptions
from pdp.config import Settings, check_auth
from pdp.detect.ner import NerEngine, open_engine
from pdp.domain.static_policy import KIND
from pdp.server.exports import Exporting
from pdp.server.security import Security
from pdp.server.transports import cancel, listening
from pdp.server.wiring import Wiring, wire

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from pdp.audit.recorder import Recorder
    from pdp.decisions.records import Pending
    from pdp.publisher import Publisher
    from pdp.server.worker import Worker
    from pdp.transport.call import Endpoint

_log: Final = structlog.get_logger("pdp.server")


class Readiness:
    """Whether the server may be sent calls; read by `/readyz`."""

    def __init__(self) -> None:
        self.open = False
        self.draining = False
        self.models: Callable[[], Mapping[str, str]] = dict
        self.recorder: Recorder[Pending] | None = None
        self.exports: Callable[[], Mapping[str, str]] = dict

    @property
    def serving(self) -> bool:
        """Whether it may: not where nothing would be recorded any more."""
        return self.open and (self.recorder is None or self.recorder.alive)

    def checks(self) -> Mapping[str, str]:
        """Returns the state of each thing that readiness depends on."""
        return {
            "snapshot": "loaded" if self.open or self.draining else "not loaded",
            "drain": "draining" if self.draining else "no",
            **({"audit": self.recorder.status()} if self.recorder else {}),
            **{f"model_{kind}": state for kind, state in self.models().items()},
            **self.exports(),
        }


@dataclass(frozen=True, slots=True)
class Running:
    """A server that is up.

    Attributes:
        grpc_address, http_address: where it listens, with its real ports.
        revision: of the policies in force.
        system_policies: how many policies ship with the product.
        locked: credentials are required, and there are none yet.
    """

    grpc_address: str
    http_address: str
    revision: int
    system_policies: int
    locked: bool = False


@asynccontextmanager
async def running(settings: Settings, worker: Worker | None = None) -> AsyncIterator[Running]:
    """Serves until the context ends, then drains.

    To drain: health says NOT_SERVING, calls under way get `drain_s` seconds, and what is left then
    is cut off.

    Args:
        settings: how to serve.
        worker: what joins this process to others that share the ports; None where it is alone.

    Raises:
        ConfigError: the settings do not allow a start; it says what to do.
        StoreUnavailable: the database cannot be read or written now.

    """
    check_auth(settings)
    async with AsyncExitStack() as stack:
        parts = await _assembled(stack, settings, worker)
        wiring, publisher, readiness = parts.wiring, parts.publisher, parts.readiness
        transports = await listening(stack, settings, wiring, readiness)
        for work in (parts.security.follow(), parts.workspace.follow(), wiring.metering.keep()):
            stack.push_async_callback(cancel, asyncio.create_task(work))
        # All that lives by now lives as long as the process: the collector need not look at it,
        # nor stop a decision to do so.
        gc.collect()
        gc.freeze()
        transports.grpc.set_serving(True)
        readiness.open = True
        try:
            yield Running(
                grpc_address=transports.grpc_address,
                http_address=transports.http_address,
                revision=publisher.revision,
                system_policies=len(publisher.platform.policies.of_kind(KIND)),
                locked=parts.security.locked,
            )
        finally:
            readiness.open, readiness.draining = False, True
            if wiring.reader is not None:
                wiring.reader.end_tails()
            await transports.drain(settings.drain_s)


@dataclass(frozen=True, slots=True)
class _Parts:
    """What a server is made of, before it listens."""

    publisher: Publisher
    workspace: Workspace
    security: Security
    wiring: Wiring
    readiness: Readiness


async def _assembled(stack: AsyncExitStack, settings: Settings, worker: Worker | None) -> _Parts:
    store = open_policies(settings.store_url)
    stack.callback(store.close)
    publisher = create_publisher(store, load_risk_table(settings.risk_file))
    workspace = Workspace(store, publisher)
    stack.callback(workspace.close)
    ner = _models(settings)
    stack.callback(ner.close)
    security = Security(settings, publisher)
    await security.start()
    around = _tracing(stack, settings)
    keeping, exporting = _recording(stack, settings)
    wiring = wire(
        publisher,
        workspace,
        ner,
        security.services,
        around=around,
        keeping=keeping,
        exporting=exporting,
    )
    exporting.start(keeping.log, publisher, workspace, wiring.metrics)
    keeping.recorder.subscribe(exporting.exporter)
    if worker is not None:
        worker.render, wiring.metrics.of_all = wiring.metrics.render, worker.metrics_of_all
        worker.look, workspace.tell = workspace.look, worker.tell
    stack.push_async_callback(wiring.metering.close)
    await wiring.metering.sync()
    readiness = Readiness()
    readiness.models = ner.states
    readiness.recorder = keeping.recorder
    readiness.exports = exporting.checks
    return _Parts(publisher, workspace, security, wiring, readiness)


def _recording(stack: AsyncExitStack, settings: Settings) -> tuple[Recording, Exporting]:
    exporting = Exporting.of(settings)
    keeping = Recording(
        RecordingOptions.of(settings), LoopAcknowledgements(asyncio.get_running_loop())
    )
    # At the end: what is decided is recorded, what is recorded leaves, then the log is closed.
    stack.push_async_callback(asyncio.to_thread, keeping.close)
    stack.push_async_callback(asyncio.to_thread, exporting.exporter.close)
    stack.push_async_callback(asyncio.to_thread, keeping.recorder.close)
    return keeping, exporting


def _tracing(stack: AsyncExitStack, settings: Settings) -> Callable[[Endpoint], Endpoint] | None:
    if not settings.otel_endpoint:
        return None
    from pdp import __version__  # noqa: PLC0415 - reads the installed package
    from pdp.transport.tracing import Tracing  # noqa: PLC0415 - where it is wanted

    tracing = Tracing(settings.otel_endpoint, version=__version__)
    stack.push_async_callback(asyncio.to_thread, tracing.close)
    return tracing.around


def _models(settings: Settings) -> NerEngine:
    return open_engine(
        settings.ner_model_dir, settings.gliner_model_dir, settings.ner_budget_ms / 1000
    )


async def serve(
    settings: Settings,
    announce: Callable[[Running], None],
    stop: asyncio.Event | None = None,
    worker: Worker | None = None,
) -> None:
    """Serves until SIGTERM or SIGINT, or until `stop` is set; a second signal ends it at once.

    Args:
        settings: how to serve.
        announce: called once, when health says SERVING.
        stop: set from elsewhere to drain and end.
        worker: see `running`.

    Raises:
        ConfigError: the settings do not allow a start; it says what to do.
        StoreUnavailable: the database cannot be read or written now.

    """
    stop = stop or asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _on_signal, number, stop)
    async with running(settings, worker) as up:
        announce(up)
        await stop.wait()
        _log.info("draining", seconds=settings.drain_s)


def _on_signal(number: int, stop: asyncio.Event) -> None:
    if stop.is_set():
        # Whoever asks twice will not wait. Nothing is lost: what was committed is on disk, and an
        # interrupted transaction was never there.
        os._exit(128 + number)
    stop.set()
