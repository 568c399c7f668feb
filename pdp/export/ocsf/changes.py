"""Converts admin changes to OCSF events: one Entity Management event per change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pdp.domain import approval
from pdp.export.ocsf import schema

if TYPE_CHECKING:
    from pdp.domain.stored_entity import Change

_ACTIVITIES: Final = {"create": (1, "Create"), "update": (3, "Update"), "delete": (4, "Delete")}
_TYPES: Final = {"user_group": (3, "Group")}
_POLICY: Final = (5, "Policy")
_DISABLE: Final = (9, "Disable")
_ENABLE: Final = (8, "Enable")
_KILLED: Final = "kill_switch_disabled_at"

_ACTIVITIES_OF_STATES: Final = {
    approval.APPROVED: (10, "Activate"),
    **dict.fromkeys(
        (approval.USED, approval.DENIED, approval.CANCELLED, approval.EXPIRED), (11, "Deactivate")
    ),
}
"""The activity by the state that an approval gets."""


def change_uid(change: Change) -> str:
    """Returns the uid of a change's event.

    It stays unique if a server is restored from a backup and uses revisions again.
    """
    return f"change-{change.revision}-{round(change.at * 1000)}"


def change_event(change: Change) -> dict[str, Any]:
    """Returns the event of a change.

    The event names the changed fields but not their values, because values such as webhook URLs and
    patterns are for admins only. The admin audit trail has them under the same revision.
    """
    event = schema.event(
        schema.ENTITY_MANAGEMENT,
        _activity(change),
        uid=change_uid(change),
        at=change.at,
        severity_id=schema.INFORMATIONAL,
        message=f"{change.actor}: {change.summary}",
        tenant_id=change.tenant_id,
    )
    type_id, type_name = _type(change.kind)
    event |= {
        "status_id": schema.SUCCESS,
        "status": schema.STATUSES[schema.SUCCESS],
        "actor": {"user": {"name": change.actor, "uid": change.actor}},
        "entity": {
            "uid": change.entity_id,
            "name": _name(change),
            "type_id": type_id,
            "type": type_name,
            "version": str(change.revision),
        },
        "comment": change.summary,
        "unmapped": {
            "kind": change.kind,
            "revision": change.revision,
            "changed_fields": _changed_fields(change),
            **_approval(change),
        },
    }
    return event


def _activity(change: Change) -> tuple[int, str]:
    """Returns the activity.

    A change of a kill switch counts as enabling or disabling only, and one of an approval as what
    its state becomes.
    """
    if change.before is not None and change.after is not None:
        if change.kind == approval.KIND and change.after["state"] != change.before["state"]:
            return _ACTIVITIES_OF_STATES.get(change.after["state"], _ACTIVITIES[change.op])
        before, after = change.before.get(_KILLED), change.after.get(_KILLED)
        if (before is None) != (after is None):
            return _DISABLE if before is None else _ENABLE
    return _ACTIVITIES[change.op]


def _approval(change: Change) -> dict[str, str]:
    """Returns the state of an approval or a confirmation; nothing for others."""
    if change.kind not in approval.KINDS or change.after is None:
        return {}
    return {"approval_state": change.after["state"]}


def _type(kind: str) -> tuple[int, str]:
    if kind.endswith(("policy", "pack", "rule", "chain", "bundle", "override")):
        return _POLICY
    return _TYPES.get(kind, (schema.OTHER, kind))


def _name(change: Change) -> str:
    body = change.after or change.before or {}
    name = body.get("name") or body.get("display_name")
    return name if isinstance(name, str) else change.entity_id


def _changed_fields(change: Change) -> list[str]:
    before, after = change.before or {}, change.after or {}
    return sorted(
        name for name in before.keys() | after.keys() if before.get(name) != after.get(name)
    )
