"""Cases of what slips past guardrails, decided by a server (tests/corpora/README.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bench.blind_spots import (
    Case,
    Runner,
    injection_cases,
    kind_cases,
    read_cases,
)
from tests.support import servers

if TYPE_CHECKING:
    from collections.abc import Iterator

CASES = [
    *read_cases("blind_spots.jsonl"),
    *read_cases("mentions.jsonl"),
    *kind_cases(),
    *injection_cases(),
]


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    """Decides cases on a server of its own, because some switch models off."""
    with servers.start(tmp_path_factory.mktemp("blind")) as server, server.client() as client:
        yield Runner(client)


@pytest.mark.parametrize("case", CASES, ids=[f"{each.kind}-{each.why}" for each in CASES])
def test_a_case_holds(runner: Runner, case: Case) -> None:
    assert runner.faults(case) == []
