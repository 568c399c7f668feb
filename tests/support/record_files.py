"""Exports of records for tests: logs to export, places that fail, and what an export holds."""

from __future__ import annotations

import io
from contextlib import closing
from typing import TYPE_CHECKING, Any, BinaryIO, Final
from uuid import uuid4

import pyarrow.parquet as pq

from pdp.record_files.exporter import ExportSummary, ParquetExporter
from pdp.record_files.locations import FileStore, open_files
from pdp.record_files.manifest import DATA_PATTERN, ExportManifest
from pdp.store import open_chain_reader

if TYPE_CHECKING:
    from pathlib import Path

RELEASE: Final = "test"


class PlaceFailed(Exception):
    """Stands for the end of a process in the middle of an export."""


class FailingPlace:
    """A place for files that fails at one of its changes, and at all after it."""

    def __init__(self, files: FileStore, fails_at: int, *, after: bool) -> None:
        """Takes the place, the number of the change from 0, and whether that one still happens."""
        self._files = files
        self._left = fails_at
        self._after = after
        self.shown, self.url = files.shown, files.url

    def write(self, path: str, content: bytes) -> None:
        self._change(lambda: self._files.write(path, content))

    def remove(self, path: str) -> None:
        self._change(lambda: self._files.remove(path))

    def read(self, path: str) -> bytes | None:
        return self._files.read(path)

    def open(self, path: str) -> BinaryIO:
        return self._files.open(path)

    def names(self, directory: str) -> list[str]:
        return self._files.names(directory)

    def matching(self, pattern: str) -> list[str]:
        return self._files.matching(pattern)

    def _change(self, work: Any) -> None:
        self._left -= 1
        if self._left >= 0 or (self._left == -1 and self._after):
            work()
        if self._left < 0:
            raise PlaceFailed


def memory_place() -> FileStore:
    """Returns a new place in memory, behind fsspec."""
    return open_files(f"memory://records-{uuid4()}", "--output")


def export(
    log_file: Path, files: FileStore, *, key: bytes = b"", file_rows: int = 200_000
) -> ExportSummary:
    """Exports a log, as one run of the command does."""
    with closing(open_chain_reader(f"sqlite:///{log_file}", key=key)) as log:
        return ParquetExporter(log, files, key=key, release=RELEASE, file_rows=file_rows).run()


def rows_of(files: FileStore, *columns: str) -> list[tuple[Any, ...]]:
    """Returns what a reader of all data files sees, whether or not they are in the manifest."""
    return sorted(
        row
        for path in files.matching(DATA_PATTERN)
        for row in _rows(files.read(path) or b"", columns or ("sequence",))
    )


def manifest_rows(files: FileStore, *columns: str) -> list[tuple[Any, ...]]:
    """Returns what a reader of the manifest sees, in the order of the files."""
    return [
        row
        for step in ExportManifest(files).steps()
        for file in step.files
        for row in _rows(files.read(file.path) or b"", columns or ("sequence",))
    ]


def _rows(content: bytes, columns: tuple[str, ...]) -> list[tuple[Any, ...]]:
    table = pq.read_table(io.BytesIO(content), columns=list(columns))
    return list(zip(*(table.column(name).to_pylist() for name in columns), strict=True))
