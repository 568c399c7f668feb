"""Replays on this host, with a process for each core."""

from __future__ import annotations

import io
import os
import signal
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import TYPE_CHECKING, Final, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from pdp.decisions.replay_tally import ReplayTally
from pdp.errors import StoreUnavailable
from pdp.record_files.exported_log import read_bodies
from pdp.record_files.locations import open_files
from pdp.replay_runs.results import RESULTS, add_results
from pdp.replay_runs.run import part_name, read_results
from pdp.replay_runs.task import replay_bodies

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pdp.record_files.locations import FileStore
    from pdp.record_files.manifest import RecordFile
    from pdp.replay_runs.run import ReplayRun
    from pdp.replay_runs.task import ReplayTask

_RECORDS: Final = "--records"
_RESULTS: Final = "--results"


class _RowGroup(NamedTuple):
    """A row group of a file: what a process replays at a time.

    Attributes:
        rows: about how many records it has.
        name: the path of its results; empty if none are kept.
    """

    file: RecordFile
    row_group: int
    rows: float
    name: str


class _Worker(NamedTuple):
    """What a process has for all parts."""

    task: ReplayTask
    records: FileStore
    results: FileStore | None
    examples: int


class LocalEngine:
    """Replays on this host, with a process for each core."""

    name = "local"

    def __init__(self, workers: int = 0) -> None:
        """Args:
        workers: how many processes; 0 for as many as there are cores.
        """
        self._workers = workers or len(os.sched_getaffinity(0))

    def replay(self, run: ReplayRun) -> ReplayTally:
        """See `ReplayEngine.replay`."""
        tally = ReplayTally(run.examples)
        done, missing = 0.0, []
        finished = set(run.results.names(run.directory)) if run.results else set()
        for part in _parts(run):
            if run.results is not None and part.name.rpartition("/")[2] in finished:
                read_results(tally, run.results, part.name)
                done += part.rows
            else:
                missing.append(part)
        for part, result in self._run(run, missing):
            tally.merge(result)
            done += part.rows
            run.show_progress(done / (run.rows or 1))
        return tally

    def _run(
        self, run: ReplayRun, parts: list[_RowGroup]
    ) -> Iterator[tuple[_RowGroup, ReplayTally]]:
        if not parts:
            return
        results_url = run.results.url if run.results else ""
        pool = ProcessPoolExecutor(
            min(self._workers, len(parts)),
            get_context("spawn"),
            _start,
            (run.task, run.records.url, results_url, run.examples),
        )
        try:
            futures = {pool.submit(_replay_part, part): part for part in parts}
            for future in as_completed(futures):
                yield futures.pop(future), future.result()
        except BrokenProcessPool:
            raise StoreUnavailable(
                "a process of the replay ended. With --results, start the command again to go on"
                " from here. If there is too little memory, give fewer --workers."
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


def _parts(run: ReplayRun) -> Iterator[_RowGroup]:
    for file in run.files:
        for row_group in range(file.row_groups):
            name = f"{run.directory}/{part_name(file.sha256, row_group)}.parquet"
            rows = file.rows / file.row_groups
            yield _RowGroup(file, row_group, rows, name if run.results else "")


_worker: list[_Worker] = []
"""What this process has, if it is one of a pool."""


def _start(task: ReplayTask, records_url: str, results_url: str, examples: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends the pool
    records = open_files(records_url, _RECORDS)
    results = open_files(results_url, _RESULTS) if results_url else None
    _worker[:] = [_Worker(task, records, results, examples)]


def _replay_part(part: _RowGroup) -> ReplayTally:
    [worker] = _worker
    tally = ReplayTally(worker.examples)
    bodies = read_bodies(worker.records, part.file, part.row_group)
    sink = io.BytesIO()
    with pq.ParquetWriter(sink, RESULTS, compression="zstd") as writer:
        for batch in replay_bodies(worker.task, bodies):
            add_results(tally, pa.Table.from_batches([batch]))
            if part.name:
                writer.write_batch(batch)
    if worker.results is not None:
        worker.results.write(part.name, sink.getvalue())
    return tally
