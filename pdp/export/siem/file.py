"""A file of JSON lines, rotated by size: for log shippers and for archives."""

from __future__ import annotations

import asyncio
import fcntl
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, ClassVar, Final

from pdp.export.siem.base import ConnectorSpec, DeliveryFailed, Event, Refusal
from pdp.export.siem.environment import Environment, EnvironmentVariable
from pdp.export.siem.text import compact

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

VARIABLES: Final = (
    EnvironmentVariable("SIEM_FILE_PATH", "the file; its directory must exist", "", True),
    EnvironmentVariable(
        "SIEM_FILE_MAX_MB", "size in megabytes at which the file is rotated", "100"
    ),
    EnvironmentVariable(
        "SIEM_FILE_BACKUPS", "number of rotated files to keep, named `PATH.1` and so on", "10"
    ),
)
_MEGABYTE: Final = 1_000_000
_TAIL: Final = 1_000_000
"""How many bytes at the end of the file are searched for events that are written already."""


class FileConnector:
    """Appends events to a file.

    After a crash, it removes an incomplete last line, and does not write an event twice.
    """

    max_events: ClassVar[int] = 1000
    max_bytes: ClassVar[int] = 4_000_000

    def __init__(self, environment: Environment) -> None:
        self._path = Path(environment.text("SIEM_FILE_PATH"))
        self._max_bytes = environment.number("SIEM_FILE_MAX_MB", 1, 1_000_000) * _MEGABYTE
        self._backups = environment.number("SIEM_FILE_BACKUPS", 0, 10_000)
        self._check_tail = True

    def config_summary(self) -> Mapping[str, str]:
        """Returns the destination of the events."""
        return {
            "path": str(self._path),
            "max_mb": str(self._max_bytes // _MEGABYTE),
            "backups": str(self._backups),
        }

    async def send(self, events: Sequence[Event]) -> Sequence[Refusal]:
        """Appends a batch, and returns when it is on disk."""
        try:
            await asyncio.to_thread(self._append, events)
        except OSError as error:
            raise DeliveryFailed(f"{error.strerror or error}: {self._path}") from error
        return ()

    def _append(self, events: Sequence[Event]) -> None:
        with self._locked() as file:
            check_tail, self._check_tail = self._check_tail, True
            if check_tail:
                _remove_incomplete_line(file)
                tail = _tail(file) + self._backup_tail()
                events = [each for each in events if not each.seq or _marker(each) not in tail]
            file.seek(0, os.SEEK_END)
            file.write(b"".join(each.body + b"\n" for each in events))
            file.flush()
            os.fsync(file.fileno())
            if file.tell() >= self._max_bytes:
                self._rotate()
        self._check_tail = False

    @contextmanager
    def _locked(self) -> Iterator[BinaryIO]:
        """Opens the file with an exclusive lock across processes."""
        while True:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "r+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                # Another process may have rotated the file between open and lock.
                if self._path.exists() and os.path.samestat(
                    os.fstat(descriptor), self._path.stat()
                ):
                    yield file
                    return

    def _rotate(self) -> None:
        oldest = self._backup(self._backups) if self._backups else self._path
        oldest.unlink(missing_ok=True)
        for number in range(self._backups - 1, 0, -1):
            if self._backup(number).exists():
                self._backup(number).rename(self._backup(number + 1))
        if self._backups:
            self._path.rename(self._backup(1))

    def _backup_tail(self) -> bytes:
        """Returns the end of the latest rotated file: its last events may be sent again."""
        try:
            with self._backup(1).open("rb") as file:
                return _tail(file)
        except FileNotFoundError:
            return b""

    def _backup(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")

    async def check(self) -> str:
        """Checks that the file can be written."""
        writable = await asyncio.to_thread(self._is_writable)
        if not writable:
            raise DeliveryFailed(f"cannot be written: {self._path}")
        return ""

    def _is_writable(self) -> bool:
        path = self._path if self._path.exists() else self._path.parent
        return os.access(path, os.W_OK)

    async def close(self) -> None:
        """Does nothing: the file is open only during a write."""


def _remove_incomplete_line(file: BinaryIO) -> None:
    """Removes the last line if it does not end with a line break."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _TAIL))
    tail = file.read()
    complete = tail.rfind(b"\n") + 1
    if complete or len(tail) == size:
        file.truncate(size - len(tail) + complete)


def _marker(event: Event) -> bytes:
    """Returns bytes that occur only in the line of this event, even if a caller forges texts."""
    return b'"uid":%b,"profiles":' % compact(event.uid)


def _tail(file: BinaryIO) -> bytes:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _TAIL))
    return file.read()


SPEC: Final = ConnectorSpec("file", "File", FileConnector.__name__, VARIABLES, FileConnector)
