"""Reading an export: what a newer release adds is ignored, what is missing is not."""

from __future__ import annotations

import io
from contextlib import closing
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pdp.errors import StoreUnavailable
from pdp.record_files.exported_log import ExportedLog, read_bodies
from pdp.store import open_audit_log
from tests.support.audit_logs import body
from tests.support.record_files import export, memory_place

if TYPE_CHECKING:
    from pathlib import Path

    from pdp.record_files.locations import FileStore
    from pdp.record_files.manifest import RecordFile


@pytest.fixture(name="exported")
def _exported(tmp_path: Path) -> tuple[FileStore, RecordFile]:
    with closing(open_audit_log(f"sqlite:///{tmp_path}/audit.db")) as log:
        log.append([body(number) for number in range(3)])
    place = memory_place()
    export(tmp_path / "audit.db", place)
    [file] = ExportedLog(place).files_of("acme")
    return place, file


def table_of(place: FileStore, file: RecordFile) -> pa.Table:
    return pq.read_table(io.BytesIO(place.read(file.path) or b""))


def write(place: FileStore, file: RecordFile, table: pa.Table) -> None:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    place.write(file.path, sink.getvalue())


def test_the_bodies_are_those_of_the_log(exported: tuple[FileStore, RecordFile]) -> None:
    assert list(read_bodies(*exported, 0)) == [(n + 1, body(n)) for n in range(3)]


def test_columns_of_a_newer_release_are_ignored(exported: tuple[FileStore, RecordFile]) -> None:
    place, file = exported
    future = pa.array([1, 2, 3])
    table = table_of(place, file).append_column("future", future)
    write(place, file, table.select(["future", *reversed(table.column_names[:-1])]))
    assert list(read_bodies(place, file, 0)) == [(n + 1, body(n)) for n in range(3)]


def test_a_file_without_all_of_its_records_is_refused(
    exported: tuple[FileStore, RecordFile],
) -> None:
    place, file = exported
    write(place, file, table_of(place, file).slice(1))
    with pytest.raises(StoreUnavailable, match="cannot be read"):
        list(read_bodies(place, file, 0))


def test_a_file_without_a_column_is_refused(exported: tuple[FileStore, RecordFile]) -> None:
    place, file = exported
    write(place, file, table_of(place, file).drop_columns(["sequence"]))
    with pytest.raises(StoreUnavailable, match="cannot be read"):
        list(read_bodies(place, file, 0))
