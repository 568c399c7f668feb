"""The adapters of enforcement points that this server has."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pdp.adapters.agentgateway import ext_mcp
from pdp.adapters.agentgateway.webhook import webhook_routes
from pdp.adapters.authzen import authzen_routes, public_url
from pdp.adapters.envoy import adapter as envoy_adapter
from pdp.adapters.hooks import hook_routes
from pdp.adapters.http_checks import http_check_routes
from pdp.adapters.litellm.routes import litellm_routes
from pdp.adapters.mapping import load_mapping
from pdp.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pdp.config import Settings
    from pdp.decisions.decider import Decider
    from pdp.transport.call import Handler
    from pdp.transport.decide_port import DecidePort
    from pdp.transport.http.adapter_routes import AdapterRoute
    from pdp.transport.methods import Method


class AdapterContext(NamedTuple):
    """What adapters work with.

    Attributes:
        settings: the settings of the server.
        port: asks for decisions, through the guards.
        decider: simulates decisions for answers that must neither count nor be recorded.
    """

    settings: Settings
    port: DecidePort
    decider: Decider


class Adapter(NamedTuple):
    """What an adapter serves.

    Attributes:
        routes: its HTTP routes.
        methods: its RPCs, by gRPC path.
        handlers: how its RPCs are handled, by gRPC path.
    """

    routes: tuple[AdapterRoute, ...] = ()
    methods: Mapping[str, Method] = {}
    handlers: Mapping[str, Handler] = {}


def authzen(context: AdapterContext) -> Adapter:
    """Returns the HTTP routes of AuthZEN.

    Raises:
        ConfigError: it takes access requests, but the URL of the server is not known.
    """
    url = public_url(context.settings)
    takes_requests = context.settings.authzen_access_request == "on"
    if takes_requests and not url:
        raise ConfigError(
            "PDP_AUTHZEN_ACCESS_REQUEST: answers name the URL of the server, which is not known. "
            "Set PDP_PUBLIC_URL, too."
        )
    port, decider = context.port, context.decider
    return Adapter(routes=authzen_routes(port, decider, url, takes_requests=takes_requests))


def agentgateway(context: AdapterContext) -> Adapter:
    """Returns the webhook of agentgateway's prompt guard, and its guardrails for MCP."""
    return Adapter(
        webhook_routes(context.port),
        ext_mcp.methods(),
        ext_mcp.handlers(context.port, context.decider),
    )


def litellm(context: AdapterContext) -> Adapter:
    """Returns the HTTP route of LiteLLM's generic guardrail."""
    return Adapter(routes=litellm_routes(context.port, context.decider, context.settings))


def http_checks_and_hooks(context: AdapterContext) -> Adapter:
    """Returns the HTTP routes of plain checks and of webhooks."""
    mapping = load_mapping(context.settings.adapters_file)
    port = context.port
    return Adapter(routes=(*http_check_routes(port, mapping), *hook_routes(port, mapping)))


def envoy(context: AdapterContext) -> Adapter:
    """Returns the RPCs of Envoy, if the mapping file has routes."""
    routes = load_mapping(context.settings.adapters_file).routes
    if not routes:
        return Adapter()
    handlers = envoy_adapter.handlers(context.port, routes)
    return Adapter(methods=envoy_adapter.methods(), handlers=handlers)


BUILDERS: tuple[Callable[[AdapterContext], Adapter], ...] = (
    authzen,
    agentgateway,
    litellm,
    http_checks_and_hooks,
    envoy,
)
"""Each returns an adapter, which serves nothing if the settings do not ask for it."""


def build_adapters(context: AdapterContext) -> Adapter:
    """Returns all adapters as one.

    Raises:
        ConfigError: the settings of an adapter cannot be used; the message says what to do.
    """
    built = [build(context) for build in BUILDERS]
    return Adapter(
        tuple(route for each in built for route in each.routes),
        {path: method for each in built for path, method in each.methods.items()},
        {path: handler for each in built for path, handler in each.handlers.items()},
    )
