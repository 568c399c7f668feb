"""The headers in which a gateway describes a request, if it sends no body."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote_to_bytes

from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp.adapters.mapping.context import MAX_GROUPS
from pdp.adapters.mapping.http_headers import DecodedHeaders
from pdp.errors import InvalidArgument, Violation
from pdp.strictjson.problems import excerpt

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.message import Message

PREFIX: Final = "x-pdp-"
SUPPORTED: Final = "x-pdp-supported-obligations"
GROUPS: Final = "x-pdp-groups"

MAX_SUPPORTED: Final = 16

_FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "x-pdp-user": ("subject", "user_id"),
    "x-pdp-agent": ("subject", "agent_id"),
    "x-pdp-customer": ("customer_id",),
    "x-pdp-session": ("session_id",),
    "x-pdp-direction": ("direction",),
    "x-pdp-channel": ("channel",),
    "x-pdp-provider": ("model", "provider"),
    "x-pdp-model": ("model", "model"),
    "x-pdp-action": ("action",),
    "x-pdp-tool": ("tool",),
    "x-pdp-resource-type": ("target", "resource_type"),
    "x-pdp-resource-id": ("target", "resource_id"),
}

NAMES: Final = (*_FIELDS, GROUPS, SUPPORTED)


def described(headers: Mapping[str, str]) -> bool:
    """Returns whether headers describe a request."""
    return any(name.startswith(PREFIX) and name != SUPPORTED for name in headers)


def supported_obligations(headers: Mapping[str, str]) -> frozenset[str]:
    """Returns the obligations that the caller carries out."""
    return frozenset(_listed(DecodedHeaders(headers).get(SUPPORTED, ""), SUPPORTED, MAX_SUPPORTED))


def read_headers(headers: Mapping[str, str]) -> pb.DecideRequest:
    """Returns the request that headers describe.

    Args:
        headers: by lower-case name. Values are UTF-8, and may be percent-encoded.

    Raises:
        InvalidArgument: a header is unknown, was sent twice, or cannot be read.
    """
    request = pb.DecideRequest()
    decoded = DecodedHeaders(headers)
    violations: list[Violation] = []
    for name in headers:
        if name.startswith(PREFIX) and name != SUPPORTED:
            try:
                _read(request, name, decoded)
            except InvalidArgument as error:
                violations += error.violations
    if violations:
        raise InvalidArgument.of(*violations[:32])
    return request


def _read(request: pb.DecideRequest, name: str, headers: DecodedHeaders) -> None:
    if name == GROUPS:
        groups = _listed(headers[name], name, MAX_GROUPS)
        request.subject.groups.extend(_decoded(each, name) for each in groups)
        return
    path = _FIELDS.get(name)
    if path is None:
        close = get_close_matches(name, NAMES, 1)
        advice = f"did you mean {close[0]}?" if close else f"use {', '.join(NAMES)}"
        raise InvalidArgument.of(Violation(excerpt(name), f"is unknown; {advice}"))
    value = headers[name]
    if "," in value:
        # A client may have sent its own header beside the one that the gateway has set.
        reason = "was sent more than once, or has a comma; write a comma in a value as %2C"
        raise InvalidArgument.of(Violation(name, reason))
    *owners, field = path
    owner: Message = request
    for each in owners:
        owner = getattr(owner, each)
    if value:
        setattr(owner, field, _decoded(value, name))


def _listed(value: str, name: str, most: int) -> list[str]:
    items = [item for item in (each.strip() for each in value.split(",", most + 1)) if item]
    if len(items) > most:
        raise InvalidArgument.of(Violation(name, f"has more than {most} values"))
    return items


def _decoded(value: str, name: str) -> str:
    try:
        return unquote_to_bytes(value).decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidArgument.of(Violation(name, "is not UTF-8 when it is decoded")) from None
