"""A short run of `make bench-peers` without the other products."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from bench.peers import programs, report
from bench.peers.__main__ import read_options, run
from bench.peers.processes import Tree, running

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.programs
@pytest.mark.skipif(shutil.which("go") is None, reason="the load generator is written in Go")
def test_a_short_run_measures_this_server() -> None:
    parts = ("--parts", "attributes", "in_process")
    short = ("--quick", "--only-ours", "--sizes", "1", "--seconds", "0.3")
    results = run(read_options([*short, *parts]))
    rows = results["attributes"]
    assert {row["target"] for row in rows} >= {"PDP, gRPC (grpcio)", "PDP, HTTP"}
    for row in rows:
        assert 1 < row["cpu_us"][0] < 1e6
        assert row["own"][0]["offered"] > 0
        assert row["memory_mib"] > 10
    page = report.page(results)
    assert "| PDP, gRPC (grpcio) |" in page
    assert str(programs.ROOT) not in page


def test_a_program_that_ends_is_reported_with_its_last_lines(tmp_path: Path) -> None:
    with (
        pytest.raises(RuntimeError, match="no such setting"),
        running(("sh", "-c", "echo no such setting; exit 3"), lambda: False, log=tmp_path / "log"),
    ):
        pytest.fail("it is not ready")


def test_a_program_runs_until_the_block_ends(tmp_path: Path) -> None:
    file = tmp_path / "log"
    with running(
        ("sh", "-c", "echo ready; sleep 60"), lambda: "ready" in file.read_text(), log=file
    ) as tree:
        assert isinstance(tree, Tree)
        assert tree.memory_mib() > 0
        pid = tree.pid
    assert Tree(pid).memory_mib() == 0
