"""Ids of requests that the Python client makes."""

from __future__ import annotations

import os
import re
import subprocess
import sys

from pdp_client.ids import new_id

FORK = """
import os
from pdp_client.ids import new_id
new_id()
child = os.fork()
if child:
    os.waitpid(child, 0)
print(new_id(), flush=True)
"""


def test_ids_are_32_hexadecimal_digits_and_differ() -> None:
    ids = [new_id() for _ in range(1000)]
    assert len(set(ids)) == 1000
    assert all(re.fullmatch("[0-9a-f]{32}", each) for each in ids)


def test_a_child_does_not_make_the_ids_of_its_parent() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", FORK],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    ids = ran.stdout.split()
    assert len({each[:16] for each in ids}) == len(ids) == 2
