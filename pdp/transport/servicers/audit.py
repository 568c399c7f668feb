"""AuditService: reads what has been recorded (docs/audit.md)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, cast

from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp

from pdp._gen.pdp.v1 import audit_pb2 as pb
from pdp.admin.change_log import masked
from pdp.domain.tenant import PLATFORM
from pdp.errors import RecordNotFound, StoreUnavailable
from pdp.transport.record_messages import to_record
from pdp.transport.record_text import CSV_TYPE, NDJSON_TYPE, csv_head, csv_lines, ndjson_lines

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from google.protobuf.message import Message

    from pdp.admin.change_log import ChangeLog, ChangePage
    from pdp.audit.reader import LogEntry, RecordReader
    from pdp.domain.stored_entity import Change
    from pdp.transport.call import Call, Endpoint

DEFAULT_LIMIT: Final = 100

_AT_ONCE: Final = 25
"""Records that an export writes before it lets decisions by: some 5 ms."""

_TEXTS: Final = (
    "user_id", "agent_id", "customer_id", "provider", "model", "action", "policy_id",
    "reason_code", "request_id",
)  # fmt: skip
_CHANGE_TEXTS: Final = ("kind", "entity_id", "actor", "op")


class AuditServicer:
    """Reads the records and changes of the tenant that a call acts for."""

    def __init__(self, reader: RecordReader | None, changes: ChangeLog) -> None:
        """Takes what reads records (None where none are kept), and what reads changes."""
        self._records = reader
        self._changes = changes

    @property
    def _reader(self) -> RecordReader:
        if self._records is None:
            raise StoreUnavailable("no decision records are kept here")
        return self._records

    def handlers(self) -> Mapping[str, Endpoint]:
        """Returns the handler of each RPC, by its name."""
        return {
            "ListRecords": self.list,
            "GetRecord": self.get,
            "ExportRecords": self.export,
            "TailRecords": self.tail,
            "VerifyRecords": self.verify,
            "ListChanges": self.changes,
            "ListPlatformChanges": self.platform_changes,
        }

    async def list(self, call: Call, message: Message) -> pb.ListRecordsResponse:
        """Lists records, newest first."""
        asked = cast("pb.ListRecordsRequest", message)
        limit = asked.limit or DEFAULT_LIMIT
        found = await self._reader.list(
            call.tenant_id, _cursor(asked.cursor), limit + 1, **_wanted(asked)
        )
        page = found[:limit]
        return pb.ListRecordsResponse(
            records=[to_record(each) for each in page],
            next_cursor=str(page[-1].cursor) if len(found) > limit else "",
        )

    async def get(self, call: Call, message: Message) -> pb.GetRecordResponse:
        """Returns one record.

        Raises:
            RecordNotFound: the tenant has none of that decision.
        """
        asked = cast("pb.GetRecordRequest", message)
        found = await self._reader.get(call.tenant_id, asked.decision_id)
        if found is None:
            raise RecordNotFound(f"there is no record of decision {asked.decision_id}")
        return pb.GetRecordResponse(record=to_record(found))

    async def export(self, call: Call, message: Message) -> pb.ExportRecordsResponse:
        """Sends all records, as a stream of texts."""
        asked = cast("pb.ExportRecordsRequest", message)
        pages = self._reader.export(call.tenant_id, **_wanted(asked))
        as_csv = asked.format == "csv"
        call.stream = _texts(pages, as_csv=as_csv)
        return pb.ExportRecordsResponse(content_type=CSV_TYPE if as_csv else NDJSON_TYPE)

    async def tail(self, call: Call, message: Message) -> pb.TailRecordsResponse:
        """Sends records as they are written."""
        asked = cast("pb.TailRecordsRequest", message)
        after = _cursor(asked.cursor)
        call.stream = _records(self._reader.tail(call.tenant_id, after, **_wanted(asked)))
        return pb.TailRecordsResponse()

    async def verify(self, call: Call, message: Message) -> pb.VerifyRecordsResponse:
        """Looks at the whole log."""
        found = await self._reader.verify(cast("pb.VerifyRecordsRequest", message).anchor)
        return pb.VerifyRecordsResponse(
            intact=found.intact,
            problems=found.problems,
            batches=found.batches,
            records=found.records,
            first_batch=found.first_batch,
            last_batch=found.last_batch,
            removed_batches=found.removed_batches,
            head=found.head,
        )

    async def changes(self, call: Call, message: Message) -> pb.ListChangesResponse:
        """Lists what was changed of a tenant's policies."""
        page = await self._page(call.tenant_id, cast("pb.ListChangesRequest", message))
        changes, cursor = _shown(page)
        return pb.ListChangesResponse(changes=changes, next_cursor=cursor)

    async def platform_changes(
        self, call: Call, message: Message
    ) -> pb.ListPlatformChangesResponse:
        """Lists what was changed of what all tenants share."""
        page = await self._page(PLATFORM, cast("pb.ListPlatformChangesRequest", message))
        changes, cursor = _shown(page)
        return pb.ListPlatformChangesResponse(changes=changes, next_cursor=cursor)

    async def _page(
        self, tenant_id: str, asked: pb.ListChangesRequest | pb.ListPlatformChangesRequest
    ) -> ChangePage:
        wanted = {name: getattr(asked, name) for name in _CHANGE_TEXTS}
        limit = asked.limit or DEFAULT_LIMIT
        return await self._changes.list(
            tenant_id, _cursor(asked.cursor), limit, **wanted, **_times(asked)
        )


def _cursor(text: str) -> int | None:
    return int(text) if text else None


def _times(asked: Any) -> dict[str, float | None]:
    return {
        name: getattr(asked, name).ToNanoseconds() / 1e9 if asked.HasField(name) else None
        for name in ("since", "until")
    }


def _wanted(asked: Any) -> dict[str, Any]:
    """Returns the filter that a request for records asks for; the three of them name it alike."""
    return {
        **{name: getattr(asked, name) for name in _TEXTS},
        **_times(asked),
        "outcomes": tuple(asked.outcome),
        "risk_levels": tuple(asked.risk_level),
        "pii_detected": asked.pii_detected if asked.HasField("pii_detected") else None,
    }


async def _records(
    pages: AsyncIterator[Sequence[LogEntry]],
) -> AsyncIterator[pb.TailRecordsResponse]:
    async for page in pages:
        for each in page:
            yield pb.TailRecordsResponse(record=to_record(each))


async def _texts(
    pages: AsyncIterator[Sequence[LogEntry]], *, as_csv: bool
) -> AsyncIterator[pb.ExportRecordsResponse]:
    content_type, written = (CSV_TYPE, csv_lines) if as_csv else (NDJSON_TYPE, ndjson_lines)
    if as_csv:
        yield pb.ExportRecordsResponse(text=csv_head(), content_type=content_type)
    async for page in pages:
        for start in range(0, len(page), _AT_ONCE):
            text = written(page[start : start + _AT_ONCE])
            yield pb.ExportRecordsResponse(text=text, content_type=content_type)
            await asyncio.sleep(0)


def _shown(page: ChangePage) -> tuple[list[pb.PolicyChange], str]:
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
    if body is None:
        return None
    struct = Struct()
    struct.update(masked(body))
    return struct
