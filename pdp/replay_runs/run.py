"""One replay of the records of an export: its parts, its results, and its summary."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from pdp.decisions.replay_summary import ReplayPage
from pdp.decisions.replay_tally import ReplayTally
from pdp.domain.decision_counts import counted_period
from pdp.record_files.exported_log import readable
from pdp.replay_runs.results import RESULTS, add_results
from pdp.replay_runs.task import ReplayTask

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pdp.domain.audit_log import RecordFilter
    from pdp.record_files.exported_log import ExportedLog
    from pdp.record_files.locations import FileStore
    from pdp.record_files.manifest import RecordFile
    from pdp.replay_runs.bundle import ReplayPolicies

_KEY_LENGTH: Final = 32


@dataclass(frozen=True, slots=True)
class ReplayRun:
    """What a replay reads, and where its results go.

    Attributes:
        task: what to do with each record.
        records: the place of the export.
        files: the files to read, in the order of the log.
        results: the place of the results; None to keep none.
        directory: the directory of this replay in `results`. Another one has another directory.
        examples: how many decisions of each change the summary names.
        show_progress: called with the share of the records that is done, from 0 to 1.
    """

    task: ReplayTask
    records: FileStore
    files: Sequence[RecordFile]
    results: FileStore | None
    directory: str
    examples: int
    show_progress: Callable[[float], None]

    @property
    def rows(self) -> int:
        """How many records the files have."""
        return sum(each.rows for each in self.files)


class ReplayEngine(Protocol):
    """Replays the files of a run.

    Attributes:
        name: the name of the engine.
    """

    name: str

    def replay(self, run: ReplayRun) -> ReplayTally:
        """Returns the summary of all results.

        Raises:
            ConfigError: the engine cannot be used; the message says what to do.
            StoreUnavailable: records or results cannot be read or written, or a process ended. A
                run with results goes on from there when it is started again.
        """


def replay_export(
    log: ExportedLog,
    policies: ReplayPolicies,
    record_filter: RecordFilter,
    engine: ReplayEngine,
    *,
    release: str,
    examples: int,
    results: FileStore | None = None,
    show_progress: Callable[[float], None] = lambda _share: None,
) -> tuple[ReplayPage, str]:
    """Replays the records of a tenant.

    Args:
        log: the export.
        policies: the policies in force, and those in question.
        record_filter: the tenant, and which of its records.
        engine: what does the work.
        release: the name of this release.
        examples: how many decisions of each change are named.
        results: where the results go; None to keep none.
        show_progress: see `ReplayRun`.

    Returns:
        The summary, and the directory of this replay in `results`.
    """
    task = ReplayTask.of(policies, record_filter)
    tenant_id = record_filter.tenant_id
    directory = f"replay={task.key(release, engine.name)[:_KEY_LENGTH]}"
    if results is not None:
        about = {"tenant_id": tenant_id, "engine": engine.name, "release": release}
        results.write(f"{directory}/_replay.json", json.dumps(about).encode())
    files = log.files_of(tenant_id, record_filter.since, record_filter.until)
    run = ReplayRun(task, log.files, files, results, directory, examples, show_progress)
    tally = engine.replay(run) if files else ReplayTally(examples)
    counted = log.counts_of(tenant_id)
    coverage = counted_period(
        counted.counts,
        counted_from=counted.counted_from,
        held_from=counted.held_from,
        since=record_filter.since,
        until=record_filter.until,
        outcomes=record_filter.outcomes,
    )
    return ReplayPage(tally, coverage=coverage), directory


def part_name(*content: object) -> str:
    """Returns the name of the results of a part, which depends on the content of its records."""
    text = "\n".join(map(str, content))
    return f"part-{hashlib.sha256(text.encode()).hexdigest()[:_KEY_LENGTH]}"


def read_results(tally: ReplayTally, files: FileStore, path: str) -> None:
    """Adds the results in a Parquet file to a tally.

    Raises:
        StoreUnavailable: the file cannot be read.
    """
    with files.open(path) as file, readable(files, path):
        for batch in pq.ParquetFile(file).iter_batches(columns=RESULTS.names):
            add_results(tally, pa.Table.from_batches([batch]))
