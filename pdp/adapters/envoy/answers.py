"""Answers to Envoy, in the words of its contracts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import grpc

from pdp.adapters.envoy.contract import OVERWRITE, CheckResponse, ProcessingResponse

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from pdp.adapters.mapping import ClientRefusal, Route

METADATA: Final = "pdp"
"""The namespace of the dynamic metadata of ext_proc. Envoy has a fixed one for ext_authz."""

DECISION_ID: Final = "decision_id"

_OK: Final = int(grpc.StatusCode.OK.value[0])
_DENIED: Final = int(grpc.StatusCode.PERMISSION_DENIED.value[0])


def passed_check(
    headers: Mapping[str, str], metadata: Mapping[str, Any], remove: Collection[str] = ()
) -> Any:
    """Returns the CheckResponse that lets a request pass.

    Args:
        headers: are set on the request and on the answer to the client.
        metadata: become dynamic metadata.
        remove: the names of headers that are removed from the request.
    """
    answer = CheckResponse()
    answer.status.code = _OK
    answer.ok_response.SetInParent()
    answer.ok_response.headers_to_remove.extend(remove)
    for name, value in headers.items():
        _set(answer.ok_response.headers.add(), name, value)
        _set(answer.ok_response.response_headers_to_add.add(), name, value)
    answer.dynamic_metadata.update(dict(metadata))
    return answer


def denied_check(refusal: ClientRefusal, route: Route | None, metadata: Mapping[str, Any]) -> Any:
    """Returns the CheckResponse that refuses a request.

    Args:
        refusal: the refusal.
        route: says what its body looks like; None if no route is for the request.
        metadata: become dynamic metadata.
    """
    answer = CheckResponse()
    answer.status.code = _DENIED
    answer.status.message = refusal.reason
    denied = answer.denied_response
    denied.status.code = refusal.status
    for name, value in refusal_headers(refusal, route).items():
        _set(denied.headers.add(), name, value)
    denied.body = refusal.body(_form(route)).decode()
    answer.dynamic_metadata.update(dict(metadata))
    return answer


def immediate(refusal: ClientRefusal, route: Route | None, metadata: Mapping[str, Any]) -> Any:
    """Returns the ProcessingResponse that answers in place of the upstream; see `denied_check`."""
    answer = ProcessingResponse()
    response = answer.immediate_response
    response.status.code = refusal.status
    for name, value in refusal_headers(refusal, route).items():
        _set(response.headers.set_headers.add(), name, value, raw=True)
    response.body = refusal.body(_form(route))
    # Envoy takes no dynamic metadata with such an answer. Access logs have its details.
    response.details = f"pdp_{refusal.reason}_{refusal.decision_id}".rstrip("_").lower()
    return with_metadata(answer, metadata)


def passed_headers(kind: str, headers: Mapping[str, str], remove: Collection[str] = ()) -> Any:
    """Returns the ProcessingResponse that lets headers pass.

    Args:
        kind: `request_headers` or `response_headers`.
        headers: are set.
        remove: the names of headers that are removed.
    """
    answer = ProcessingResponse()
    _mutate(getattr(answer, kind).response, headers, remove)
    return answer


def passed_body(kind: str, body: bytes | None, headers: Mapping[str, str]) -> Any:
    """Returns the ProcessingResponse that lets a body pass, or a part of one.

    Args:
        kind: `request_body` or `response_body`.
        body: takes the place of the last body that Envoy has sent; None for that one unchanged.
        headers: are set, if Envoy has not sent them yet.
    """
    answer = ProcessingResponse()
    common = getattr(answer, kind).response
    _mutate(common, headers, ())
    if body:
        common.body_mutation.body = body
    elif body is not None:
        common.body_mutation.clear_body = True
    return answer


def streamed_body(kind: str, body: bytes, *, last: bool) -> Any:
    """Returns the ProcessingResponse that sends a part of a body in FULL_DUPLEX_STREAMED.

    Args:
        kind: `request_body` or `response_body`.
        body: the part; it may be empty.
        last: whether the body ends with it.
    """
    answer = ProcessingResponse()
    streamed = getattr(answer, kind).response.body_mutation.streamed_response
    streamed.body = body
    streamed.end_of_stream = last
    return answer


def passed_trailers(kind: str) -> Any:
    """Returns the ProcessingResponse that lets trailers pass."""
    answer = ProcessingResponse()
    getattr(answer, kind).SetInParent()
    return answer


def with_metadata(answer: Any, metadata: Mapping[str, Any]) -> Any:
    """Returns a ProcessingResponse with dynamic metadata."""
    if metadata:
        answer.dynamic_metadata.update({METADATA: dict(metadata)})
    return answer


def refusal_headers(refusal: ClientRefusal, route: Route | None) -> dict[str, str]:
    """Returns the headers of a refusal, with the facts that the route adds."""
    facts = {
        DECISION_ID: refusal.decision_id,
        "outcome": refusal.outcome,
        "reason_code": refusal.reason,
    }
    names = route.add_headers if route is not None else {}
    added = {header: facts[fact] for fact, header in names.items() if facts.get(fact)}
    return {**refusal.headers(), **added}


def _form(route: Route | None) -> str:
    return route.refusal if route is not None else "pdp"


def _mutate(common: Any, headers: Mapping[str, str], remove: Collection[str]) -> None:
    if headers:
        for name, value in headers.items():
            _set(common.header_mutation.set_headers.add(), name, value, raw=True)
    if remove:
        common.header_mutation.remove_headers.extend(remove)
    common.SetInParent()


def _set(option: Any, name: str, value: str, *, raw: bool = False) -> None:
    """Sets a header; ext_proc wants its value as bytes, and ext_authz as text."""
    option.header.key = name
    if raw:
        option.header.raw_value = value.encode()
    else:
        option.header.value = value
    option.append_action = OVERWRITE
