"""Replays on Spark: the records are read and divided by Spark, and its Python workers replay them.

The records are replayed in groups of files, one job each. The results of a group are a directory
that Spark marks when it is complete, so an interrupted replay goes on with the next group.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, Final

from pdp.decisions.replay_tally import ReplayTally
from pdp.errors import ConfigError, StoreUnavailable
from pdp.record_files.locations import LocalFiles
from pdp.replay_runs.run import part_name, read_results
from pdp.replay_runs.task import ReplayTask, replay_bodies

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    import pyarrow as pa

    from pdp.record_files.locations import FileStore
    from pdp.record_files.manifest import RecordFile
    from pdp.replay_runs.run import ReplayRun

GROUP_ROWS: Final = 1_000_000
"""About the most records of a group, which is lost if the replay is interrupted."""

THIS_HOST: Final = "local[*]"
"""The master that is all cores of this host."""

_COMPLETE: Final = "_SUCCESS"
_COLUMNS: Final = (
    "sequence bigint, decision_id string, time timestamp, user_id string, `from` string,"
    " `to` string, not_replayed string, gaps array<string>, on_other_policies boolean,"
    " sample_rate double, reason_code string, message string, causes array<struct<layer: string,"
    " policy_id: string, name: string, effect: string, from_action: string, to_action: string,"
    " reason: string>>"
)
"""The schema of results, in the form of Spark."""


class SparkEngine:
    """Replays on Spark."""

    name = "spark"

    def __init__(self, master: str = THIS_HOST, *, group_rows: int = GROUP_ROWS) -> None:
        """Args:
        master: the cluster, for instance `spark://HOST:7077` or `local[4]`.
        group_rows: about the most records of a job.
        """
        self._master = master
        self._group_rows = group_rows

    def replay(self, run: ReplayRun) -> ReplayTally:
        """See `ReplayEngine.replay`."""
        if run.results is None:
            raise ConfigError("Spark needs a place for its results: give --results")
        groups = {
            f"{run.directory}/{part_name(*(each.sha256 for each in group))}": group
            for group in self._groups(run.files)
        }
        self._run_jobs(run, run.results, groups)
        _remove_others(run.results, run.directory, groups)
        tally = ReplayTally(run.examples)
        for directory in groups:
            for name in run.results.names(directory):
                if name.endswith(".parquet"):
                    read_results(tally, run.results, f"{directory}/{name}")
        return tally

    def _run_jobs(
        self, run: ReplayRun, results: FileStore, groups: Mapping[str, Sequence[RecordFile]]
    ) -> None:
        """Runs a job for each group whose results are not complete."""
        session: Any = None
        done = 0
        try:
            for directory, group in groups.items():
                if results.read(f"{directory}/{_COMPLETE}") is None:
                    session = session or _open_session(self._master)
                    paths = [spark_path(run.records, each.path) for each in group]
                    _run_job(session, run.task, paths, spark_path(results, directory))
                done += sum(each.rows for each in group)
                run.show_progress(done / (run.rows or 1))
        finally:
            if session is not None:
                session.stop()

    def _groups(self, files: Sequence[RecordFile]) -> Iterator[list[RecordFile]]:
        group: list[RecordFile] = []
        for file in files:
            group.append(file)
            if sum(each.rows for each in group) >= self._group_rows:
                yield group
                group = []
        if group:
            yield group


def _open_session(master: str) -> Any:
    from pyspark.sql import SparkSession  # noqa: PLC0415 - an extra, and takes a second

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.appName("pdp replay").master(master)
    if master.startswith("local"):  # then nothing but this host needs to reach the session
        builder = builder.config("spark.driver.bindAddress", "127.0.0.1")
        builder = builder.config("spark.driver.host", "127.0.0.1")
        builder = builder.config("spark.ui.enabled", "false")
    try:
        session = builder.config("spark.sql.session.timeZone", "UTC").getOrCreate()
    except Exception as error:
        raise ConfigError(
            f"Spark cannot be started ({type(error).__name__}). It needs Java 17 or newer: set"
            " JAVA_HOME, and check --spark-master."
        ) from None
    session.sparkContext.setLogLevel("ERROR")
    return session


def _remove_others(results: FileStore, directory: str, groups: Collection[str]) -> None:
    """Removes the results of a last group that has more files now: no row may be there twice."""
    for path in results.matching(f"{directory}/part-*/*"):
        if path.rpartition("/")[0] not in groups:
            results.remove(path)


def _run_job(session: Any, task: ReplayTask, paths: Sequence[str], target: str) -> None:
    shared = session.sparkContext.broadcast(tuple(task))
    try:
        records = session.read.parquet(*paths).select("sequence", "body")
        results = records.mapInArrow(_replayer(shared), _COLUMNS)
        results.write.mode("overwrite").option("compression", "zstd").parquet(target)
    except Exception as error:
        # Its message may have parts of records.
        raise StoreUnavailable(
            f"a job of Spark failed ({type(error).__name__}); see the log of Spark. Start the"
            " replay again to go on with this job."
        ) from None
    finally:
        shared.destroy()


def _replayer(task: Any) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Returns the function that a Python worker of Spark runs.

    Args:
        task: the broadcast of a `ReplayTask`.
    """

    def replay(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        bodies = (
            row
            for batch in batches
            for row in zip(*(column.to_pylist() for column in batch.columns), strict=True)
        )
        yield from replay_bodies(ReplayTask(*task.value), bodies)

    return replay


def spark_path(files: FileStore, path: str) -> str:
    """Returns a path in the form that Spark reads."""
    if isinstance(files, LocalFiles):
        return f"file://{files.url}/{path}"
    url = files.url.rstrip("/")
    # The name of the store of Hadoop; fsspec knows it as s3.
    return f"{url.replace('s3://', 's3a://', 1) if url.startswith('s3://') else url}/{path}"
