"""Subject, Resource and Action Search: what would be decided for each name that is known.

Nothing is counted or recorded. A result is what an evaluation with the same request would permit.
"""

from __future__ import annotations

import asyncio
import binascii
import hashlib
import heapq
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pdp.adapters.authzen import candidates
from pdp.adapters.authzen.answers import obligations_of, permits
from pdp.adapters.authzen.documents import Evaluation, read_evaluation
from pdp.adapters.authzen.mapping import CONTENT_KEYS, renamed, to_message
from pdp.decisions.request_requirements import check_requirements
from pdp.errors import InvalidArgument, Violation
from pdp.messages.conversion import to_request, to_response
from pdp.strictjson.objects import to_text
from pdp.strictjson.problems import Problems, type_mismatch
from pdp.transport.admission import TENANT_HEADER
from pdp.transport.guards import settle_tenant

if TYPE_CHECKING:
    from collections.abc import Callable

    from pdp.adapters.authzen.answers import JsonAnswer
    from pdp.adapters.authzen.documents import JsonObject
    from pdp.decisions.decider import Decider
    from pdp.engine.snapshot import Snapshot
    from pdp.transport.call import Call

MAX_PAGE: Final = 100
"""Names that one search examines, and so the most results of a page."""

MAX_SEARCH_BYTES: Final = 65_536
"""The size of the body of a search, which is decided for each name."""

_MAX_TOKEN: Final = 4096


class SearchKind(NamedTuple):
    """A kind of search.

    Attributes:
        name: what it looks for: `subject`, `resource` or `action`.
        names: returns the names that may be results.
        replace: returns the evaluation for a name.
        result: returns the result for a name.
    """

    name: str
    names: Callable[[Snapshot, Evaluation], set[str]]
    replace: Callable[[Evaluation, str], Evaluation]
    result: Callable[[Evaluation, str], JsonAnswer]


SUBJECT: Final = SearchKind(
    "subject",
    lambda snapshot, asked: candidates.subjects(snapshot, asked.subject.type),
    lambda asked, name: asked._replace(subject=asked.subject._replace(id=name)),
    lambda asked, name: {"type": asked.subject.type, "id": name},
)
RESOURCE: Final = SearchKind(
    "resource",
    lambda snapshot, asked: candidates.resources(snapshot, asked.resource.type),
    lambda asked, name: asked._replace(resource=asked.resource._replace(id=name)),
    lambda asked, name: {"type": asked.resource.type, "id": name},
)
ACTION: Final = SearchKind(
    "action",
    lambda snapshot, asked: candidates.actions(snapshot, asked.resource.type),
    lambda asked, name: asked._replace(action=asked.action._replace(name=name)),
    lambda asked, name: {"name": name},
)


class _Page(NamedTuple):
    """Which results are asked for: at most `limit` names, those after `after`."""

    limit: int
    after: str
    digest: str


class Searches:
    """Answers searches."""

    def __init__(self, decider: Decider) -> None:
        self._decider = decider

    async def search(
        self, call: Call, document: JsonObject, kind: SearchKind, *, large: bool = False
    ) -> JsonAnswer:
        """Returns a page of results.

        A page may have fewer results than its limit, or none, and still not be the last one.

        Args:
            call: the call, which has been admitted.
            document: the body.
            kind: what the search looks for.
            large: ignored: the body of a search is small.

        Raises:
            PdpError: the document is no valid search, or it cannot be answered now.
        """
        omitted = (kind.name,) if kind is ACTION else ()
        asked = read_evaluation(document, omitted, kind.name)
        _check_no_content(asked)
        tenant_id = settle_tenant(call, "", TENANT_HEADER)
        page = _page_of(document, f"{tenant_id}/{kind.name}")
        snapshot = await self._decider.snapshot(tenant_id)
        # A tenant can have a million members of groups.
        following = await asyncio.to_thread(_following, snapshot, kind, asked, page)
        examined = following[: page.limit]
        results = []
        for name in examined:
            result = await self._result(call, snapshot, kind, asked, name)
            if result is not None:
                results.append(result)
        more = len(following) > page.limit
        token = _token(page.digest, examined[-1]) if more else ""
        return {"results": results, "page": {"next_token": token, "count": len(results)}}

    async def _result(
        self, call: Call, snapshot: Snapshot, kind: SearchKind, asked: Evaluation, name: str
    ) -> JsonAnswer | None:
        """Returns the result for a name; None if it is not permitted."""
        evaluation = kind.replace(asked, name)
        mapped = to_message(evaluation, snapshot.tool_actions.action_of)
        try:
            request = to_request(
                mapped.message,
                snapshot.tenant_id,
                call.request_id,
                caller=call.principal.caller,
            )
            check_requirements(snapshot, request)
        except InvalidArgument as error:
            raise renamed(error, mapped) from None
        simulation = await self._decider.simulate(snapshot, request)
        response = to_response(simulation.decision, mapped.message)
        if not permits(response, mapped.supported):
            return None
        result = kind.result(asked, name)
        obligations = obligations_of(response, mapped)
        return {**result, "obligations": obligations} if obligations else result


def _following(snapshot: Snapshot, kind: SearchKind, asked: Evaluation, page: _Page) -> list[str]:
    """Returns the names of a page, sorted, and one more if there is one.

    The names are not sorted as a whole: that would hold the interpreter.
    """
    left = (name for name in kind.names(snapshot, asked) if name > page.after)
    return heapq.nsmallest(page.limit + 1, left)


def _check_no_content(asked: Evaluation) -> None:
    problems = Problems()
    for name in CONTENT_KEYS:
        if name in asked.context:
            problems.add(f"context.{name}", "a search judges no content; leave it out")
    problems.raise_if_any()


def _page_of(document: JsonObject, scope: str) -> _Page:
    """Returns the page that a search asks for.

    Raises:
        InvalidArgument: the page has a wrong type, or the token is of another search.
    """
    page = document.get("page", {})
    if not isinstance(page, dict):
        raise InvalidArgument.of(Violation("page", type_mismatch("an object", page)))
    limit, token = page.get("limit", MAX_PAGE), page.get("token", "")
    if type(limit) is not int or limit < 1:
        raise InvalidArgument.of(Violation("page.limit", "must be a whole number of at least 1"))
    if type(token) is not str:
        raise InvalidArgument.of(Violation("page.token", type_mismatch("a string", token)))
    query = {name: value for name, value in document.items() if name in _QUERY}
    digest = hashlib.sha256(f"{scope} {to_text(_sorted(query))}".encode()).hexdigest()[:32]
    return _Page(min(limit, MAX_PAGE), _after(token, digest) if token else "", digest)


_QUERY: Final = frozenset({"subject", "action", "resource", "context"})


def _sorted(value: Any) -> Any:
    """Returns a JSON value with the members of all objects in order."""
    if isinstance(value, dict):
        return {name: _sorted(value[name]) for name in sorted(value)}
    return [_sorted(each) for each in value] if isinstance(value, list) else value


def _token(digest: str, last: str) -> str:
    return urlsafe_b64encode(to_text([digest, last]).encode()).decode()


def _after(token: str, digest: str) -> str:
    """Returns the last name of the page before."""
    reason = "is not the next_token of a search with the same request; begin again without it"
    try:
        of, last = json.loads(urlsafe_b64decode(token[:_MAX_TOKEN].encode("ascii")))
    except (ValueError, TypeError, binascii.Error):
        raise InvalidArgument.of(Violation("page.token", reason)) from None
    if of != digest or type(last) is not str:
        raise InvalidArgument.of(Violation("page.token", reason))
    return last
