"""The groups of a subject, for layers in which groups are configured (seed 002)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pdp.domain.request import Subject
    from pdp.domain.user_group import UserGroup


class GroupIndex:
    """Tells which of some groups a subject is in.

    Compiled from the groups that matter to a layer alone: with none, asking costs next to nothing.
    """

    __slots__ = ("_members", "_names")

    def __init__(self, groups: Iterable[UserGroup] = ()) -> None:
        names: dict[str, list[str]] = {}
        members: dict[str, list[str]] = {}
        for group in groups:
            for name in {group.name, group.id}:
                names.setdefault(name, []).append(group.id)
            for member in set(group.members):
                members.setdefault(member, []).append(group.id)
        self._names: Mapping[str, frozenset[str]] = _frozen(names)
        self._members: Mapping[str, frozenset[str]] = _frozen(members)

    def of(self, subject: Subject) -> frozenset[str]:
        """Returns the ids of the groups that a subject is in.

        It is in those that its `groups` name, by name or id, compared exactly, and in those that
        its `user_id` is a member of.
        """
        found = self._members.get(subject.user_id, NO_GROUPS) if subject.user_id else NO_GROUPS
        if self._names:
            for name in subject.groups:
                named = self._names.get(name)
                if named is not None:
                    found |= named
        return found


NO_GROUPS: Final[frozenset[str]] = frozenset()


def _frozen(groups: Mapping[str, list[str]]) -> dict[str, frozenset[str]]:
    return {name: frozenset(ids) for name, ids in groups.items()}
