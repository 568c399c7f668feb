"""What Envoy says of an HTTP request, in either of its contracts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from google.protobuf.json_format import MessageToDict

from pdp.adapters.mapping import SourceView
from pdp.transport.http.fact_headers import TOKENS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MAX_HEADERS: Final = 1000
"""Headers of a request. Envoy accepts 100 by default."""

EXTENSION_PREFIX: Final = "x-pdp-extension-"
"""The metadata of a call that stands for context extensions, which ext_proc does not have."""

PARTIAL_BODY: Final = "x-envoy-auth-partial-body"
"""The header with which ext_authz says whether the body is cut."""

_CERTIFICATE_ATTRIBUTES: Final = (
    "connection.uri_san_peer_certificate",
    "connection.dns_san_peer_certificate",
    "connection.subject_peer_certificate",
)


class RequestFacts(NamedTuple):
    """What is known of a request.

    Attributes:
        method: the HTTP method.
        host: the authority that the client asked for.
        target: the path with its query, as the client sent it.
        view: what the mapping file takes tenant, user and the like from.
        tokens: the header with the confirmations of the client, which the view does not have.
    """

    method: str
    host: str
    target: str
    view: SourceView
    tokens: str = ""


def facts_of_check(check: Any) -> RequestFacts:
    """Returns what a CheckRequest says."""
    attributes = check.attributes
    http = attributes.request.http
    headers = dict(http.headers) or headers_of(http.header_map.headers)
    headers = {name.lower(): value for name, value in headers.items()}
    tokens = headers.pop(TOKENS, "")
    view = SourceView(
        headers=headers,
        context_extensions=dict(attributes.context_extensions),
        metadata=_plain(attributes.metadata_context),
        certificate=attributes.source.principal,
    )
    return RequestFacts(http.method, http.host, http.path, view, tokens)


def facts_of_processing(message: Any, metadata: Mapping[str, str]) -> RequestFacts:
    """Returns what the first ProcessingRequest of a stream says.

    Args:
        message: the message, with the headers of the request.
        metadata: the metadata of Envoy's call.
    """
    headers = headers_of(message.request_headers.headers.headers)
    tokens = headers.pop(TOKENS, "")
    extensions = {
        name.removeprefix(EXTENSION_PREFIX): value
        for name, value in metadata.items()
        if name.startswith(EXTENSION_PREFIX)
    }
    view = SourceView(
        headers=headers,
        context_extensions=extensions,
        metadata=_plain(message.metadata_context),
        certificate=_certificate(message.attributes),
    )
    method, host, path = (headers.get(name, "") for name in (":method", ":authority", ":path"))
    return RequestFacts(method, host, path, view, tokens)


def headers_of(pairs: Iterable[Any]) -> dict[str, str]:
    """Returns headers by lower-case name; the values of a repeated one are joined by commas.

    Two tenants, for example, are then neither of the two: the last one does not win.
    """
    headers: dict[str, str] = {}
    for pair in pairs:
        name = pair.key.lower()
        value = pair.value or pair.raw_value.decode("utf-8", "replace")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _plain(metadata: Any) -> dict[str, Any]:
    """Returns dynamic metadata as plain values, by filter."""
    return {name: MessageToDict(fields) for name, fields in metadata.filter_metadata.items()}


def _certificate(attributes: Mapping[str, Any]) -> str:
    """Returns the name in the client's certificate, if it is one of `request_attributes`."""
    for fields in attributes.values():
        for name in _CERTIFICATE_ATTRIBUTES:
            value = fields[name] if name in fields else ""  # noqa: SIM401 - a Struct has no default
            if isinstance(value, str) and value:
                return value
    return ""
