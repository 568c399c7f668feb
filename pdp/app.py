"""The composition root: builds and wires everything, and owns its life from start to drain."""

from __future__ import annotations

import asyncio
import signal
import time
import tomllib
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

import structlog

from pdp.admin.install import install_catalog
from pdp.admin.static_policies import StaticPolicies
from pdp.admin.workspace import Workspace
from pdp.auth.principal import DevelopmentAuthenticator
from pdp.config import Settings, check_auth
from pdp.detect.validators import VALIDATORS
from pdp.domain.kinds import PolicySet
from pdp.domain.risk import DEFAULT_RISK_TABLE, RiskTable
from pdp.domain.tenant import PLATFORM
from pdp.engine.compiler import compile_platform
from pdp.errors import ConfigError
from pdp.publisher import Publisher
from pdp.store.port import Store
from pdp.store.sqlite import SqliteStore
from pdp.transport.call import Endpoint
from pdp.transport.chain import Guards, endpoints
from pdp.transport.grpc_server import GrpcServer
from pdp.transport.http.server import HttpServer
from pdp.transport.methods import Method, methods
from pdp.transport.metrics import Metrics
from pdp.transport.servicers.decide import DecideServicer
from pdp.transport.servicers.simulate import SimulateServicer
from pdp.transport.servicers.static_policy import StaticPolicyServicer

_log: Final = structlog.get_logger("pdp.app")


def open_store(settings: Settings) -> SqliteStore:
    """Opens the database, makes it where it is not there, and installs the catalog.

    Raises:
        ConfigError: the database cannot be used.
        StoreUnavailable: it cannot be read or written now.
    """
    store = SqliteStore.open(settings.store_url)
    try:
        install_catalog(store)
    except BaseException:
        store.close()
        raise
    return store


def first_publisher(store: Store, risk: RiskTable) -> Publisher:
    """Returns a publisher with the platform compiled; tenants are compiled at their first use."""
    with store.read() as reader:
        revision = reader.revision()
        platform = compile_platform(PolicySet.of(reader.list_tenant(PLATFORM)), VALIDATORS, risk)
        changed = dict.fromkeys(reader.tenants() - {PLATFORM}, 0)
    return Publisher(platform, revision, changed)


def risk_table(file: Path | None) -> RiskTable:
    """Returns the risk table, with what `file` (TOML) sets in place of the defaults.

    Raises:
        ConfigError: the file cannot be read, or sets what is not in the table.
    """
    if file is None:
        return DEFAULT_RISK_TABLE
    try:
        given: dict[str, Any] = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"the risk file {file} cannot be read: {error}") from None
    known = {field.name for field in fields(RiskTable)} - {"bands"}
    unknown = sorted(given.keys() - known)
    if unknown:
        raise ConfigError(f"the risk file {file} sets {unknown[0]}; it may set {sorted(known)}")
    severity = {**DEFAULT_RISK_TABLE.severity, **given.pop("severity", {})}
    table = replace(DEFAULT_RISK_TABLE, severity=severity, **given)
    points = [*severity.values(), *given.values()]
    if any(not isinstance(each, int) or not 0 <= each <= 100 for each in points):  # noqa: PLR2004
        raise ConfigError(f"the risk file {file}: points are whole numbers from 0 to 100")
    return table


@dataclass(frozen=True, slots=True)
class Wiring:
    """What the transports serve."""

    methods: Mapping[str, Method]
    endpoints: Mapping[str, Endpoint]
    metrics: Metrics


def wire(publisher: Publisher, workspace: Workspace) -> Wiring:
    """Puts the servicers behind the chain of guards."""
    metrics = Metrics()
    metrics.gauge("pdp_snapshot_revision", "Revision in force.", lambda: publisher.revision)
    metrics.gauge("pdp_tenants_compiled", "Tenants held compiled.", lambda: len(publisher))
    decide = DecideServicer(publisher, workspace, metrics)
    handlers: dict[str, Endpoint] = {
        **decide.handlers(),
        **SimulateServicer(decide).handlers(),
        **StaticPolicyServicer(StaticPolicies(workspace)).handlers(),
    }
    served = {method.path: method for method in methods()}
    by_path = {path: handlers[method.name] for path, method in served.items()}
    guards = Guards(DevelopmentAuthenticator(), metrics)
    return Wiring(served, endpoints(served, by_path, guards), metrics)


class Readiness:
    """Whether the server may be sent calls; read by `/readyz`."""

    def __init__(self) -> None:
        self.serving = False
        self.draining = False

    def checks(self) -> Mapping[str, str]:
        """Returns the state of each thing that readiness depends on."""
        return {
            "snapshot": "loaded" if self.serving or self.draining else "not loaded",
            "drain": "draining" if self.draining else "no",
        }


@dataclass(frozen=True, slots=True)
class Running:
    """A server that is up."""

    grpc_address: str
    http_address: str


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Running]:
    """Serves until the context ends, then drains: health says NOT_SERVING, calls under way get
    `drain_s` seconds, and what is left then is cut off.

    Raises:
        ConfigError: the settings do not allow a start; it says what to do.
    """
    check_auth(settings)
    async with AsyncExitStack() as stack:
        store = open_store(settings)
        stack.callback(store.close)
        publisher = first_publisher(store, risk_table(settings.risk_file))
        workspace = Workspace(store, publisher)
        stack.callback(workspace.close)
        wiring = wire(publisher, workspace)
        readiness = Readiness()
        grpc = GrpcServer(wiring.methods, wiring.endpoints, settings.workers)
        http = HttpServer(wiring.methods, wiring.endpoints, wiring.metrics, readiness)
        grpc_address = await grpc.start(settings.grpc_listen)
        stack.push_async_callback(grpc.stop, 0)
        http_address = await http.start(settings.http_listen)
        stack.push_async_callback(http.stop, 0)
        follower = asyncio.create_task(workspace.follow())
        stack.callback(follower.cancel)
        await grpc.set_serving(True)
        readiness.serving = True
        try:
            yield Running(grpc_address, http_address)
        finally:
            readiness.serving, readiness.draining = False, True
            await grpc.set_serving(False)
            await asyncio.gather(grpc.stop(settings.drain_s), http.stop(settings.drain_s))


async def serve(settings: Settings, announce: Any) -> None:
    """Serves until SIGTERM or SIGINT."""
    begin = time.perf_counter()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with running(settings) as up:
        announce(up, time.perf_counter() - begin)
        await stop.wait()
        _log.info("draining", seconds=settings.drain_s)
