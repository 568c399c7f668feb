"""Ids of requests and decisions."""

from __future__ import annotations

import re
import uuid
from itertools import count

from pdp.domain import ids
from pdp.domain.ids import new_id


def test_ids_are_uuids_of_version_7_and_differ() -> None:
    made = [new_id() for _ in range(10_000)]
    assert len(set(made)) == len(made)
    assert {uuid.UUID(each).version for each in made} == {7}
    assert all(str(uuid.UUID(each)) == each for each in made)


def test_ids_of_later_milliseconds_sort_behind_others() -> None:
    first = new_id()
    while (second := new_id())[:13] == first[:13]:
        pass
    assert second > first


def test_the_counter_stays_within_its_digits() -> None:
    make = ids._Ids()
    make._counter = count(ids._LAST)
    last, *more = [make() for _ in range(3)]
    assert last.endswith("ffffffff")
    assert all(re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", each) for each in more)
    assert len({last, *more}) == 3
