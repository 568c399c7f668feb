"""The manifest of an export: what has been exported, step by step.

A step is a range of whole batches. Its files are complete when its own file is in the manifest,
which is written last. Before the files are written, the range is noted as the plan of the step. If
the export is interrupted, it does the same range again, under the same names.

    _manifest/plan-0000000007.json     the range of a step that has begun
    _manifest/step-0000000007.json     a step that is complete
    _chain/part-0000000007.parquet     its batches
    tenant=acme/day=2026-02-26/part-0000000007-0000.parquet
    _counts/counts.parquet             the counts of the last export that finished
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from pdp.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pdp.record_files.locations import FileStore

FORMAT: Final = 1
"""The version of the layout. A release refuses a higher one."""

COUNTS_FILE: Final = "_counts/counts.parquet"
DATA_PATTERN: Final = "tenant=*/day=*/*.parquet"

_DIRECTORY: Final = "_manifest"
_NAME: Final = re.compile(r"(plan|step)-([0-9]{10})\.json")
_DATA_PATH: Final = re.compile(r"tenant=[^/]+/day=[^/]+/part-[0-9]{10}-[0-9]{4,10}\.parquet")
_HEX: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class BatchRange:
    """Batches of the log: those after `after`, up to `through`."""

    after: int
    through: int


@dataclass(frozen=True, slots=True)
class RecordFile:
    """A file with records.

    Attributes:
        path: relative to the export.
        tenant_id, day: whose records it has, and of which day; the day is empty for records
            without a time.
        rows, row_groups, size: how many records, row groups and bytes it has.
        sha256: the hash of its content, in hex.
        first, last: the positions in the log of its first and last record.
        first_time: the time of its first record, in seconds since the epoch; None for none.
    """

    path: str
    tenant_id: str
    day: str
    rows: int
    row_groups: int
    size: int
    sha256: str
    first: int
    last: int
    first_time: float | None


@dataclass(frozen=True, slots=True)
class Step:
    """A step of an export that is complete.

    Attributes:
        number: from 1, without gaps.
        batches: its range of the log.
        head: the number and the hash of its last batch, as `pdp audit verify` prints it.
        release: the release that has written it.
        chain: the path of the file with its batches.
        files: its files.
    """

    number: int
    batches: BatchRange
    head: str
    release: str
    chain: str
    files: tuple[RecordFile, ...]


class ExportManifest:
    """The steps of an export, in a place for files."""

    def __init__(self, files: FileStore) -> None:
        self._files = files

    def last_number(self) -> int:
        """Returns the number of the last complete step; 0 if there is none."""
        return max((number for kind, number in self._entries() if kind == "step"), default=0)

    def step(self, number: int) -> Step:
        """Returns a complete step.

        Raises:
            ConfigError: it is missing, or of a newer release, or not what an export writes.
        """
        path = step_path(number)
        value = self._read(path)
        try:
            step = _step(value)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise self._broken(path) from error
        if step.number != number:
            raise self._broken(path)
        return step

    def steps(self, through: int | None = None) -> Iterator[Step]:
        """Yields the complete steps in their order.

        Args:
            through: the number of the last one; None for all.
        """
        for number in range(1, (self.last_number() if through is None else through) + 1):
            yield self.step(number)

    def plan(self, number: int) -> BatchRange | None:
        """Returns the range of a step that has begun; None if it has not."""
        path = _plan_path(number)
        if self._files.read(path) is None:
            return None
        value = self._read(path)
        try:
            return _range(value["batches"])
        except (KeyError, TypeError):
            raise self._broken(path) from None

    def begin(self, number: int, batches: BatchRange) -> None:
        """Notes the range of a step before its files are written."""
        self._write(_plan_path(number), {"number": number, "batches": asdict(batches)})

    def complete(self, step: Step) -> None:
        """Notes that all files of a step are written. This makes it a part of the export."""
        self._write(step_path(step.number), asdict(step))
        self._files.remove(_plan_path(step.number))

    def _entries(self) -> Iterator[tuple[str, int]]:
        for name in self._files.names(_DIRECTORY):
            if match := _NAME.fullmatch(name):
                yield match[1], int(match[2])

    def _write(self, path: str, value: dict[str, Any]) -> None:
        text = json.dumps({"format": FORMAT, **value}, separators=(",", ":"))
        self._files.write(path, text.encode())

    def _read(self, path: str) -> dict[str, Any]:
        content = self._files.read(path)
        try:
            value = json.loads(content or b"")
        except ValueError:
            raise self._broken(path) from None
        if not isinstance(value, dict) or not isinstance(value.get("format"), int):
            raise self._broken(path)
        if value["format"] > FORMAT:
            raise ConfigError(
                f"the export at {self._files.shown} is of a newer release. Use that release."
            )
        return value

    def _broken(self, path: str) -> ConfigError:
        return ConfigError(
            f"{self._files.shown}/{path} is missing, or is not what an export writes. Restore it,"
            " or export to another place."
        )


def step_path(number: int) -> str:
    """Returns the path of a complete step in the manifest."""
    return f"{_DIRECTORY}/step-{number:010d}.json"


def chain_path(number: int) -> str:
    """Returns the path of the file with the batches of a step."""
    return f"_chain/part-{number:010d}.parquet"


def data_name(number: int, part: int) -> str:
    """Returns the name of a file with records of a step. No two files of a step have one name."""
    return f"part-{number:010d}-{part:04d}.parquet"


def data_pattern(number: int) -> str:
    """Returns the pattern of all files with records of a step."""
    return f"tenant=*/day=*/part-{number:010d}-*.parquet"


def _plan_path(number: int) -> str:
    return f"{_DIRECTORY}/plan-{number:010d}.json"


def _step(value: dict[str, Any]) -> Step:
    step = Step(
        _whole(value["number"]),
        _range(value["batches"]),
        str(value["head"]),
        str(value["release"]),
        value["chain"],
        tuple(map(_file, value["files"])),
    )
    if step.chain != chain_path(step.number):
        raise ValueError(step.chain)
    return step


def _file(value: dict[str, Any]) -> RecordFile:
    file = RecordFile(**{name: value[name] for name in RecordFile.__slots__})
    # The path is opened later, so it may only name a file of the export.
    if not _DATA_PATH.fullmatch(file.path) or not _HEX.fullmatch(file.sha256):
        raise ValueError(file.path)
    for number in (file.rows, file.row_groups, file.size, file.first, file.last):
        _whole(number)
    return file


def _range(value: dict[str, Any]) -> BatchRange:
    return BatchRange(_whole(value["after"]), _whole(value["through"]))


def _whole(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise TypeError("not a whole number")
    return value
