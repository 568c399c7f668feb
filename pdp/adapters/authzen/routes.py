"""The HTTP routes of AuthZEN: credential, body, answer."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

from pdp.adapters.authzen import metadata as places
from pdp.adapters.authzen import search
from pdp.adapters.authzen.documents import read_document
from pdp.adapters.authzen.evaluation import Evaluations
from pdp.errors import (
    MalformedRequest,
    PdpError,
    RequestTooLarge,
    RouteNotFound,
    UnsupportedMediaType,
)
from pdp.transport.admission import REQUEST_ID_HEADER
from pdp.transport.beside import LARGE, run_beside
from pdp.transport.http.adapter_routes import AdapterRoute, adapter_route
from pdp.transport.http.requests import HttpRequest, check_json
from pdp.transport.http.responses import HttpResponse, error_response, json_response
from pdp.transport.http.rpc_routes import request_id

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

    from pdp.adapters.authzen.answers import JsonAnswer
    from pdp.adapters.authzen.documents import JsonObject
    from pdp.decisions.decider import Decider
    from pdp.transport.call import Call
    from pdp.transport.decide_port import DecidePort
    from pdp.transport.http.rpc_routes import Route

    class DocumentHandler(Protocol):
        """Answers the document of an admitted call."""

        def __call__(
            self, call: Call, document: JsonObject, *, large: bool
        ) -> Awaitable[JsonAnswer]: ...


NO_URL: Final = "the server does not know its own URL; set PDP_PUBLIC_URL"


def authzen_routes(port: DecidePort, decider: Decider, url: str) -> tuple[AdapterRoute, ...]:
    """Returns the routes.

    Args:
        port: asks for decisions.
        decider: simulates decisions for searches.
        url: the URL of the server; empty if it is not known, and then there is no metadata.
    """
    evaluations, searches = Evaluations(port, decider), search.Searches(decider)
    answers: Mapping[str, tuple[DocumentHandler, int]] = {
        places.EVALUATION: (evaluations.evaluate, 0),
        places.EVALUATIONS: (evaluations.evaluate_all, 0),
        **{
            path: (partial(searches.search, kind=kind), search.MAX_SEARCH_BYTES)
            for path, kind in (
                (places.SEARCH_SUBJECT, search.SUBJECT),
                (places.SEARCH_RESOURCE, search.RESOURCE),
                (places.SEARCH_ACTION, search.ACTION),
            )
        },
    }
    return (
        *(
            AdapterRoute("POST", path, adapter_route(port, _handle(answer, most), refuse))
            for path, (answer, most) in answers.items()
        ),
        AdapterRoute("GET", places.WELL_KNOWN, metadata_route(url)),
        AdapterRoute("GET", f"{places.WELL_KNOWN}/{{path=**}}", metadata_route(url)),
    )


def _handle(answer: DocumentHandler, most: int) -> Any:
    """Returns what handles an admitted call.

    Args:
        answer: answers a document.
        most: the bytes that a body has at most; 0 for the limit of all bodies.
    """

    async def handle(
        call: Call, request: HttpRequest, variables: tuple[bytes, ...]
    ) -> HttpResponse:
        call.request_id = request_id(request)
        body = await request.body()
        check_json(request.headers)
        if most and len(body) > most:
            raise RequestTooLarge(f"the body of a search is larger than {most} bytes")
        document = await run_beside(len(body), read_document, body)
        value = await answer(call, document, large=len(body) > LARGE)
        reply = {**call.reply, REQUEST_ID_HEADER: call.request_id}
        return await run_beside(len(body), json_response, 200, value, reply)

    return handle


def refuse(error: PdpError, headers: Mapping[str, str]) -> HttpResponse:
    """Returns the answer of an error. AuthZEN knows no 415: another media type is 400."""
    if isinstance(error, UnsupportedMediaType):
        error = MalformedRequest(error.message, *error.violations)
    return error_response(error, headers)


def metadata_route(url: str) -> Route:
    """Returns the route of the metadata, which everyone may read."""
    path = places.path_of(url).encode()

    async def route(request: HttpRequest, variables: tuple[bytes, ...]) -> HttpResponse:
        reply = {REQUEST_ID_HEADER: request_id(request)}
        if not url:
            return error_response(RouteNotFound(NO_URL), reply)
        if request.path.removesuffix(b"/") != path:
            return error_response(RouteNotFound(f"the metadata is at {path.decode()}"), reply)
        return json_response(200, places.metadata(url), reply)

    return route
