"""Replays on a real Spark in local mode: the report is that of the local engine.

`make test-spark` runs them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pyarrow.dataset as ds
import pytest

from pdp.cli.exit_codes import Exit
from pdp.domain.audit_log import RecordFilter
from pdp.record_files.exported_log import ExportedLog
from pdp.record_files.locations import open_files
from pdp.replay_runs.loading import load_policies
from pdp.replay_runs.local import LocalEngine
from pdp.replay_runs.run import replay_export
from pdp.replay_runs.spark import SparkEngine
from pdp.store import open_audit_log
from tests.support.audit_logs import body
from tests.support.record_files import export
from tests.support.recorded_databases import record_decisions

if TYPE_CHECKING:
    from pathlib import Path

    from pdp.decisions.replay_tally import ReplayTally

pytestmark = [
    pytest.mark.spark,
    pytest.mark.filterwarnings("ignore::FutureWarning:pyspark"),  # its own use of pandas
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # the sockets of py4j
]

MASTER = "local[2]"


@pytest.fixture(name="home", scope="module")
def _home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a database with an export of several steps."""
    home = tmp_path_factory.mktemp("spark")
    record_decisions(home)
    export(home / "audit.db", open_files(f"{home}/out", "--output"), file_rows=20)
    return home


def command(home: Path, *arguments: str, **environment: str) -> tuple[int, str, str]:
    """Runs a replay in a process of its own; returns its exit code, output and errors."""
    done = subprocess.run(
        [
            sys.executable, "-m", "pdp", "replay", "--records", f"{home}/out",
            "--overlay", f"{home}/overlay.json", "--tenant", "acme", "--json", *arguments,
        ],
        env={**os.environ, "PDP_DATABASE_URL": f"sqlite:///{home}/pdp.db", **environment},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def on_spark(results: Path) -> tuple[str, ...]:
    return ("--engine", "spark", "--spark-master", MASTER, "--results", str(results))


def test_the_report_is_that_of_the_local_engine(home: Path, tmp_path: Path) -> None:
    code, local, _ = command(home)
    results = tmp_path / "results"
    assert command(home, *on_spark(results))[:2] == (code, local)
    assert code == Exit.NO
    [directory] = results.iterdir()
    assert json.loads((directory / "_report.json").read_text()) == json.loads(local)
    assert all(directory.glob("part-*/_SUCCESS"))
    assert directory.stat().st_mode & 0o077 == 0
    # No Spark is started if all jobs are complete.
    no_java = {"JAVA_HOME": str(tmp_path)}
    assert command(home, *on_spark(results), **no_java)[:2] == (code, local)


def test_a_java_that_is_missing_is_named(home: Path, tmp_path: Path) -> None:
    code, _, error = command(home, *on_spark(tmp_path / "results"), JAVA_HOME=str(tmp_path))
    assert code == Exit.CONFIG
    assert "It needs Java 17 or newer" in error


def replay(home: Path, results: Path, engine: SparkEngine | LocalEngine) -> ReplayTally:
    page, _ = replay_export(
        ExportedLog(open_files(f"{home}/out", "--records")),
        load_policies(f"sqlite:///{home}/pdp.db", "acme"),
        RecordFilter("acme"),
        engine,
        release="test",
        examples=3,
        results=open_files(str(results), "--results"),
    )
    return page.tally


def test_jobs_that_are_complete_are_not_run_again(home: Path, tmp_path: Path) -> None:
    engine = SparkEngine(MASTER, group_rows=20)
    first = replay(home, tmp_path / "results", engine)
    groups = sorted((tmp_path / "results").glob("*/part-*"))
    assert len(groups) == 2
    (groups[0] / "_SUCCESS").unlink()  # as if Spark had been interrupted in this job
    times = {each: each.stat().st_mtime_ns for each in groups[1].iterdir()}
    assert replay(home, tmp_path / "results", engine) == first
    assert (groups[0] / "_SUCCESS").exists()
    assert {each: each.stat().st_mtime_ns for each in groups[1].iterdir()} == times


def test_records_that_are_added_are_there_once(home: Path, tmp_path: Path) -> None:
    engine = SparkEngine(MASTER)
    replay(home, tmp_path / "results", engine)
    with closing(open_audit_log(f"sqlite:///{home}/audit.db")) as log:
        log.append([body(1000 + n) for n in range(5)])
    export(home / "audit.db", open_files(f"{home}/out", "--output"), file_rows=20)
    tally = replay(home, tmp_path / "results", engine)
    assert tally == replay(home, tmp_path / "local", LocalEngine(1))
    [directory] = (tmp_path / "results").iterdir()
    table = ds.dataset(directory, format="parquet").to_table()
    assert table.num_rows == 45
