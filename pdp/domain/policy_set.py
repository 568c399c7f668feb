"""The policies of one owner. `pdp.domain.kinds` makes them from what the store has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_NONE: Final[Mapping[str, Any]] = {}


class PolicySet:
    """The policies of one owner, by kind and id, in order of creation. Immutable."""

    __slots__ = ("_kinds",)

    def __init__(self, kinds: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        self._kinds = kinds or {}

    @classmethod
    def of(cls, policies: Iterable[tuple[str, str, Any]]) -> PolicySet:
        """Returns the set of `policies`, each with its kind and its id."""
        kinds: dict[str, dict[str, Any]] = {}
        for kind, policy_id, policy in policies:
            kinds.setdefault(kind, {})[policy_id] = policy
        return cls(kinds)

    def of_kind(self, kind: str) -> Mapping[str, Any]:
        """Returns the policies of a kind by id."""
        return self._kinds.get(kind, _NONE)

    def with_changes(self, changes: Iterable[tuple[str, str, Any | None]]) -> PolicySet:
        """Returns a copy of the set with changes.

        Args:
            changes: kind, id, and the policy as it is now; None for a deleted policy.
        """
        kinds: dict[str, Mapping[str, Any]] = dict(self._kinds)
        copies: dict[str, dict[str, Any]] = {}
        for kind, policy_id, policy in changes:
            if kind not in copies:
                kinds[kind] = copies[kind] = dict(self.of_kind(kind))
            if policy is None:
                copies[kind].pop(policy_id, None)
            else:
                copies[kind][policy_id] = policy
        return PolicySet(kinds)

    def with_policies(self, kind: str, policies: Mapping[str, Any]) -> PolicySet:
        """Returns a copy of the set in which `policies` are added to a kind, or replace its own.

        Args:
            kind: the kind of the policies.
            policies: the policies by id.
        """
        return PolicySet({**self._kinds, kind: {**self.of_kind(kind), **policies}})

    def __bool__(self) -> bool:
        """Returns whether there is any policy."""
        return any(self._kinds.values())
