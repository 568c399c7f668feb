"""The groups of a subject: by name, by id and by membership."""

from __future__ import annotations

import pytest

from pdp.domain.group_resolver import NO_GROUPS, GroupResolver
from pdp.domain.request import NO_SUBJECT, Subject
from pdp.domain.user_group import UserGroup

GROUPS = GroupResolver(
    [
        UserGroup("id-1", "Finance", members=["u1", "u2", "u1"]),
        UserGroup("id-2", "Engineering", members=["u2"]),
        UserGroup("id-3", "id-1"),
    ]
)


@pytest.mark.parametrize(
    ("user_id", "groups", "expected"),
    [
        ("", (), set()),
        ("nobody", ("Sales",), set()),
        ("", ("Finance",), {"id-1"}),
        ("", ("finance",), {"id-1"}),
        ("", ("Finance ", "Finances"), {"id-1"}),
        ("", ("id-2",), {"id-2"}),
        ("", ("id-1",), {"id-1", "id-3"}),
        ("u1", (), {"id-1"}),
        ("u2", (), {"id-1", "id-2"}),
        ("u1", ("Engineering", "Sales", "Engineering"), {"id-1", "id-2"}),
    ],
)
def test_a_subject_is_in_the_groups_that_it_names_or_is_a_member_of(
    user_id: str, groups: tuple[str, ...], expected: set[str]
) -> None:
    assert GROUPS.ids_of(Subject(user_id=user_id, groups=groups)) == expected


def test_without_groups_a_subject_is_in_no_group() -> None:
    empty = GroupResolver()
    assert empty.ids_of(NO_SUBJECT) is NO_GROUPS
    assert empty.ids_of(Subject(user_id="u1", groups=("Finance",))) is NO_GROUPS


@pytest.mark.parametrize(
    ("user_id", "groups", "expected"),
    [
        ("", (), set()),
        ("", ("Sales", "SALES"), {"sales"}),
        ("", ("ID-2",), {"id-2", "engineering"}),
        ("u1", ("Sales",), {"sales", "finance", "id-1"}),
        ("u2", (), {"finance", "id-1", "engineering", "id-2"}),
        ("U2", (), set()),
    ],
)
def test_the_names_of_all_groups(user_id: str, groups: tuple[str, ...], expected: set[str]) -> None:
    assert GROUPS.names_of(Subject(user_id=user_id, groups=groups)) == expected
