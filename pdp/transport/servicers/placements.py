"""Conversions of the fields that say where and when a policy applies, and how it redacts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pdp.jsonpb.structs import struct_object
from pdp.transport.servicers.fields import present_fields, to_struct

if TYPE_CHECKING:
    from pdp.domain.placement import Placed


def placement_of(message: Any) -> dict[str, Any]:
    """Returns the placement of a new policy, by field name."""
    return {
        "expression": message.expression,
        "scope": list(message.scope.scope),
        "scope_actions": struct_object(message.scope_actions),
        "mode": message.mode,
        "redaction": message.redaction,
    }


def placement_changes(message: Any) -> dict[str, Any]:
    """Returns those fields of a placement that are set in an update, by field name."""
    changes = present_fields(message, ("expression", "mode", "redaction"))
    if message.HasField("scope"):
        changes["scope"] = list(message.scope.scope)
    if message.HasField("scope_actions"):
        changes["scope_actions"] = struct_object(message.scope_actions)
    return changes


def placement_fields(policy: Placed) -> dict[str, Any]:
    """Returns the placement of a policy as the fields of an answer."""
    actions = policy.scope_actions
    return {
        "expression": policy.expression,
        "scope": policy.scope,
        "scope_actions": to_struct(actions) if actions else None,
        "mode": policy.mode,
        "redaction": policy.redaction,
    }
