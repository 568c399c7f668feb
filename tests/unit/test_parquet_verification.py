"""Verification of an export: what someone changes in it is found."""

from __future__ import annotations

import io
import json
import shutil
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pdp.domain.audit_log import Retention
from pdp.errors import ConfigError
from pdp.record_files.locations import open_files
from pdp.record_files.manifest import DATA_PATTERN, step_path
from pdp.record_files.verification import MAX_PROBLEMS, verify_export
from pdp.store import open_audit_log
from tests.support.audit_logs import KEY, body, file, log, old_log, run
from tests.support.record_files import export

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pdp.domain.audit_log import AuditLog
    from pdp.record_files.locations import FileStore

__all__ = ["file", "log"]  # fixtures


@pytest.fixture(name="place")
def _place(tmp_path: Path) -> FileStore:
    return open_files(str(tmp_path / "out"), "--output")


def fill(log: AuditLog, batches: int = 4, size: int = 3) -> None:
    for batch in range(batches):
        first = batch * size
        log.append([body(n, tenant_id=("acme", "b")[n % 2]) for n in range(first, first + size)])


def first_data(place: FileStore) -> str:
    return place.matching(DATA_PATTERN)[0]


def rewrite(place: FileStore, path: str, change: Callable[[pa.Table], pa.Table]) -> None:
    """Changes a file, and the manifest so that it fits: what a careful attacker does."""
    table = change(pq.read_table(io.BytesIO(place.read(path) or b"")))
    sink = io.BytesIO()
    pq.write_table(table, sink)
    place.write(path, sink.getvalue())
    update_manifest(place, path, sink.getvalue())


def update_manifest(place: FileStore, path: str, content: bytes) -> None:
    import hashlib  # noqa: PLC0415 - only attackers need it

    name = step_path(1)
    step = json.loads(place.read(name) or b"")
    for each in step["files"]:
        if each["path"] == path:
            each["sha256"] = hashlib.sha256(content).hexdigest()
    place.write(name, json.dumps(step).encode())


def set_value(table: pa.Table, column: str, value: Any) -> pa.Table:
    """Changes the value of the first row."""
    values = table.column(column).to_pylist()
    values[0] = value
    index = table.schema.get_field_index(column)
    array = pa.array(values, table.schema.field(column).type)
    return table.set_column(index, table.schema.field(column), array)


def test_an_export_verifies(file: Path, log: AuditLog, place: FileStore) -> None:
    fill(log)
    summary = export(file, place, file_rows=5)
    result = verify_export(place, b"")
    assert result.problems == []
    assert (result.records, result.batches) == (12, 4)
    assert result.head == summary.head == log.verify().head


def test_there_must_be_an_export(place: FileStore) -> None:
    with pytest.raises(ConfigError, match="there is no export"):
        verify_export(place, b"")


@pytest.mark.parametrize(
    ("cell", "problem"),
    [
        (("body", '{"decision_id": "other"}'), "record 1 is not in the chain"),
        (("record_hash", bytes(32)), "record 1 is not in the chain"),
        (("sequence", 99), "record 99 is not in the chain"),
        (("batch", 2), "record 1 is not in the chain"),
        (("outcome", "BLOCK"), "columns of records 1 to 11 are not those of the records"),
        (("tenant_id", "b"), "columns of records 1 to 11 are not those of the records"),
    ],
)
def test_a_changed_record_is_found(
    file: Path, log: AuditLog, place: FileStore, cell: tuple[str, Any], problem: str
) -> None:
    fill(log)
    export(file, place)
    rewrite(place, first_data(place), lambda table: set_value(table, *cell))
    result = verify_export(place, b"")
    assert any(problem in each for each in result.problems), result.problems


def test_a_removed_record_is_found(file: Path, log: AuditLog, place: FileStore) -> None:
    fill(log)
    export(file, place)
    rewrite(place, first_data(place), lambda table: table.slice(1))
    assert verify_export(place, b"").problems == ["step 1 lacks 1 of its records, first 1"]


def test_a_record_that_is_there_twice_is_found(file: Path, log: AuditLog, place: FileStore) -> None:
    fill(log)
    export(file, place)
    rewrite(place, first_data(place), lambda table: pa.concat_tables([table, table.slice(0, 1)]))
    assert not verify_export(place, b"").intact


def test_changed_bytes_are_found(file: Path, log: AuditLog, place: FileStore) -> None:
    fill(log)
    export(file, place)
    path = first_data(place)
    rewrite(place, path, lambda table: table)
    step = json.loads(place.read(step_path(1)) or b"")
    step["files"][0]["sha256"] = "0" * 64
    place.write(step_path(1), json.dumps(step).encode())
    assert verify_export(place, b"").problems == [f"{path} is not what was written"]


def test_a_missing_file_and_one_too_many_are_found(
    file: Path, log: AuditLog, place: FileStore
) -> None:
    fill(log)
    export(file, place)
    path = first_data(place)
    other = path.replace(".parquet", "9.parquet")
    place.write(other, place.read(path) or b"")
    place.remove(path)
    problems = verify_export(place, b"").problems
    assert f"{path} is missing" in problems
    assert f"{other} is not a file of the export" in problems


@pytest.mark.parametrize("pattern", [DATA_PATTERN, "_chain/*"])
@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1\x00PAR1"])
def test_a_file_that_cannot_be_read_is_a_problem(
    file: Path, log: AuditLog, place: FileStore, pattern: str, content: bytes
) -> None:
    fill(log)
    export(file, place)
    path = place.matching(pattern)[0]
    place.write(path, content)
    assert f"{path} cannot be read" in verify_export(place, b"").problems


def test_an_end_that_was_cut_off_is_found(file: Path, log: AuditLog, place: FileStore) -> None:
    fill(log)
    export(file, place, file_rows=3)
    place.remove(step_path(4))
    assert "the end is missing: steps 4 to 4" in verify_export(place, b"").problems


def test_an_anchor_must_be_in_the_export(file: Path, log: AuditLog, place: FileStore) -> None:
    fill(log, batches=2)
    anchor = log.verify().head
    fill(log, batches=2)
    export(file, place)
    assert verify_export(place, b"", anchor).intact
    [problem] = verify_export(place, b"", f"3:{'0' * 64}").problems
    assert "is not in the export" in problem


def test_a_chain_that_was_written_anew_needs_the_key(file: Path, place: FileStore) -> None:
    with closing(open_audit_log(f"sqlite:///{file}", key=KEY)) as log:
        fill(log)
        export(file, place, key=KEY)
    assert verify_export(place, KEY).intact
    result = verify_export(place, b"another key of at least thirty-two bytes")
    assert "batch 1 is not what was written" in result.problems


def test_a_batch_that_no_note_says_was_removed_is_found(
    file: Path, log: AuditLog, place: FileStore
) -> None:
    fill(log)
    run(file, "DELETE FROM records WHERE sequence <= 3", "DELETE FROM batches WHERE sequence = 1")
    export(file, place)
    [batches, records] = verify_export(place, b"").problems
    assert batches.startswith("batches 1 to 1 are missing")
    assert records.startswith("records 1 to 3 are missing")


def test_what_the_retention_removed_before_is_counted(
    file: Path, log: AuditLog, place: FileStore
) -> None:
    fill(log)
    export(file, place, file_rows=3)
    fill(log, batches=2)
    while log.retain(Retention(max_age_s=1.0), now=float(1 << 40)).records:
        pass
    fill(log, batches=1)
    export(file, place)
    result = verify_export(place, b"")
    assert result.problems == []
    assert result.removed == 6


def test_single_records_that_the_retention_removed_before_are_counted(
    file: Path, log: AuditLog, place: FileStore
) -> None:
    for number in range(40):
        tenant_id = "small" if number % 8 == 0 else "big"
        log.append([body(number, tenant_id=tenant_id, message="x" * 3_000)])
    removed = 0
    while step := log.retain(Retention(max_bytes=150_000), now=0.0).records:
        removed += step
    export(file, place)
    result = verify_export(place, b"")
    assert result.problems == []
    assert removed > 0
    assert result.removed > 0


def test_batches_of_older_releases_are_compared_with_their_hashes_only(
    file: Path, place: FileStore
) -> None:
    old_log(file)
    with closing(open_audit_log(f"sqlite:///{file}")) as log:
        fill(log, batches=1)
        export(file, place)
    result = verify_export(place, b"")
    assert result.problems == []
    assert result.unchained == 4
    rewrite(place, first_data(place), lambda table: set_value(table, "body", "{}"))
    assert not verify_export(place, b"").intact


def test_columns_of_a_newer_release_are_tolerated(
    file: Path, log: AuditLog, place: FileStore
) -> None:
    fill(log)
    export(file, place)

    def extend(table: pa.Table) -> pa.Table:
        extended = table.append_column("future", pa.array(["x"] * table.num_rows))
        return extended.replace_schema_metadata({b"pdp.schema": b"2"})

    rewrite(place, first_data(place), extend)
    assert verify_export(place, b"").problems == []


def test_problems_are_bounded(file: Path, log: AuditLog, place: FileStore) -> None:
    fill(log, batches=60, size=2)
    export(file, place, file_rows=2)
    for path in place.matching(DATA_PATTERN):
        place.remove(path)
    problems = verify_export(place, b"").problems
    assert len(problems) == MAX_PROBLEMS + 1
    assert problems[-1] == "and more"


def test_a_copy_of_an_export_verifies(
    file: Path, log: AuditLog, place: FileStore, tmp_path: Path
) -> None:
    fill(log)
    export(file, place)
    shutil.copytree(tmp_path / "out", tmp_path / "copy")
    assert verify_export(open_files(f"file://{tmp_path}/copy", "--records"), b"").intact
