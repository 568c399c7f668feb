"""`POST /v1/hooks/{name}`: one route for each webhook of the mapping file."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

import structlog

from pdp.adapters.hooks.answers import answer_decision, answer_error
from pdp.adapters.hooks.requests import read_hook
from pdp.errors import InternalError, MalformedRequest, PdpError, RouteNotFound, Violation
from pdp.strictjson.problems import excerpt
from pdp.transport.http.adapter_routes import AdapterRoute, adapter_route
from pdp.transport.http.requests import ClientGone, check_json
from pdp.transport.http.rpc_routes import LARGE_BODY

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pdp.adapters.mapping import Hook, MappingFile
    from pdp.transport.call import Call
    from pdp.transport.decide_port import DecidePort
    from pdp.transport.http.requests import HttpRequest
    from pdp.transport.http.responses import HttpResponse

PATH: Final = "/v1/hooks"

P = ParamSpec("P")
T = TypeVar("T")

_log = structlog.get_logger("pdp.adapters.hooks")


def hook_routes(port: DecidePort, mapping: MappingFile) -> tuple[AdapterRoute, ...]:
    """Returns the routes of webhooks; other names are answered 404, after the credential.

    Args:
        port: asks for decisions.
        mapping: the mapping file.
    """

    async def refuse_unknown(
        call: Call, request: HttpRequest, variables: tuple[bytes, ...]
    ) -> HttpResponse:
        name = excerpt(variables[0].decode("ascii", "replace"))
        known = f"it has {', '.join(mapping.hooks)}" if mapping.hooks else "it has none"
        raise RouteNotFound(f'the mapping file has no hook "{name}"; {known}')

    unknown = AdapterRoute("POST", f"{PATH}/{{name}}", adapter_route(port, refuse_unknown))
    return (unknown, *(_hook_route(port, hook) for hook in mapping.hooks.values()))


def _hook_route(port: DecidePort, hook: Hook) -> AdapterRoute:
    async def handle(
        call: Call, request: HttpRequest, _variables: tuple[bytes, ...]
    ) -> HttpResponse:
        try:
            return await _decide(port, hook, call, request)
        except (PdpError, ClientGone):
            raise
        except Exception as error:
            _log.exception("hook failed", hook=hook.name)
            raise InternalError("internal error; the log of the server has its cause") from error

    def refuse(error: PdpError, headers: Mapping[str, str]) -> HttpResponse:
        return answer_error(hook, error, headers)

    return AdapterRoute("POST", f"{PATH}/{hook.name}", adapter_route(port, handle, refuse))


async def _decide(port: DecidePort, hook: Hook, call: Call, request: HttpRequest) -> HttpResponse:
    check_json(request.headers)
    body = await request.body()
    if not body:
        raise MalformedRequest("the body is empty", Violation("body", "must be a JSON value"))
    large = len(body) > LARGE_BODY
    asked = await _run(large, read_hook, hook, request, body)
    response = await port.decide(call, asked.message)
    return await _run(large, answer_decision, hook, asked, response, call.reply)


async def _run(large: bool, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Calls `function`, in a thread if `large` is set."""
    if large:
        return await asyncio.to_thread(function, *args, **kwargs)
    return function(*args, **kwargs)
