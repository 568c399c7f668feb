"""Ids of requests and decisions."""

from __future__ import annotations

import re
import subprocess
import sys
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


FORK = """
import os
from pdp.domain.ids import new_id
child = os.fork()
if child:
    os.waitpid(child, 0)
print(new_id(), flush=True)
"""


def test_a_child_does_not_make_the_ids_of_its_parent() -> None:
    """In the same millisecond, both would make the same one."""
    ran = subprocess.run(
        [sys.executable, "-c", FORK], capture_output=True, text=True, check=True, timeout=60
    )
    ids_of_both = ran.stdout.split()
    assert len({each[14:28] for each in ids_of_both}) == len(ids_of_both) == 2
