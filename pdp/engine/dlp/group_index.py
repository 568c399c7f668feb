"""Looks up the groups of a subject, among the groups that have settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pdp.domain.request import Subject
    from pdp.domain.user_group import UserGroup


class GroupIndex:
    """Finds the groups that a subject is in.

    It is compiled only from the groups that matter to a layer. Without any, a look-up costs almost
    nothing.
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

    def ids_of(self, subject: Subject) -> frozenset[str]:
        """Returns the ids of the groups that a subject is in.

        A subject is in a group if its `groups` contain the name or the id of the group (compared
        exactly), or if its `user_id` is a member of the group.
        """
        ids = self._members.get(subject.user_id, NO_GROUPS) if subject.user_id else NO_GROUPS
        if self._names:
            for name in subject.groups:
                named = self._names.get(name)
                if named is not None:
                    ids |= named
        return ids


NO_GROUPS: Final[frozenset[str]] = frozenset()


def _frozen(groups: Mapping[str, list[str]]) -> dict[str, frozenset[str]]:
    return {name: frozenset(ids) for name, ids in groups.items()}
