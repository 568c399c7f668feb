"""Changes a tenant's policies to a given state, after compiling them: for imports and rollbacks."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final

from pdp.admin.snapshots import compile_snapshot
from pdp.admin.write_checks import check_write
from pdp.domain import policy_chain, policy_pack
from pdp.domain.kinds import ENTITY_CLASSES
from pdp.domain.stored_entity import Op, StoredEntity
from pdp.domain.tenant import PLATFORM
from pdp.errors import InvalidArgument, PolicyNameExists, Violation
from pdp.policy_files.state import NAMES, policy_fields, state_of, store_fields
from pdp.store.port import NameTaken

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pdp.domain.write_warning import WriteWarning
    from pdp.engine.snapshot import Platform, Snapshot
    from pdp.policy_files.state import Body, State
    from pdp.store.port import Reader, Store, Transaction


@dataclass(frozen=True, slots=True)
class PolicyChange:
    """One policy that is created, changed or deleted."""

    op: Op
    kind: str
    entity_id: str
    body: Body


@dataclass(frozen=True, slots=True)
class StateChange:
    """The change from one state of a tenant's policies to another.

    Attributes:
        steps: the changes of single policies, in order.
        before, after: the tenant's policies.
        revision: the revision at which `after` is in force; the previous one without steps.
        warnings: what the author of the policies may not expect.
    """

    steps: tuple[PolicyChange, ...]
    before: State
    after: State
    revision: int
    warnings: tuple[WriteWarning, ...] = ()

    @property
    def states(self) -> tuple[State, State]:
        """The states before and after."""
        return self.before, self.after


class _RolledBack(Exception):
    """Rolls back the transaction of a dry run."""


def apply_state(
    store: Store,
    platform: Platform,
    tenant_id: str,
    target_of: Callable[[Reader], State],
    *,
    actor: str,
    summary: str,
    commit: bool,
) -> StateChange:
    """Changes a tenant's policies to a target state, in one transaction.

    Args:
        store: the store with the policies.
        platform: the platform's policies.
        tenant_id: the tenant.
        target_of: returns the target state, read in the transaction. Kinds that it does not have
            stay unchanged.
        actor: the actor for the change log.
        summary: the summary for the change log.
        commit: whether to commit; if not, the changes are compiled and rolled back.

    Raises:
        InvalidArgument: the policies do not compile, refer to missing ones, or have too many
            patterns that match nearly everywhere; nothing was changed.
        PolicyNameExists: two policies would have the same name; nothing was changed.
        StoreUnavailable: the store cannot be written.
    """
    changes: list[StateChange] = []
    with suppress(_RolledBack), store.write() as transaction:
        before = state_of(transaction, tenant_id)
        steps = tuple(_steps(before, target_of(transaction)))
        for step in steps:
            present = before[step.kind].get(step.entity_id)
            _apply(transaction, tenant_id, step, present, actor=actor, summary=summary)
        after = state_of(transaction, tenant_id)
        _check_references(transaction, after)
        snapshot = _compile(transaction, tenant_id, platform)
        warnings = check_write(
            snapshot, transaction.new_changes, default_place="policies.{kind}.{id}."
        )
        changes.append(StateChange(steps, before, after, transaction.revision(), warnings))
        if not commit:
            raise _RolledBack
    return changes[0]


def _compile(reader: Reader, tenant_id: str, platform: Platform) -> Snapshot:
    try:
        return compile_snapshot(reader, tenant_id, platform, None)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        # The contracts cannot express all checks of the use cases.
        reason = f"cannot be compiled: {error}"
        raise InvalidArgument(f"policies: {reason}", Violation("policies", reason)) from None


def _steps(before: State, target: State) -> list[PolicyChange]:
    """Returns the changes; deletions first, because they free names."""
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
            elif policy_fields(kind, present) != policy_fields(kind, body):
                others.append(PolicyChange("update", kind, entity_id, body))
    return deletions + others


def _complete(kind: str, body: Body) -> Body:
    """Returns a body with the default values of missing fields."""
    entity = ENTITY_CLASSES[kind](**body)
    defaults = {each.name: getattr(entity, each.name) for each in fields(entity)}
    return {name: body.get(name, _as_json(value)) for name, value in defaults.items()}


def _as_json(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _apply(
    transaction: Transaction,
    tenant_id: str,
    step: PolicyChange,
    present: Body | None,
    *,
    actor: str,
    summary: str,
) -> None:
    if step.op == "delete":
        transaction.delete(step.kind, tenant_id, step.entity_id, actor=actor, summary=summary)
        return
    body = {**step.body, **_times(transaction, step.kind, present)}
    name = NAMES[step.kind](body) if step.kind in NAMES else None
    entity = StoredEntity(step.kind, tenant_id, step.entity_id, body, name=name)
    try:
        transaction.put(entity, actor=actor, summary=summary)
    except NameTaken as taken:
        place = f"policies.{step.kind}.{step.entity_id}"
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


_PACKS: Final = policy_pack.KIND


def _check_references(reader: Reader, state: State) -> None:
    """Raises if a rule or a chain names a missing pack, or if rules of a pack share a sequence."""
    packs = {*state[_PACKS], *(entity.id for entity in reader.list(_PACKS, PLATFORM))}
    violations: list[Violation] = []
    sequences: dict[tuple[str, int], str] = {}
    for rule_id, rule in state[policy_pack.RULE_KIND].items():
        place = f"policies.{policy_pack.RULE_KIND}.{rule_id}"
        if rule["pack_id"] not in packs:
            violations.append(Violation(f"{place}.pack_id", "there is no such pack"))
        other = sequences.setdefault((rule["pack_id"], rule["sequence"]), rule_id)
        if other != rule_id:
            violations.append(Violation(f"{place}.sequence", f"is the same as that of {other}"))
    for pack_id, pack in state[_PACKS].items():
        count = sum(rule["pack_id"] == pack_id for rule in state[policy_pack.RULE_KIND].values())
        if pack["rule_count"] != count:
            place = f"policies.{_PACKS}.{pack_id}.rule_count"
            violations.append(Violation(place, f"must be {count}, the number of the pack's rules"))
    violations += _chain_violations(state[policy_chain.KIND], packs)
    if violations:
        raise InvalidArgument.of(*violations)


def _chain_violations(chains: Mapping[str, Body], packs: set[str]) -> list[Violation]:
    return [
        Violation(f"policies.{policy_chain.KIND}.{chain_id}.packs", f"there is no pack {pack_id}")
        for chain_id, chain in chains.items()
        for entry in chain["packs"]
        if (pack_id := entry["pack_id"]) not in packs
    ]
