"""Facts about a request in `X-PDP-…` headers of an enforcement point: who asks, for example."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote_to_bytes

from pdp.errors import MAX_VIOLATIONS, InvalidArgument, Violation
from pdp.strictjson.problems import excerpt
from pdp.transport.http.decoded_headers import DecodedHeaders

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from google.protobuf.message import Message

    from pdp._gen.pdp.v1 import decide_pb2 as pb

PREFIX: Final = "x-pdp-"
GROUPS: Final = "groups"
MAX_GROUPS: Final = 1000

TOKENS: Final = "x-pdp-tokens"
"""The header with the confirmations of prompts. It is no fact: only the decision gets it."""

MAX_TOKENS: Final = 8
MAX_TOKEN: Final = 8192
"""Characters of a token."""

_TOKEN: Final = re.compile(r"[A-Za-z0-9._-]+")

_PATHS: Final[Mapping[str, tuple[str, ...]]] = {
    "tenant": ("tenant_id",),
    "user": ("subject", "user_id"),
    "agent": ("subject", "agent_id"),
    "customer": ("customer_id",),
    "session": ("session_id",),
    "direction": ("direction",),
    "channel": ("channel",),
    "provider": ("model", "provider"),
    "model": ("model", "model"),
    "action": ("action",),
    "tool": ("tool",),
    "resource-type": ("target", "resource_type"),
    "resource-id": ("target", "resource_id"),
    "history": ("payload", "history"),
}
"""The field of a DecideRequest of each fact."""


def set_fact(request: pb.DecideRequest, fact: str, value: str) -> None:
    """Sets a fact of a request: one of `_PATHS`; the groups are a list, and not among them."""
    *owners, field = _PATHS[fact]
    owner: Message = request
    for each in owners:
        owner = getattr(owner, each)
    setattr(owner, field, value)


def read_facts(
    request: pb.DecideRequest,
    headers: Mapping[str, str],
    facts: Collection[str],
    others: Collection[str] = (),
) -> None:
    """Sets the facts that `X-PDP-…` headers give.

    Args:
        request: the request. `X-Tenant-ID` is left to the guards.
        headers: by lower-case name. Values are UTF-8, and may be percent-encoded.
        facts: the facts that may be given, `GROUPS` among them if they may.
        others: other headers with the prefix, which the caller reads itself.

    Raises:
        InvalidArgument: a header is unknown, was sent twice, or cannot be read.
    """
    decoded = DecodedHeaders(headers)
    violations: list[Violation] = []
    for name in headers:
        if name.startswith(PREFIX) and name not in others:
            try:
                _read(request, name, decoded, facts, others)
            except InvalidArgument as error:
                violations += error.violations
    if violations:
        raise InvalidArgument.of(*violations[:MAX_VIOLATIONS])


def listed(value: str, name: str, most: int) -> list[str]:
    """Returns the items of a header that is a list, split by commas.

    Args:
        value: of the header.
        name: of the header.
        most: how many items it may have.

    Raises:
        InvalidArgument: it has more.
    """
    items = [item for item in (each.strip() for each in value.split(",", most + 1)) if item]
    if len(items) > most:
        raise InvalidArgument.of(Violation(name, f"has more than {most} values"))
    return items


def read_tokens(headers: Mapping[str, str]) -> list[str]:
    """Returns the tokens in `X-PDP-Tokens`, which commas separate; none if there is no such header.

    Args:
        headers: by lower-case name.

    Raises:
        InvalidArgument: there are too many, or one is none. The error does not show them.
    """
    return checked_tokens(listed(headers.get(TOKENS, ""), TOKENS, MAX_TOKENS), TOKENS)


def checked_tokens(tokens: Iterable[object], name: str) -> list[str]:
    """Returns tokens that a client has sent.

    Args:
        tokens: what the client has sent.
        name: where, for the error.

    Raises:
        InvalidArgument: there are too many, or one is none. The error does not show them.
    """
    checked: list[str] = []
    for token in tokens:
        if len(checked) == MAX_TOKENS:
            raise InvalidArgument.of(Violation(name, f"has more than {MAX_TOKENS} values"))
        if not isinstance(token, str):
            raise InvalidArgument.of(Violation(name, "has a value that is no text"))
        if len(token) > MAX_TOKEN:
            reason = f"has a value of more than {MAX_TOKEN} characters"
            raise InvalidArgument.of(Violation(name, reason))
        if not _TOKEN.fullmatch(token):
            raise InvalidArgument.of(Violation(name, "has a value that is no token"))
        checked.append(token)
    return checked


def _read(
    request: pb.DecideRequest,
    name: str,
    headers: DecodedHeaders,
    facts: Collection[str],
    others: Collection[str],
) -> None:
    fact = name.removeprefix(PREFIX)
    if fact not in facts:
        names = [*(f"{PREFIX}{each}" for each in facts), *others]
        close = get_close_matches(name, names, 1)
        advice = f"did you mean {close[0]}?" if close else f"use {', '.join(names)}"
        raise InvalidArgument.of(Violation(excerpt(name), f"is unknown; {advice}"))
    value = headers[name]
    if fact == GROUPS:
        groups = listed(value, name, MAX_GROUPS)
        request.subject.groups.extend(_unquoted(each, name) for each in groups)
        return
    if "," in value:
        # A client may have sent its own header beside the one that the gateway has set.
        reason = "was sent more than once, or has a comma; write a comma in a value as %2C"
        raise InvalidArgument.of(Violation(name, reason))
    if value:
        set_fact(request, fact, _unquoted(value, name))


def _unquoted(value: str, name: str) -> str:
    try:
        return unquote_to_bytes(value).decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidArgument.of(Violation(name, "is not UTF-8 when it is decoded")) from None
