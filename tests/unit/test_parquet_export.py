"""Exports to Parquet: every record exactly once, whatever happens meanwhile."""

from __future__ import annotations

import json
import stat
from contextlib import closing, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pdp.domain.audit_log import Retention
from pdp.domain.decision_counts import CountKey, RecordedCount
from pdp.errors import ConfigError, StoreUnavailable
from pdp.record_files.exported_log import ExportedLog
from pdp.record_files.locations import open_files
from pdp.record_files.manifest import DATA_PATTERN, BatchRange, ExportManifest
from pdp.record_files.partitions import directory_of
from pdp.store import open_audit_log
from tests.support.audit_logs import KEY, body, file, log, run
from tests.support.record_files import (
    FailingPlace,
    PlaceFailed,
    export,
    manifest_rows,
    memory_place,
    rows_of,
)

if TYPE_CHECKING:
    from pdp.domain.audit_log import AuditLog
    from pdp.record_files.locations import FileStore

__all__ = ["file", "log"]  # fixtures

DAY_S = 86_400
TENANTS = ("acme", "a/../b", "")

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(1, 4), st.integers(0, 5)),
        st.tuples(st.just("export"), st.integers(1, 6), st.booleans()),
        st.tuples(st.just("crash"), st.integers(0, 12), st.booleans()),
        st.tuples(st.just("retain"), st.integers(0, 3), st.booleans()),
    ),
    max_size=14,
)


@pytest.fixture(name="place")
def _place(tmp_path: Path) -> FileStore:
    return open_files(str(tmp_path / "out"), "--output")


def append(log: AuditLog, number: int, count: int, day: int = 0) -> list[str]:
    """Appends a batch of records of several tenants, decided on a day."""
    bodies = [
        body(number + n, tenant_id=TENANTS[(number + n) % 3], time=float(day * DAY_S + n))
        for n in range(count)
    ]
    log.append(bodies)
    return bodies


def check_unique(files: FileStore) -> None:
    sequences = rows_of(files)
    assert len(sequences) == len(set(sequences)), "a reader of all files sees a record twice"


def run_steps(log: AuditLog, path: Path, place: FileStore, steps: list[Any]) -> dict[int, str]:
    """Does what the steps say; returns the records that were in the log at some time."""
    written: dict[int, str] = {}
    for kind, number, detail in steps:
        if kind == "append":
            first = log.last() + 1
            bodies = append(log, first, number, detail)
            written |= {first + n: each for n, each in enumerate(bodies)}
        elif kind == "export":
            export(path, place, file_rows=number)
        elif kind == "retain":
            log.retain(Retention(max_age_s=1.0), now=float(1 << 40)) if detail else None
        else:
            with suppress(PlaceFailed):
                export(path, FailingPlace(place, number, after=detail), file_rows=2)
        check_unique(place)
    return written


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS, st.booleans())
def test_an_export_that_is_interrupted_has_every_record_once(
    steps: list[Any], in_memory: bool
) -> None:
    kept = [step for step in steps if step[0] != "retain"]
    with TemporaryDirectory() as directory:
        path = Path(directory) / "audit.db"
        place = memory_place() if in_memory else open_files(f"{directory}/out", "--output")
        with closing(open_audit_log(f"sqlite:///{path}")) as log:
            written = run_steps(log, path, place, kept)
            export(path, place)
            assert dict(rows_of(place, "sequence", "body")) == written
            exported = manifest_rows(place, "sequence")
            assert sorted(exported) == [(each,) for each in sorted(written)]


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS)
def test_what_the_retention_removes_meanwhile_does_no_harm(steps: list[Any]) -> None:
    with TemporaryDirectory() as directory:
        path = Path(directory) / "audit.db"
        place = open_files(f"{directory}/out", "--output")
        with closing(open_audit_log(f"sqlite:///{path}")) as log:
            written = run_steps(log, path, place, steps)
            left = {each.sequence for each in log.read_on(0, 1000)}
            export(path, place)
            found = dict(rows_of(place, "sequence", "body"))
            assert found.items() <= written.items()
            assert left <= found.keys()
            assert sorted(manifest_rows(place, "sequence")) == sorted((each,) for each in found)


def test_late_records_of_a_day_get_a_file_of_their_own(
    file: Path, log: AuditLog, place: FileStore
) -> None:
    append(log, 1, 3, day=1)
    export(file, place)
    before = {path: place.read(path) for path in place.matching(DATA_PATTERN)}
    append(log, 4, 3, day=1)
    export(file, place)
    after = {path: place.read(path) for path in place.matching(DATA_PATTERN)}
    assert before.items() < after.items(), "no file is written again"
    day = directory_of("acme", "1970-01-02")
    assert sum(path.startswith(day) for path in after) == 2


def test_a_file_has_about_the_rows_that_are_asked_for(
    file: Path, log: AuditLog, place: FileStore
) -> None:
    for number in range(10):
        append(log, number * 4, 4)
    export(file, place, file_rows=8)
    steps = list(ExportManifest(place).steps())
    assert len(steps) == 5
    assert all(sum(each.rows for each in step.files) == 8 for step in steps)


def test_only_the_owner_can_read_an_export(file: Path, log: AuditLog, tmp_path: Path) -> None:
    append(log, 1, 3)
    export(file, open_files(str(tmp_path / "deep" / "out"), "--output"))
    paths = list((tmp_path / "deep").rglob("*"))
    assert paths
    for path in (tmp_path / "deep", *paths):
        expected = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.stat().st_mode) == expected, path


def test_nothing_is_written_if_nothing_is_new(file: Path, log: AuditLog, place: FileStore) -> None:
    append(log, 1, 3)
    first = export(file, place)
    again = export(file, place)
    assert (first.records, again.records, again.steps) == (3, 0, 0)
    assert again.head == first.head


def test_an_export_of_another_log_is_not_continued(
    file: Path, log: AuditLog, place: FileStore, tmp_path: Path
) -> None:
    append(log, 1, 3)
    export(file, place)
    other = tmp_path / "other.db"
    with closing(open_audit_log(f"sqlite:///{other}")) as other_log:
        with pytest.raises(ConfigError, match="of another log"):
            export(other, place)
        append(other_log, 10, 3)
        append(other_log, 20, 3)
        with pytest.raises(ConfigError, match="of another log"):
            export(other, place)


@pytest.mark.parametrize(
    "tampering",
    [
        """UPDATE records SET body = json_set(body, '$.outcome', 'BLOCK') WHERE sequence = 2""",
        "DELETE FROM records WHERE sequence = 2",
        "UPDATE batches SET records = 4 WHERE sequence = 1",
        "UPDATE batches SET note = '{}' WHERE sequence = 2",
    ],
)
def test_a_log_that_was_tampered_with_is_not_exported(
    file: Path, log: AuditLog, place: FileStore, tampering: str
) -> None:
    append(log, 1, 3)
    append(log, 4, 3)
    run(file, tampering)
    with pytest.raises(StoreUnavailable, match="not what was written"):
        export(file, place)
    assert rows_of(place) == []


def test_a_log_with_a_key_is_exported_with_it(file: Path, place: FileStore) -> None:
    with closing(open_audit_log(f"sqlite:///{file}", key=KEY)) as log:
        append(log, 1, 3)
        with pytest.raises(ConfigError, match="PDP_AUDIT_KEY_FILE"):
            export(file, place)
        assert export(file, place, key=KEY).records == 3


def test_there_must_be_a_log(tmp_path: Path, place: FileStore) -> None:
    missing = tmp_path / "missing.db"
    with pytest.raises(ConfigError, match="there is no log of decision records"):
        export(missing, place)
    assert not missing.exists()


def test_counts_go_along_as_of_the_end_of_a_run(
    file: Path, log: AuditLog, place: FileStore
) -> None:
    append(log, 1, 3)
    log.add_counts({CountKey("acme", "full", "ALLOW", recorded=True): 3}, 60.0)
    export(file, place)
    [count] = ExportedLog(place).counts_of("acme").counts
    assert count == RecordedCount(60, 60, "full", "ALLOW", True, 3)
    append(log, 4, 3)
    with suppress(PlaceFailed):
        export(file, FailingPlace(place, 4, after=True))
    assert len(ExportedLog(place).steps) == 1, "a run that has not finished is not seen"
    export(file, place)
    assert len(ExportedLog(place).steps) == 2


@pytest.mark.parametrize("batches", [(5, 9), (0, 99)])
def test_a_plan_that_does_not_fit_the_log_is_refused(
    file: Path, log: AuditLog, place: FileStore, batches: tuple[int, int]
) -> None:
    append(log, 1, 3)
    ExportManifest(place).begin(1, BatchRange(*batches))
    with pytest.raises(ConfigError, match="a step that does not fit this log"):
        export(file, place)


def test_a_run_that_never_finished_is_no_export(
    file: Path, log: AuditLog, place: FileStore
) -> None:
    append(log, 1, 3)
    with pytest.raises(PlaceFailed):
        export(file, FailingPlace(place, 3, after=False))
    with pytest.raises(ConfigError, match="no export that has finished"):
        ExportedLog(place)


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"format": "1"},
        {"files": None},
        {"chain": "../secret"},
        {"number": 9},
    ],
)
def test_a_damaged_manifest_is_refused(
    file: Path, log: AuditLog, place: FileStore, change: dict[str, Any]
) -> None:
    append(log, 1, 3)
    export(file, place)
    path = "_manifest/step-0000000001.json"
    step = json.loads(place.read(path) or b"")
    place.write(path, json.dumps(step | change).encode())
    with pytest.raises(ConfigError):
        ExportedLog(place)


@pytest.mark.parametrize("path", ["../../etc/passwd", "/etc/passwd", "tenant=a/day=b/../x.parquet"])
def test_a_manifest_cannot_name_a_file_outside(
    file: Path, log: AuditLog, place: FileStore, path: str
) -> None:
    append(log, 1, 3)
    export(file, place)
    name = "_manifest/step-0000000001.json"
    step = json.loads(place.read(name) or b"")
    step["files"][0]["path"] = path
    place.write(name, json.dumps(step).encode())
    with pytest.raises(ConfigError, match="not what an export writes"):
        ExportedLog(place)
