"""What the transports serve: RPCs behind the guards, and the routes of adapters."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pdp.server.adapters import Adapter, AdapterContext, build_adapters
from pdp.transport.admission import admissions
from pdp.transport.decide_port import DecidePort
from pdp.transport.guards import endpoints
from pdp.transport.http.payload_route import payload_route
from pdp.transport.methods import Method, methods

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pdp.config import Settings
    from pdp.decisions.decider import Decider
    from pdp.transport.admission import Check, Services
    from pdp.transport.call import Endpoint, Handler
    from pdp.transport.http.adapter_routes import AdapterRoute
    from pdp.transport.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Served:
    """What the transports serve.

    Attributes:
        methods: the RPCs, by gRPC path.
        endpoints: the guarded endpoint of each RPC, by gRPC path.
        admissions: what an adapter checks before it reads a message, by gRPC path.
        metrics: the counters of calls and decisions.
        routes: the HTTP routes of adapters.
        end_streams: end the streams that would otherwise go on until their callers leave.
    """

    methods: Mapping[str, Method]
    endpoints: Mapping[str, Endpoint]
    admissions: Mapping[str, Check]
    metrics: Metrics
    routes: tuple[AdapterRoute, ...] = ()
    end_streams: Sequence[Callable[[], None]] = ()


def serve(
    handlers: Mapping[str, Endpoint | Handler],
    decider: Decider,
    services: Services,
    *,
    wrap: Callable[[Endpoint], Endpoint] | None = None,
    settings: Settings | None = None,
    end_streams: Sequence[Callable[[], None]] = (),
) -> Served:
    """Puts handlers behind the guards, and adds the adapters, which ask through these.

    Args:
        handlers: the handler of each RPC, by its name.
        decider: simulates decisions for adapters.
        services: what the guards work with.
        wrap: wraps every endpoint, outside the guards; a tracer, for example.
        settings: the settings of the server, for adapters; None for no adapters.
        end_streams: see `Served`.

    Raises:
        ConfigError: the settings of an adapter cannot be used; the message says what to do.
    """
    served = {method.path: method for method in methods()}
    own = {path: handlers[method.name] for path, method in served.items()}
    guarded = endpoints(served, own, services)
    if wrap is not None:
        guarded = {path: wrap(endpoint) for path, endpoint in guarded.items()}
    whole = Served(
        served, guarded, admissions(served, services), services.metrics, end_streams=end_streams
    )
    return _with_adapters(whole, decider, services, settings)


def _with_adapters(
    served: Served, decider: Decider, services: Services, settings: Settings | None
) -> Served:
    port = DecidePort(served.methods, served.endpoints, served.admissions, served.metrics)
    adapters = build_adapters(AdapterContext(settings, port, decider)) if settings else Adapter()
    handlers = endpoints(adapters.methods, adapters.handlers, services)
    return replace(
        served,
        methods={**served.methods, **adapters.methods},
        endpoints={**served.endpoints, **handlers},
        admissions={**served.admissions, **admissions(adapters.methods, services)},
        routes=(payload_route(port), *adapters.routes),
    )
