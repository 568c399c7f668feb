"""Reports the records of decisions to the server. The log of records is the spool."""

from __future__ import annotations

import logging
import os
import threading
from itertools import groupby
from typing import TYPE_CHECKING, Final

import grpc
import msgspec

from pdp.follower.central import status_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pdp.domain.audit_log import AuditLog, StoredRecord
    from pdp.follower.central import Central

MAX_RECORDS: Final = 256
MAX_CHARACTERS: Final = 2_000_000
"""The bounds of a report, below those of the server."""

POLL_S: Final = 0.25
"""How often the log is searched for new records."""

RETRY_S: Final = 2.0
"""The pause after a report that failed."""

CLOSE_S: Final = 5.0
"""How long closing goes on with reports."""

_log: Final = logging.getLogger("pdp.follower")


class _RecordTenant(msgspec.Struct):
    tenant_id: str


class Reporter:
    """Sends records in the order of the log, each until the server has it.

    Attributes:
        reported: how many records the server has taken.
        refused: how many records the server has refused for good; they stay in this log.
        problem: why reports fail now; empty if they do not.
    """

    def __init__(self, log: AuditLog, central: Central, file: Path, max_unsent: int) -> None:
        """Starts the thread.

        Args:
            log: the log; nothing else reads it.
            central: the server.
            file: keeps the position up to which records are reported.
            max_unsent: see `FollowOptions`.

        Raises:
            OSError: the file cannot be read.
        """
        self._log = log
        self._central = central
        self._file = file
        self._max_unsent = max_unsent
        self._position = _read_position(file)
        self._closing = threading.Event()
        self.reported = self.refused = self.unsent = 0
        self.problem = ""
        self._decoder = msgspec.json.Decoder(_RecordTenant)
        self._thread = threading.Thread(target=self._run, name="pdp-report", daemon=True)
        self._thread.start()

    @property
    def is_full(self) -> bool:
        """Whether so many records wait that no decision may be added."""
        return self.unsent >= self._max_unsent

    def close(self) -> None:
        """Reports what can be reported in a short time, and ends."""
        self._closing.set()
        self._thread.join(CLOSE_S)

    def _run(self) -> None:
        while True:
            is_last = self._closing.is_set()
            try:
                self._report_all()
                self._note("")
            except grpc.RpcError as error:
                code, _ = status_of(error)
                self._note(f"the server cannot be reached ({code.name if code else 'no status'})")
            except Exception as error:  # without this thread, nothing would be reported any more
                self._note(f"records cannot be reported ({type(error).__name__})")
            if is_last:
                return
            self._closing.wait(RETRY_S if self.problem else POLL_S)

    def _report_all(self) -> None:
        while records := self._log.read_on(self._position, MAX_RECORDS):
            self.unsent = max(0, self._log.last() - self._position)
            for tenant_id, group in groupby(records, self._tenant_of):
                for page in _pages(list(group)):
                    self._report(tenant_id, page)
        self.unsent = 0

    def _report(self, tenant_id: str, records: Sequence[StoredRecord]) -> None:
        try:
            self._central.report(tenant_id, [each.body for each in records])
            self.reported += len(records)
        except grpc.RpcError as error:
            code, details = status_of(error)
            if code is not grpc.StatusCode.INVALID_ARGUMENT:
                raise
            if len(records) > 1:  # one of them is at fault
                for each in records:
                    self._report(tenant_id, [each])
                return
            self.refused += 1
            _log.error("the server refuses record %d: %s", records[0].sequence, details)
        self._position = records[-1].sequence
        _write_position(self._file, self._position)

    def _tenant_of(self, record: StoredRecord) -> str:
        return self._decoder.decode(record.body).tenant_id

    def _note(self, problem: str) -> None:
        if problem and problem != self.problem:
            _log.warning("decisions are not reported: %s", problem)
        self.problem = problem


def _pages(records: Sequence[StoredRecord]) -> list[list[StoredRecord]]:
    """Returns records in pages of bounded size."""
    pages: list[list[StoredRecord]] = []
    size = MAX_CHARACTERS
    for each in records:
        size += len(each.body)
        if size > MAX_CHARACTERS:
            pages.append([])
            size = len(each.body)
        pages[-1].append(each)
    return pages


def _read_position(file: Path) -> int:
    try:
        return int(file.read_text())
    except (FileNotFoundError, ValueError):
        return 0  # the server takes each record once


def _write_position(file: Path, position: int) -> None:
    new = file.with_name(f"{file.name}.new")
    new.write_text(str(position))
    os.replace(new, file)
