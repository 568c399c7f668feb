"""The HTTP routes of AuthZEN: credential, body, answer."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

from pdp.adapters.authzen import metadata as places
from pdp.adapters.authzen import search
from pdp.adapters.authzen.access_requests import (
    POLL_AFTER_S,
    PROBLEM,
    AccessRequests,
    RefusedSubmission,
)
from pdp.adapters.authzen.documents import read_document
from pdp.adapters.authzen.evaluation import Evaluations
from pdp.errors import (
    ApprovalNotFound,
    MalformedRequest,
    PdpError,
    RequestTooLarge,
    RouteNotFound,
    UnsupportedMediaType,
)
from pdp.transport.admission import REQUEST_ID_HEADER
from pdp.transport.beside import LARGE, run_beside
from pdp.transport.http.adapter_routes import AdapterRoute, adapter_route
from pdp.transport.http.headers import UNCACHED
from pdp.transport.http.requests import HttpRequest, check_json
from pdp.transport.http.responses import HttpResponse, error_response, json_response
from pdp.transport.http.rpc_routes import request_id

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

    from pdp.adapters.authzen.access_requests import TaskAnswer
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


OK: Final = 200
CREATED: Final = 201
ACCEPTED: Final = 202
NOT_FOUND: Final = 404

PROBLEM_HEADERS: Final = ((b"content-type", b"application/problem+json"), *UNCACHED)

NO_URL: Final = "the server does not know its own URL; set PDP_PUBLIC_URL"


def authzen_routes(
    port: DecidePort, decider: Decider, url: str, *, takes_requests: bool = False
) -> tuple[AdapterRoute, ...]:
    """Returns the routes.

    Args:
        port: asks for decisions.
        decider: simulates decisions for searches.
        url: the URL of the server; empty if it is not known, and then there is no metadata.
        takes_requests: whether it takes access requests. Then its URL must be known.
    """
    requests = AccessRequests(port, decider, url) if takes_requests else None
    evaluations, searches = Evaluations(port, decider, requests), search.Searches(decider)
    shown = metadata_route(url, takes_requests=takes_requests)
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
        AdapterRoute("GET", places.WELL_KNOWN, shown),
        AdapterRoute("GET", f"{places.WELL_KNOWN}/{{path=**}}", shown),
        *(_request_routes(port, requests) if requests is not None else ()),
    )


def _request_routes(port: DecidePort, requests: AccessRequests) -> tuple[AdapterRoute, ...]:
    """Returns the routes of access requests and their tasks."""

    async def submit(
        call: Call, request: HttpRequest, variables: tuple[bytes, ...]
    ) -> HttpResponse:
        size, document = await _read(call, request, 0)
        answer = await requests.submit(call, document, size)
        status = ACCEPTED if answer.is_pending else CREATED
        return _task_response(call, status, answer, {"location": answer.location})

    async def show(call: Call, request: HttpRequest, variables: tuple[bytes, ...]) -> HttpResponse:
        call.request_id = request_id(request)
        answer = await requests.status(call, variables[0].decode("ascii", "replace"))
        return _task_response(call, OK, answer, {})

    return (
        AdapterRoute("POST", places.REQUESTS, adapter_route(port, submit, refuse)),
        AdapterRoute("GET", f"{places.REQUESTS}/{{id}}", adapter_route(port, show, refuse)),
    )


def _task_response(
    call: Call, status: int, answer: TaskAnswer, headers: Mapping[str, str]
) -> HttpResponse:
    wait = {"retry-after": str(POLL_AFTER_S)} if answer.is_pending else {}
    reply = {**call.reply, REQUEST_ID_HEADER: call.request_id, **headers, **wait}
    return json_response(status, answer.value, reply)


def _handle(answer: DocumentHandler, most: int) -> Any:
    """Returns what handles an admitted call.

    Args:
        answer: answers a document.
        most: the bytes that a body has at most; 0 for the limit of all bodies.
    """

    async def handle(
        call: Call, request: HttpRequest, variables: tuple[bytes, ...]
    ) -> HttpResponse:
        size, document = await _read(call, request, most)
        value = await answer(call, document, large=size > LARGE)
        reply = {**call.reply, REQUEST_ID_HEADER: call.request_id}
        return await run_beside(size, json_response, 200, value, reply)

    return handle


async def _read(call: Call, request: HttpRequest, most: int) -> tuple[int, JsonObject]:
    """Returns the size of the body of a request, and the document in it; see `_handle`.

    Raises:
        PdpError: it is too large, or is no JSON object.
    """
    call.request_id = request_id(request)
    body = await request.body()
    check_json(request.headers)
    if most and len(body) > most:
        raise RequestTooLarge(f"the body of a search is larger than {most} bytes")
    return len(body), await run_beside(len(body), read_document, body)


def refuse(error: PdpError, headers: Mapping[str, str]) -> HttpResponse:
    """Returns the answer of an error. AuthZEN knows no 415: another media type is 400."""
    if isinstance(error, ApprovalNotFound):
        error = RefusedSubmission("unknown_task", NOT_FOUND, "there is no such task")
    if isinstance(error, RefusedSubmission):
        return _problem_response(error, headers)
    if isinstance(error, UnsupportedMediaType):
        error = MalformedRequest(error.message, *error.violations)
    return error_response(error, headers)


def _problem_response(error: RefusedSubmission, headers: Mapping[str, str]) -> HttpResponse:
    problem = {
        "type": f"{PROBLEM}{error.problem}",
        "title": error.problem.replace("_", " ").capitalize(),
        "status": error.status,
        "detail": error.message,
    }
    return json_response(error.status, problem, headers, PROBLEM_HEADERS)


def metadata_route(url: str, *, takes_requests: bool = False) -> Route:
    """Returns the route of the metadata, which everyone may read."""
    path = places.path_of(url).encode()

    async def route(request: HttpRequest, variables: tuple[bytes, ...]) -> HttpResponse:
        reply = {REQUEST_ID_HEADER: request_id(request)}
        if not url:
            return error_response(RouteNotFound(NO_URL), reply)
        if request.path.removesuffix(b"/") != path:
            return error_response(RouteNotFound(f"the metadata is at {path.decode()}"), reply)
        return json_response(200, places.metadata(url, takes_requests=takes_requests), reply)

    return route
