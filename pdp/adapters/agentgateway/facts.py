"""Who asks, as expressions in agentgateway's configuration say.

The gateway sends their values as headers of the webhook, or as the metadata of a guardrail.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote_to_bytes

from pdp.errors import InvalidArgument, Violation
from pdp.strictjson.problems import excerpt, type_mismatch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pdp._gen.pdp.v1 import decide_pb2 as pb

PREFIX: Final = "x-pdp-"

MAX_GROUPS: Final = 1000


def _tenant(message: pb.DecideRequest, value: str) -> None:
    message.tenant_id = value


def _user(message: pb.DecideRequest, value: str) -> None:
    message.subject.user_id = value


def _agent(message: pb.DecideRequest, value: str) -> None:
    message.subject.agent_id = value


def _customer(message: pb.DecideRequest, value: str) -> None:
    message.customer_id = value


def _session(message: pb.DecideRequest, value: str) -> None:
    message.session_id = value


def _model(message: pb.DecideRequest, value: str) -> None:
    message.model.model = value


def _provider(message: pb.DecideRequest, value: str) -> None:
    message.model.provider = value


def _history(message: pb.DecideRequest, value: str) -> None:
    message.payload.history = value


_SETTERS: Final[Mapping[str, Callable[[pb.DecideRequest, str], None]]] = {
    "user": _user,
    "agent": _agent,
    "customer": _customer,
    "session": _session,
    "model": _model,
    "provider": _provider,
}

FACTS: Final = (*_SETTERS, "groups", "history")


def read_headers(message: pb.DecideRequest, headers: Mapping[str, str]) -> None:
    """Sets the facts in `X-PDP-…` headers, which may be percent-encoded UTF-8.

    Args:
        message: what the facts are set in. `X-Tenant-ID` is left to the guards.
        headers: the headers of the webhook, by lower-case name.

    Raises:
        InvalidArgument: such a header is unknown, or its value cannot be read.
    """
    for name, value in headers.items():
        if not name.startswith(PREFIX):
            continue
        fact = name.removeprefix(PREFIX)
        if fact not in FACTS:
            known = ", ".join(f"{PREFIX}{each}" for each in FACTS)
            raise InvalidArgument.of(Violation(excerpt(name), f"is unknown; use {known}"))
        try:
            text = unquote_to_bytes(value).decode()
        except UnicodeDecodeError:
            reason = "is not UTF-8; percent-encode what is not ASCII"
            raise InvalidArgument.of(Violation(name, reason)) from None
        if fact == "groups":
            _set_groups(message, name, [each.strip() for each in text.split(",")])
        elif fact == "history":
            _history(message, text)
        else:
            _SETTERS[fact](message, text)


def read_metadata(message: pb.DecideRequest, metadata: Mapping[str, Any]) -> None:
    """Sets the facts in the metadata of a guardrail. Other values are left to conditions.

    Args:
        message: what the facts are set in.
        metadata: the metadata. `groups` is an array of strings, all other facts are strings; null
            stands for none.

    Raises:
        InvalidArgument: a fact has another type.
    """
    for name, set_fact in {"tenant": _tenant, **_SETTERS}.items():
        value = metadata.get(name)
        if value is None:
            continue
        if not isinstance(value, str):
            reason = type_mismatch("a string", value)
            raise InvalidArgument.of(Violation(f"metadata_context.{name}", reason))
        set_fact(message, value)
    groups = metadata.get("groups")
    if groups is not None:
        path = "metadata_context.groups"
        if not isinstance(groups, list) or not all(isinstance(each, str) for each in groups):
            raise InvalidArgument.of(Violation(path, "must be an array of strings"))
        _set_groups(message, path, groups)


def _set_groups(message: pb.DecideRequest, path: str, groups: list[str]) -> None:
    groups = [each for each in groups if each]
    if len(groups) > MAX_GROUPS:
        raise InvalidArgument.of(Violation(path, f"must have at most {MAX_GROUPS} groups"))
    message.subject.groups.extend(groups)
