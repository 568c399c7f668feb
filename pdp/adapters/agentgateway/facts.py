"""Who asks, as expressions in agentgateway's configuration say.

The gateway sends their values as headers of the webhook, or as the metadata of a guardrail.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pdp.errors import InvalidArgument, Violation
from pdp.strictjson.problems import type_mismatch
from pdp.transport.http.fact_headers import GROUPS, MAX_GROUPS, TOKENS, read_facts, set_fact

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pdp._gen.pdp.v1 import decide_pb2 as pb

_FACTS: Final = ("user", "agent", "customer", "session", "model", "provider")


def read_headers(message: pb.DecideRequest, headers: Mapping[str, str]) -> None:
    """Sets the facts in `X-PDP-…` headers.

    Args:
        message: what the facts are set in. `X-Tenant-ID` is left to the guards.
        headers: the headers of the webhook, by lower-case name.

    Raises:
        InvalidArgument: such a header is unknown, was sent twice, or cannot be read.
    """
    read_facts(message, headers, (*_FACTS, GROUPS, "history"), (TOKENS,))


def read_metadata(message: pb.DecideRequest, metadata: Mapping[str, Any]) -> None:
    """Sets the facts in the metadata of a guardrail. Other values are left to conditions.

    Args:
        message: what the facts are set in.
        metadata: the metadata. `groups` is an array of strings, all other facts are strings; null
            stands for none.

    Raises:
        InvalidArgument: a fact has another type.
    """
    for name in ("tenant", *_FACTS):
        value = metadata.get(name)
        if value is None:
            continue
        if not isinstance(value, str):
            reason = type_mismatch("a string", value)
            raise InvalidArgument.of(Violation(f"metadata_context.{name}", reason))
        set_fact(message, name, value)
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
