"""Reports the records of decisions to the server. The log of records is the spool."""

from __future__ import annotations

import logging
import os
import threading
from itertools import groupby
from typing import TYPE_CHECKING, Final

import grpc
import msgspec

from pdp.domain.audit_log import RecordFilter, Retention
from pdp.follower.central import NoCredential, status_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pdp.domain.audit_log import AuditLog, StoredRecord
    from pdp.domain.decision_record import Recorded
    from pdp.follower.central import Central

MAX_RECORDS: Final = 256
MAX_CHARACTERS: Final = 2_000_000
"""The bounds of a report, below those of the server."""

POLL_S: Final = 0.25
"""How often the log is searched for new records."""

RETRY_S: Final = 2.0
"""The pause after a report that failed."""

KEEP_S: Final = 60.0
"""How long reported records stay in the log."""

CLOSE_S: Final = 5.0
"""How long closing goes on with reports."""

_MODE: Final = 0o600

_log: Final = logging.getLogger("pdp.follower")


class _RecordTenant(msgspec.Struct):
    tenant_id: str


class Waiting(msgspec.Struct):
    """Records of a tenant that the server does not take now.

    Attributes:
        after: the sequence after which they are in the log.
        count: how many they are.
    """

    after: int
    count: int = 0


class Positions(msgspec.Struct):
    """What the server has.

    Attributes:
        last: the sequence up to which all records are reported, but those that wait.
        waiting: the records that wait, by tenant.
    """

    last: int = 0
    waiting: dict[str, Waiting] = msgspec.field(default_factory=dict)


class SpoolRetention:
    """When records leave the log: some time after all of them were reported.

    Attributes:
        reporter: reports them; None until there is one, and then nothing is removed.
    """

    def __init__(self) -> None:
        self.reporter: Reporter | None = None

    def __call__(self) -> Retention:
        """Returns when records expire now."""
        if self.reporter is None or self.reporter.unsent:
            return Retention(None, None)
        return Retention(KEEP_S, None)


class Reporter:
    """Sends records in the order of the log, each until the server has it.

    Attributes:
        reported: how many records the server has taken.
        refused: how many records the server has refused for good; they stay in this log.
        name: for the recorder, of which it is a consumer.
        problem: why reports fail now; empty if they do not.
    """

    def __init__(self, log: AuditLog, central: Central, file: Path, max_unsent: int) -> None:
        """Starts the thread.

        Args:
            log: the log; nothing else reads it.
            central: the server.
            file: keeps what is reported.
            max_unsent: see `FollowOptions`.

        Raises:
            OSError: the file cannot be read.
            StoreUnavailable: the log cannot be read.
        """
        self._log = log
        self._central = central
        self._file = file
        self._max_unsent = max_unsent
        self._positions = _read_positions(file)
        self._closing = threading.Event()
        self.name = "reporter"
        self.reported = self.refused = self._counted = self._added = 0
        self._count()
        self.problem = ""
        self._decoder = msgspec.json.Decoder(_RecordTenant)
        self._thread = threading.Thread(target=self._run, name="pdp-report", daemon=True)
        self._thread.start()

    def consume(self, batch: Sequence[Recorded]) -> None:
        """Counts records that are new in the log: a report that takes long must not hide them."""
        self._added += len(batch)

    @property
    def unsent(self) -> int:
        """How many records wait to be reported."""
        return self._counted + self._added

    @property
    def is_full(self) -> bool:
        """Whether so many records wait that no decision may be added."""
        return self._counted + self._added >= self._max_unsent

    def close(self) -> None:
        """Reports what can be reported in a short time, and ends."""
        self._closing.set()
        self._thread.join(CLOSE_S)

    def _run(self) -> None:
        while True:
            is_last = self._closing.is_set()
            try:
                self._report_new()
                for tenant_id in list(self._positions.waiting):
                    self._report_waiting(tenant_id)
                tenants = ", ".join(self._positions.waiting)
                self._note(f"the server takes no records of {tenants}" if tenants else "")
            except grpc.RpcError as error:
                code, _ = status_of(error)
                self._note(f"the server cannot be reached ({code.name if code else 'no status'})")
            except NoCredential as error:
                self._note(str(error))
            except Exception as error:  # without this thread, nothing would be reported any more
                self._note(f"records cannot be reported ({type(error).__name__})")
            if is_last:
                return
            self._closing.wait(RETRY_S if self.problem else POLL_S)

    def _report_new(self) -> None:
        """Reports what the log has since the last time, tenant by tenant."""
        positions = self._positions
        while records := self._log.read_on(positions.last, MAX_RECORDS):
            self._count()
            for tenant_id, group in groupby(records, self._tenant_of):
                own = list(group)
                if tenant_id in positions.waiting:
                    positions.waiting[tenant_id].count += len(own)
                elif not self._report_all(tenant_id, own):
                    # The credential may not report for this tenant. The others go on.
                    positions.waiting[tenant_id] = Waiting(own[0].sequence - 1, len(own))
                positions.last = own[-1].sequence
                self._write()
        self._count()

    def _report_waiting(self, tenant_id: str) -> None:
        """Tries again to report the records of a tenant that wait."""
        waiting = self._positions.waiting[tenant_id]
        while waiting.after < self._positions.last:
            page = self._log.follow(RecordFilter(tenant_id), after=waiting.after, limit=MAX_RECORDS)
            own = [each for each in page.records if each.sequence <= self._positions.last]
            if own and not self._report_all(tenant_id, own):
                return
            ends = own[-1].sequence if own else 0
            waiting.after = max(ends, self._positions.last if page.more is None else page.more)
            waiting.count = max(0, waiting.count - len(own))
            self._write()
        del self._positions.waiting[tenant_id]
        self._write()
        self._count()

    def _report_all(self, tenant_id: str, records: Sequence[StoredRecord]) -> bool:
        """Reports records; returns False if the server takes none of the tenant.

        It takes a record once, so they may be reported again.
        """
        try:
            for page in _pages(records):
                self._report(tenant_id, page)
        except grpc.RpcError as error:
            if status_of(error)[0] is not grpc.StatusCode.PERMISSION_DENIED:
                raise
            return False
        return True

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

    def _tenant_of(self, record: StoredRecord) -> str:
        return self._decoder.decode(record.body).tenant_id

    def _count(self) -> None:
        waiting = sum(each.count for each in self._positions.waiting.values())
        self._added = 0
        self._counted = max(0, self._log.last() - self._positions.last) + waiting

    def _note(self, problem: str) -> None:
        if problem and problem != self.problem:
            _log.warning("decisions are not reported: %s", problem)
        self.problem = problem

    def _write(self) -> None:
        new = self._file.with_name(f"{self._file.name}.new")
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _MODE), "wb") as file:
            file.write(msgspec.json.encode(self._positions))
        new.replace(self._file)


def _read_positions(file: Path) -> Positions:
    try:
        return msgspec.json.decode(file.read_bytes(), type=Positions)
    except (FileNotFoundError, msgspec.DecodeError):
        return Positions()  # the server takes each record once


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
