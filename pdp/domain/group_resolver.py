"""Resolves the groups of a subject (docs/decide.md, Groups).

A subject is in the groups that the request names and in the user groups that list its user.
Names are compared without regard to case.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from pdp.domain.request import Subject
    from pdp.domain.user_group import UserGroup

NO_GROUPS: Final[frozenset[str]] = frozenset()


def normalize_group(name: str) -> str:
    """Returns the name of a group for comparison."""
    return name.strip().casefold()


class GroupResolver:
    """Finds the groups of a subject among user groups. Immutable.

    Without user groups, the names that the request has are the only groups.
    """

    __slots__ = ("_by_name", "_members", "_names")

    def __init__(self, groups: Collection[UserGroup] = ()) -> None:
        by_name: dict[str, list[str]] = {}
        members: dict[str, list[str]] = {}
        self._names: Mapping[str, frozenset[str]] = {
            group.id: frozenset({normalize_group(group.name), normalize_group(group.id)})
            for group in groups
        }
        for group in groups:
            for name in self._names[group.id]:
                by_name.setdefault(name, []).append(group.id)
            for member in set(group.members):
                members.setdefault(member, []).append(group.id)
        self._by_name = _frozen(by_name)
        self._members = _frozen(members)

    def ids_of(self, subject: Subject) -> frozenset[str]:
        """Returns the ids of the user groups that a subject is in.

        A subject is in a user group if its `groups` contain the name or the id of the group
        (compared without regard to case), or if its `user_id` is a member of the group.
        """
        ids = self._members.get(subject.user_id, NO_GROUPS) if subject.user_id else NO_GROUPS
        if self._by_name:
            for name in subject.groups:
                named = self._by_name.get(normalize_group(name))
                if named is not None:
                    ids |= named
        return ids

    def __bool__(self) -> bool:
        """Returns whether there are user groups."""
        return bool(self._by_name)

    def names_of(self, subject: Subject) -> frozenset[str]:
        """Returns all groups of a subject, by `normalize_group`.

        They are those that its request names, and the name and the id of each of its user groups.
        """
        names = frozenset(map(normalize_group, subject.groups)) if subject.groups else NO_GROUPS
        if self._by_name:
            for group_id in self.ids_of(subject):
                names |= self._names[group_id]
        return names


def _frozen(groups: Mapping[str, list[str]]) -> dict[str, frozenset[str]]:
    # Many users are in the same groups, so equal sets are one object.
    sets: dict[frozenset[str], frozenset[str]] = {}
    return {
        name: sets.setdefault(ids, ids)
        for name, each in groups.items()
        for ids in (frozenset(each),)
    }


NO_USER_GROUPS: Final = GroupResolver()
