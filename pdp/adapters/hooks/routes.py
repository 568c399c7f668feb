"""`POST /v1/hooks/{name}`: one route for each webhook of the mapping file."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from pdp.adapters.approvals import decide_approved
from pdp.adapters.hooks.answers import answer_decision, answer_error
from pdp.adapters.hooks.requests import read_hook
from pdp.errors import MalformedRequest, PdpError, RouteNotFound, Violation
from pdp.strictjson.problems import excerpt
from pdp.transport.beside import run_beside
from pdp.transport.http.adapter_routes import AdapterRoute, adapter_route
from pdp.transport.http.requests import check_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pdp.adapters.mapping import Hook, MappingFile
    from pdp.transport.call import Call
    from pdp.transport.decide_port import DecidePort
    from pdp.transport.http.requests import HttpRequest
    from pdp.transport.http.responses import HttpResponse

PATH: Final = "/v1/hooks"


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
        return await _decide(port, hook, call, request)

    def refuse(error: PdpError, headers: Mapping[str, str]) -> HttpResponse:
        return answer_error(hook, error, headers)

    return AdapterRoute("POST", f"{PATH}/{hook.name}", adapter_route(port, handle, refuse))


async def _decide(port: DecidePort, hook: Hook, call: Call, request: HttpRequest) -> HttpResponse:
    check_json(request.headers)
    body = await request.body()
    if not body:
        raise MalformedRequest("the body is empty", Violation("body", "must be a JSON value"))
    size = len(body)
    asked = await run_beside(size, read_hook, hook, request, body)
    response = await decide_approved(partial(port.decide, call), asked.message)
    return await run_beside(size, answer_decision, hook, asked, response, call.reply)
