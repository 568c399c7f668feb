"""Makes a tenant's policies what a file or a revision says: compiled before it is kept, or not."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final

from pdp.admin.snapshots import compile_snapshot
from pdp.domain import policy_chain, policy_pack
from pdp.domain.kinds import ENTITY_CLASSES
from pdp.domain.stored_entity import Op, StoredEntity
from pdp.domain.tenant import PLATFORM
from pdp.errors import InvalidArgument, PolicyNameExists, Violation
from pdp.policy_files.state import NAMES, kept_by_the_store, meant, state_of
from pdp.store.port import NameTaken

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pdp.engine.snapshot import Platform
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
class Made:
    """What a change came to.

    Attributes:
        steps: what was done, in that order.
        before, after: the tenant's policies.
        revision: that they are in force from; of the last change before where nothing was done.
    """

    steps: tuple[PolicyChange, ...]
    before: State
    after: State
    revision: int

    @property
    def states(self) -> tuple[State, State]:
        """Before and after."""
        return self.before, self.after


class _Undone(Exception):
    """Ends the transaction of a change that was only tried."""


def make(
    store: Store,
    platform: Platform,
    tenant_id: str,
    wanted_of: Callable[[Reader], State],
    *,
    actor: str,
    summary: str,
    keep: bool,
) -> Made:
    """Makes a tenant's policies what is wanted, in one transaction.

    Args:
        store: where they are.
        platform: what all tenants share.
        tenant_id: whose policies.
        wanted_of: says by kind and id what is wanted, as things stand in the transaction; kinds
            that it has not are left alone.
        actor: who does it, for the change log.
        summary: what is done, for the same.
        keep: commits; else all is done, compiled and undone again.

    Raises:
        InvalidArgument: they do not compile, or name what is not there; nothing was changed.
        PolicyNameExists: two would have one name; nothing was changed.
        StoreUnavailable: the store cannot be written.
    """
    made: list[Made] = []
    with suppress(_Undone), store.write() as transaction:
        before = state_of(transaction, tenant_id)
        steps = tuple(_steps(before, wanted_of(transaction)))
        for step in steps:
            present = before[step.kind].get(step.entity_id)
            _take(transaction, tenant_id, step, present, actor=actor, summary=summary)
        after = state_of(transaction, tenant_id)
        _check_references(transaction, after)
        _compile(transaction, tenant_id, platform)
        made.append(Made(steps, before, after, transaction.revision()))
        if not keep:
            raise _Undone
    return made[0]


def _compile(reader: Reader, tenant_id: str, platform: Platform) -> None:
    try:
        compile_snapshot(reader, tenant_id, platform, None)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        # What use cases keep out of the store, and the contracts cannot say of a file.
        reason = f"cannot be compiled: {error}"
        raise InvalidArgument(f"policies: {reason}", Violation("policies", reason)) from None


def _steps(before: State, wanted: State) -> list[PolicyChange]:
    """Returns what is to be done; deletions first, for they make names free."""
    gone = [
        PolicyChange("delete", kind, entity_id, body)
        for kind in wanted
        for entity_id, body in before[kind].items()
        if entity_id not in wanted[kind]
    ]
    others: list[PolicyChange] = []
    for kind, entities in wanted.items():
        for entity_id, given in entities.items():
            present = before[kind].get(entity_id)
            body = _complete(kind, given)
            if present is None:
                others.append(PolicyChange("create", kind, entity_id, body))
            elif meant(kind, present) != meant(kind, body):
                others.append(PolicyChange("update", kind, entity_id, body))
    return gone + others


def _complete(kind: str, given: Body) -> Body:
    """Returns a body with the defaults of the fields that it does not name."""
    entity = ENTITY_CLASSES[kind](**given)
    defaults = {each.name: getattr(entity, each.name) for each in fields(entity)}
    return {name: given.get(name, _plain(value)) for name, value in defaults.items()}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _take(
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
    record = StoredEntity(step.kind, tenant_id, step.entity_id, body, name=name)
    try:
        transaction.put(record, actor=actor, summary=summary)
    except NameTaken as taken:
        place = f"policies.{step.kind}.{step.entity_id}"
        raise PolicyNameExists(
            f'{place}: the name "{name}" is that of {taken.holder_id}',
            Violation(place, f"has the name of {taken.holder_id}"),
        ) from None


def _times(transaction: Transaction, kind: str, present: Body | None) -> Body:
    """Returns the fields that the store keeps, as a use case would set them."""
    now = transaction.now
    kept: Body = {"created_at": now, "updated_at": now, "version": 1}
    if present is not None:
        kept["created_at"] = present.get("created_at", now)
        kept["version"] = present.get("version", 0) + 1 if _counts(kind) else 0
    names = {each.name for each in fields(ENTITY_CLASSES[kind])} & kept_by_the_store(kind)
    return {name: kept[name] for name in names}


def _counts(kind: str) -> bool:
    return "version" in kept_by_the_store(kind)


_PACKS: Final = policy_pack.KIND


def _check_references(reader: Reader, state: State) -> None:
    """Raises where a rule or a chain names a pack that is not there, or rules share a place."""
    packs = {*state[_PACKS], *(record.id for record in reader.list(_PACKS, PLATFORM))}
    violations: list[Violation] = []
    places: dict[tuple[str, int], str] = {}
    for rule_id, rule in state[policy_pack.RULE_KIND].items():
        place = f"policies.{policy_pack.RULE_KIND}.{rule_id}"
        if rule["pack_id"] not in packs:
            violations.append(Violation(f"{place}.pack_id", "there is no such pack"))
        same = places.setdefault((rule["pack_id"], rule["sequence"]), rule_id)
        if same != rule_id:
            violations.append(Violation(f"{place}.sequence", f"is that of {same}"))
    for pack_id, pack in state[_PACKS].items():
        count = sum(rule["pack_id"] == pack_id for rule in state[policy_pack.RULE_KIND].values())
        if pack["rule_count"] != count:
            place = f"policies.{_PACKS}.{pack_id}.rule_count"
            violations.append(Violation(place, f"must be {count}, as many rules as there are"))
    violations += _chain_faults(state[policy_chain.KIND], packs)
    if violations:
        raise InvalidArgument.of(*violations)


def _chain_faults(chains: Mapping[str, Body], packs: set[str]) -> list[Violation]:
    return [
        Violation(f"policies.{policy_chain.KIND}.{chain_id}.packs", f"there is no pack {pack_id}")
        for chain_id, chain in chains.items()
        for entry in chain["packs"]
        if (pack_id := entry["pack_id"]) not in packs
    ]
