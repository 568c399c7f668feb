"""AuditService: reads decision records and changes of policies (docs/audit.md)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, cast

from google.protobuf.timestamp_pb2 import Timestamp

from pdp._gen.pdp.v1 import audit_pb2 as pb
from pdp.admin.change_log import mask_secrets
from pdp.domain.tenant import PLATFORM
from pdp.errors import RecordNotFound, StoreUnavailable
from pdp.transport.record_formats import (
    CSV_TYPE,
    NDJSON_TYPE,
    csv_header,
    csv_lines,
    ndjson_lines,
)
from pdp.transport.record_messages import to_record
from pdp.transport.servicers.fields import to_struct

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from google.protobuf.message import Message
    from google.protobuf.struct_pb2 import Struct

    from pdp.admin.change_log import ChangeLog, ChangePage
    from pdp.audit.reader import LogEntry, RecordReader
    from pdp.decisions.reports import Reports
    from pdp.domain.stored_entity import Change
    from pdp.transport.call import Call, Endpoint

DEFAULT_LIMIT: Final = 100

_CHUNK: Final = 25
"""How many records an export writes, in about 5 ms, before it lets decisions run."""

_RECORD_FIELDS: Final = (
    "user_id", "agent_id", "customer_id", "provider", "model", "action", "policy_id",
    "reason_code", "request_id",
)  # fmt: skip
_CHANGE_FIELDS: Final = ("kind", "entity_id", "actor", "op")


class AuditServicer:
    """Reads the decision records and policy changes of the call's tenant."""

    def __init__(
        self, reader: RecordReader | None, changes: ChangeLog, reports: Reports | None = None
    ) -> None:
        """Args:
        reader: reads decision records; None if this server has none.
        changes: reads changes of policies.
        reports: takes the records of followers; None if this server has no records.
        """
        self._reports = reports
        self._records = reader
        self._changes = changes

    @property
    def _reader(self) -> RecordReader:
        if self._records is None:
            raise StoreUnavailable("this server does not record decisions")
        return self._records

    def handlers(self) -> Mapping[str, Endpoint]:
        """Returns the handler of each RPC, by its name."""
        return {
            "ListRecords": self.list,
            "GetRecord": self.get,
            "ExportRecords": self.export,
            "TailRecords": self.tail,
            "VerifyRecords": self.verify,
            "ReportRecords": self.report,
            "ListChanges": self.changes,
            "ListPlatformChanges": self.platform_changes,
        }

    async def list(self, call: Call, message: Message) -> pb.ListRecordsResponse:
        """Lists records, newest first."""
        request = cast("pb.ListRecordsRequest", message)
        limit = request.limit or DEFAULT_LIMIT
        entries, more, end = await self._reader.list(
            call.tenant_id, _cursor(request.cursor), limit + 1, **_record_filters(request)
        )
        page = entries[:limit]
        if len(entries) > limit:
            more = page[-1].cursor
        return pb.ListRecordsResponse(
            records=[to_record(each) for each in page],
            next_cursor="" if more is None else str(more),
            tail_cursor="" if end is None else str(end),
        )

    async def get(self, call: Call, message: Message) -> pb.GetRecordResponse:
        """Returns one record.

        Raises:
            RecordNotFound: the tenant has no record of that decision.
        """
        request = cast("pb.GetRecordRequest", message)
        record = await self._reader.get(call.tenant_id, request.decision_id)
        if record is None:
            raise RecordNotFound(f"there is no record of decision {request.decision_id}")
        return pb.GetRecordResponse(record=to_record(record))

    async def export(self, call: Call, message: Message) -> pb.ExportRecordsResponse:
        """Streams all records as text."""
        request = cast("pb.ExportRecordsRequest", message)
        pages = self._reader.export(call.tenant_id, **_record_filters(request))
        as_csv = request.format == "csv"
        call.stream = _export_responses(pages, as_csv=as_csv)
        return pb.ExportRecordsResponse(content_type=CSV_TYPE if as_csv else NDJSON_TYPE)

    async def tail(self, call: Call, message: Message) -> pb.TailRecordsResponse:
        """Streams records as they are written."""
        request = cast("pb.TailRecordsRequest", message)
        after = _cursor(request.cursor)
        call.stream = _tail_responses(
            self._reader.tail(call.tenant_id, after, **_record_filters(request))
        )
        return pb.TailRecordsResponse()

    async def verify(self, call: Call, message: Message) -> pb.VerifyRecordsResponse:
        """Verifies the whole log of records."""
        report = await self._reader.verify(cast("pb.VerifyRecordsRequest", message).anchor)
        return pb.VerifyRecordsResponse(
            intact=report.intact,
            problems=report.problems,
            batches=report.batches,
            records=report.records,
            first_batch=report.first_batch,
            last_batch=report.last_batch,
            removed_batches=report.removed_batches,
            head=report.head,
            removals=[pb.RecordRemoval(**each._asdict()) for each in report.removed],
        )

    async def report(self, call: Call, message: Message) -> pb.ReportRecordsResponse:
        """Appends the records of a follower.

        Raises:
            InvalidArgument: a text is no record of the tenant.
            StoreUnavailable: the records cannot be written now.
        """
        if self._reports is None:
            raise StoreUnavailable("this server does not record decisions")
        bodies = cast("pb.ReportRecordsRequest", message).records
        appended = await self._reports.append(call.tenant_id, call.principal.name, bodies)
        return pb.ReportRecordsResponse(appended=appended)

    async def changes(self, call: Call, message: Message) -> pb.ListChangesResponse:
        """Lists the changes of the tenant's policies."""
        page = await self._page(call.tenant_id, cast("pb.ListChangesRequest", message))
        changes, cursor = _change_messages(page)
        return pb.ListChangesResponse(
            changes=changes, next_cursor=cursor, removed_through=page.removed_through
        )

    async def platform_changes(
        self, call: Call, message: Message
    ) -> pb.ListPlatformChangesResponse:
        """Lists the changes of the policies that all tenants share."""
        page = await self._page(PLATFORM, cast("pb.ListPlatformChangesRequest", message))
        changes, cursor = _change_messages(page)
        return pb.ListPlatformChangesResponse(changes=changes, next_cursor=cursor)

    async def _page(
        self, tenant_id: str, request: pb.ListChangesRequest | pb.ListPlatformChangesRequest
    ) -> ChangePage:
        filters = {name: getattr(request, name) for name in _CHANGE_FIELDS}
        limit = request.limit or DEFAULT_LIMIT
        return await self._changes.list(
            tenant_id, _cursor(request.cursor), limit, **filters, **_times(request)
        )


def _cursor(text: str) -> int | None:
    return int(text) if text else None


def _times(request: Any) -> dict[str, float | None]:
    return {
        name: getattr(request, name).ToNanoseconds() / 1e9 if request.HasField(name) else None
        for name in ("since", "until")
    }


def _record_filters(request: Any) -> dict[str, Any]:
    """Returns the filters of a request for records. All such requests have the same fields."""
    return {
        **{name: getattr(request, name) for name in _RECORD_FIELDS},
        **_times(request),
        "outcomes": tuple(request.outcome),
        "risk_levels": tuple(request.risk_level),
        "pii_detected": request.pii_detected if request.HasField("pii_detected") else None,
    }


async def _tail_responses(
    pages: AsyncIterator[Sequence[LogEntry]],
) -> AsyncIterator[pb.TailRecordsResponse]:
    async for page in pages:
        for each in page:
            yield pb.TailRecordsResponse(record=to_record(each))


async def _export_responses(
    pages: AsyncIterator[Sequence[LogEntry]], *, as_csv: bool
) -> AsyncIterator[pb.ExportRecordsResponse]:
    content_type, write = (CSV_TYPE, csv_lines) if as_csv else (NDJSON_TYPE, ndjson_lines)
    if as_csv:
        yield pb.ExportRecordsResponse(text=csv_header(), content_type=content_type)
    async for page in pages:
        for start in range(0, len(page), _CHUNK):
            text = write(page[start : start + _CHUNK])
            yield pb.ExportRecordsResponse(text=text, content_type=content_type)
            await asyncio.sleep(0)


def _change_messages(page: ChangePage) -> tuple[list[pb.PolicyChange], str]:
    return [_change(each) for each in page.changes], str(page.more or "")


def _change(change: Change) -> pb.PolicyChange:
    at = Timestamp()
    at.FromNanoseconds(round(change.at * 1e9))
    return pb.PolicyChange(
        revision=change.revision,
        kind=change.kind,
        entity_id=change.entity_id,
        op=change.op,
        actor=change.actor,
        at=at,
        summary=change.summary,
        before=_struct(change.before),
        after=_struct(change.after),
    )


def _struct(body: Mapping[str, Any] | None) -> Struct | None:
    return None if body is None else to_struct(mask_secrets(body))
