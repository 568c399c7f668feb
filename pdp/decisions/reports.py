"""Takes the records of decisions that followers have made (docs/following.md)."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol

from pdp.audit.record_json import encode_record
from pdp.decisions.record_builder import ReportedDecision
from pdp.domain.decision_record import DecisionRecord
from pdp.errors import InvalidArgument, StoreUnavailable, Violation

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from pdp.domain.audit_log import AuditLog
    from pdp.engine.snapshot import Snapshot

MAX_CHARACTERS: Final = 4_000_000
"""Characters of the records of one report."""

_FIELD: Final = "records"


class ReportQueue(Protocol):
    """The queue of the recorder; `pdp.audit.recorder.Recorder` is one."""

    def record(self, pending: ReportedDecision, weight: int = 0) -> Any:
        """Queues a decision; see `Recorder.record`."""


class Reports:
    """Appends reported records to the log, each once."""

    def __init__(
        self,
        log: AuditLog,
        queue: ReportQueue,
        snapshot: Callable[[str], Awaitable[Snapshot]],
        check: Callable[[DecisionRecord], object],
    ) -> None:
        """Takes what appends.

        Args:
            log: the log of records.
            queue: the queue of the recorder.
            snapshot: returns the policies of a tenant.
            check: raises TypeError or ValueError if a record has a value of a wrong type.
        """
        self._check = check
        self._log = log
        self._queue = queue
        self._snapshot = snapshot
        # One report after the other, so that a record that is sent twice is found.
        self._reporting = asyncio.Lock()

    async def append(self, tenant_id: str, reporter: str, bodies: Sequence[str]) -> int:
        """Appends records that the log does not have yet, and returns how many these are.

        Args:
            tenant_id: the tenant that all records must be of.
            reporter: the credential of the follower.
            bodies: the records, as a log stores them.

        Raises:
            InvalidArgument: a text is no record of the tenant. Nothing was appended.
            StoreUnavailable: the log cannot be read or written. The follower sends the report
                again.
        """
        records = await asyncio.to_thread(self._read, tenant_id, reporter, bodies)
        snapshot = await self._snapshot(tenant_id)
        async with self._reporting:
            new = await asyncio.to_thread(self._new_of, tenant_id, records)
            acknowledgements = [
                self._queue.record(ReportedDecision(record, snapshot), size) for record, size in new
            ]
            for acknowledgement in acknowledgements:
                if acknowledgement is not None and not await acknowledgement:
                    raise StoreUnavailable("the records cannot be written now")
        return len(new)

    def _new_of(
        self, tenant_id: str, records: Sequence[tuple[DecisionRecord, int]]
    ) -> list[tuple[DecisionRecord, int]]:
        known = self._log.known(tenant_id, [record.decision_id for record, _ in records])
        return [each for each in records if each[0].decision_id not in known]

    def _read(
        self, tenant_id: str, reporter: str, bodies: Sequence[str]
    ) -> list[tuple[DecisionRecord, int]]:
        """Returns the records of a report, each once, with their sizes."""
        if sum(map(len, bodies)) > MAX_CHARACTERS:
            reason = f"must have at most {MAX_CHARACTERS} characters; send fewer at once"
            raise InvalidArgument.of(Violation(_FIELD, reason))
        records = {}
        for index, body in enumerate(bodies):
            field = f"{_FIELD}[{index}]"
            record = self._record(body, field)
            if record.tenant_id != tenant_id:
                raise InvalidArgument.of(Violation(field, "is a record of another tenant"))
            records[record.decision_id] = record._replace(reported_by=reporter), len(body)
        return list(records.values())

    def _record(self, body: str, field: str) -> DecisionRecord:
        try:
            record = DecisionRecord.from_json(json.loads(body))
            _check_values(record)
            self._check(record)
            encode_record(record)  # what cannot be written must not fail in the recorder
        except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError):
            raise InvalidArgument.of(Violation(field, "is no record of a decision")) from None
        if not record.decision_id:
            raise InvalidArgument.of(Violation(field, "has no decision_id"))
        return record


def _check_values(value: Any) -> None:
    """Checks that no part of a record lacks a value that it must have, or has no finite one.

    Raises:
        ValueError: a value is null, or a number that is not finite.
    """
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("a number is not finite")
    if isinstance(value, Mapping):
        for each in value.values():
            _check_values(each)
    elif isinstance(value, (tuple, list)):
        kinds = getattr(type(value), "__annotations__", {})
        for name, each in zip(getattr(value, "_fields", ()), value, strict=False):
            if each is None and "None" not in str(kinds[name]):
                raise ValueError(f"{name} is null")
        for each in value:
            _check_values(each)
