"""What the sections of a policy file share: names, ids, and the state that they build."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import MISSING, fields, is_dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from pdp.domain import compliance_bundle, dlp_rule
from pdp.domain.kinds import ENTITY_CLASSES
from pdp.errors import Violation
from pdp.policy_files.names import Shipped, derived_id, own_ids

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pdp.domain.policy_set import PolicySet
    from pdp.policy_files.entries import Entries, Entry
    from pdp.policy_files.state import Body, State


def defaults_of(kind: str) -> Body:
    """Returns the default values of the fields of a kind, as JSON values."""
    defaults: Body = {}
    for each in fields(ENTITY_CLASSES[kind]):
        if each.default is not MISSING:
            defaults[each.name] = as_json(each.default)
        elif each.default_factory is not MISSING:
            defaults[each.name] = as_json(each.default_factory())
    return defaults


def as_json(value: Any) -> Any:
    """Returns a value of a policy in the form in which the store has it."""
    if isinstance(value, (tuple, list, frozenset)):
        return [as_json(each) for each in value]
    if isinstance(value, dict):
        return {name: as_json(each) for name, each in value.items()}
    if is_dataclass(value):
        return {each.name: as_json(getattr(value, each.name)) for each in fields(value)}
    return value


class Author(NamedTuple):
    """Who makes a change.

    Attributes:
        name: the actor for the change log.
        is_admin: whether they may change what only admins may.
        may_be_permanent: whether they may make exceptions without an end.
        needs_no_approval: whether exceptions need no approval, because nothing is written.
    """

    name: str
    is_admin: bool
    may_be_permanent: bool = False
    needs_no_approval: bool = False


class StateBuilder:
    """Builds the state of a tenant's policies from the entries of a file.

    Attributes:
        entries: the entries of the file.
        present: the tenant's policies of all kinds.
        shipped: the platform's policies.
        author: who makes the change.
        replace: whether the file describes all policies of its sections.
        state: the policies of the kinds that the file changes.
        places: the path of each policy in the file, by its kind and id.
        violations: the faults of the file.
    """

    def __init__(
        self,
        entries: Entries,
        present: State,
        shipped: PolicySet,
        author: Author,
        *,
        replace: bool,
    ) -> None:
        self.entries = entries
        self.present = present
        self.shipped = Shipped(shipped)
        self.author = author
        self.replace = replace
        self.state: State = {}
        self.places: dict[str, str] = {}
        self.violations: list[Violation] = []
        self._ids: dict[str, dict[str, str]] = {}
        self._current_ids: dict[str, tuple[tuple[int, int], dict[str, str]]] = {}

    def refuse(self, path: str, reason: str) -> None:
        """Adds a fault of the file."""
        self.violations.append(Violation(path, reason))

    def bodies(self, kind: str, *, cleared: bool = False) -> dict[str, Body]:
        """Returns the policies of a kind, to be changed.

        Args:
            kind: the kind.
            cleared: whether a file with `replace` describes all of them.
        """
        if kind not in self.state:
            empty = cleared and self.replace
            self.state[kind] = {} if empty else deepcopy(self.present.get(kind, {}))
        return self.state[kind]

    def put(self, kind: str, policy_id: str, entry: Entry, body: Body) -> None:
        """Adds a policy; refuses it if the file has it already."""
        key = f"{kind}/{policy_id}"
        if key in self.places:
            path = self.places[key].removesuffix(".")
            self.refuse(entry.path.removesuffix("."), f"is the same policy as {path}")
        self.places[key] = entry.path
        self.bodies(kind)[policy_id] = body

    def body(self, kind: str, fields_of_file: Body, **others: Any) -> Body:
        """Returns a body with the default values of fields that the file does not have."""
        return {**defaults_of(kind), **fields_of_file, **others}

    def id_of(self, kind: str, name: str) -> str:
        """Returns the id of the tenant's policy with a name: the present or a derived one."""
        if kind not in self._ids:
            self._ids[kind] = own_ids(kind, self.present.get(kind, {}))
        present = self._ids[kind].get(name)
        return present or self.free_id(kind, name)

    def free_id(self, kind: str, *parts: str) -> str:
        """Returns the derived id of a new policy.

        A policy that was renamed keeps the id of its first name, so the next free id is taken.
        """
        present = self.present.get(kind, {})
        policy_id, number = derived_id(kind, *parts), 1
        while policy_id in present:
            number += 1
            policy_id = derived_id(kind, *parts, str(number))
        return policy_id

    def rule_id(self, name: str, path: str) -> str:
        """Returns the id of a DLP rule of the tenant or the platform; refuses unknown names."""
        own = self.current_ids(dlp_rule.KIND)
        return self.found(own.get(name) or self.shipped.rule(name), name, path, "DLP rule")

    def bundle_id(self, name: str, path: str) -> str:
        """Returns the id of a bundle of the tenant or the platform; refuses unknown names."""
        own = self.current_ids(compliance_bundle.KIND)
        bundle_id = own.get(name) or self.shipped.bundle(name)
        return self.found(bundle_id, name, path, "compliance bundle")

    def current_ids(self, kind: str) -> Mapping[str, str]:
        """Returns the ids of the tenant's policies of a kind by name, as the file leaves them."""
        bodies = self.current(kind)
        # A section reads all its entries before another one looks for their names.
        key = (id(bodies), len(bodies))
        if kind not in self._current_ids or self._current_ids[kind][0] != key:
            self._current_ids[kind] = (key, own_ids(kind, bodies))
        return self._current_ids[kind][1]

    def current(self, kind: str) -> Mapping[str, Body]:
        """Returns the policies of a kind as the file leaves them so far."""
        return self.state.get(kind, self.present.get(kind, {}))

    def found(self, policy_id: str, name: str, path: str, what: str) -> str:
        """Returns an id; refuses a name that stands for none."""
        if not policy_id:
            self.refuse(path, f'there is no {what} "{name}"')
        return policy_id
