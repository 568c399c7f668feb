"""The change of a tenant's policies from one state to another, and how it is written."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any, NamedTuple

from pdp.admin.compliance.entities import put_snapshot
from pdp.domain import compliance_bundle
from pdp.domain.kinds import ENTITY_CLASSES
from pdp.domain.policy_set import PolicySet
from pdp.domain.stored_entity import Change, Op, StoredEntity
from pdp.errors import PolicyNameExists, Violation
from pdp.policy_files.state import NAMES, policy_fields, store_fields
from pdp.store.port import NameTaken

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pdp.policy_files.state import Body, State
    from pdp.store.port import Transaction

_BUNDLE_KINDS = frozenset({compliance_bundle.KIND, compliance_bundle.STATE_KIND})


class PolicyChange(NamedTuple):
    """One policy that is created, changed or deleted."""

    op: Op
    kind: str
    entity_id: str
    body: Body


def changes_between(before: State, target: State) -> tuple[PolicyChange, ...]:
    """Returns what changes; deletions first, because they free names.

    Args:
        before: the tenant's policies of all kinds.
        target: the policies of some kinds; the others stay.
    """
    deletions = [
        PolicyChange("delete", kind, entity_id, body)
        for kind in target
        for entity_id, body in before[kind].items()
        if entity_id not in target[kind]
    ]
    others: list[PolicyChange] = []
    for kind, entities in target.items():
        for entity_id, fields_of_file in entities.items():
            present = before[kind].get(entity_id)
            body = _complete(kind, fields_of_file)
            if present is None:
                others.append(PolicyChange("create", kind, entity_id, body))
            elif policy_fields(kind, _complete(kind, present)) != policy_fields(kind, body):
                others.append(PolicyChange("update", kind, entity_id, body))
    return (*deletions, *others)


def state_after(before: State, changes: Sequence[PolicyChange]) -> State:
    """Returns the tenant's policies with changes made."""
    after = {kind: dict(entities) for kind, entities in before.items()}
    for change in changes:
        if change.op == "delete":
            del after[change.kind][change.entity_id]
        else:
            after[change.kind][change.entity_id] = change.body
    return after


def policies_in(state: State) -> PolicySet:
    """Returns the policies of a state."""
    return PolicySet.of(
        (kind, entity_id, ENTITY_CLASSES[kind](**body))
        for kind, entities in state.items()
        for entity_id, body in entities.items()
    )


def logged_changes(tenant_id: str, before: State, changes: Sequence[PolicyChange]) -> list[Change]:
    """Returns the entries that changes would have in the change log."""
    return [
        Change(
            0,
            tenant_id,
            each.kind,
            each.entity_id,
            each.op,
            before[each.kind].get(each.entity_id),
            None if each.op == "delete" else each.body,
            "",
            0.0,
            "",
        )
        for each in changes
    ]


def write_changes(
    transaction: Transaction,
    tenant_id: str,
    before: State,
    changes: Sequence[PolicyChange],
    *,
    actor: str,
    summary: str,
) -> None:
    """Makes changes, and adds a version to the history of each changed bundle.

    Raises:
        PolicyNameExists: two policies would have the same name.
    """
    for bundle_id in _deleted_bundles(changes):
        put_snapshot(transaction, tenant_id, bundle_id, "delete", actor=actor, summary=summary)
        kind = compliance_bundle.SNAPSHOT_KIND
        transaction.delete(kind, tenant_id, bundle_id, actor=actor, summary=summary)
    for change in changes:
        present = before[change.kind].get(change.entity_id)
        _write(transaction, tenant_id, change, present, actor=actor, summary=summary)
    for change in changes:
        if change.kind in _BUNDLE_KINDS and change.op != "delete":
            created = change.op == "create" and change.kind == compliance_bundle.KIND
            change_type = "create" if created else "update"
            bundle_id = change.entity_id
            put_snapshot(
                transaction, tenant_id, bundle_id, change_type, actor=actor, summary=summary
            )


def _deleted_bundles(changes: Sequence[PolicyChange]) -> Iterator[str]:
    for change in changes:
        if change.kind == compliance_bundle.KIND and change.op == "delete":
            yield change.entity_id


def _complete(kind: str, body: Body) -> Body:
    """Returns a body with the default values of missing fields."""
    entity = ENTITY_CLASSES[kind](**body)
    defaults = {each.name: getattr(entity, each.name) for each in fields(entity)}
    return {name: body.get(name, _as_json(value)) for name, value in defaults.items()}


def _as_json(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _write(
    transaction: Transaction,
    tenant_id: str,
    change: PolicyChange,
    present: Body | None,
    *,
    actor: str,
    summary: str,
) -> None:
    if change.op == "delete":
        transaction.delete(change.kind, tenant_id, change.entity_id, actor=actor, summary=summary)
        return
    body = {**change.body, **_times(transaction, change.kind, present)}
    name = NAMES[change.kind](body) if change.kind in NAMES else None
    entity = StoredEntity(change.kind, tenant_id, change.entity_id, body, name=name)
    try:
        transaction.put(entity, actor=actor, summary=summary)
    except NameTaken as taken:
        place = f"policies.{change.kind}.{change.entity_id}"
        raise PolicyNameExists(
            f'{place}: {taken.holder_id} already has the name "{name}"',
            Violation(place, f"has the same name as {taken.holder_id}"),
        ) from None


def _times(transaction: Transaction, kind: str, present: Body | None) -> Body:
    """Returns the fields that use cases set: times and version."""
    now = transaction.now
    values: Body = {"created_at": now, "updated_at": now, "version": 1}
    if present is not None:
        values["created_at"] = present.get("created_at", now)
        values["version"] = present.get("version", 0) + 1 if _counts(kind) else 0
    names = {each.name for each in fields(ENTITY_CLASSES[kind])} & store_fields(kind)
    return {name: values[name] for name in names}


def _counts(kind: str) -> bool:
    return "version" in store_fields(kind)
