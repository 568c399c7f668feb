"""AuditService.SummarizeRecords (docs/audit.md, Summaries)."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from pdp._gen.pdp.v1 import audit_pb2 as pb
from pdp.audit.record_summary import DEFAULT_BUCKETS
from pdp.domain.decision import Outcome
from pdp.errors import StoreUnavailable
from pdp.transport.servicers.fields import to_optional_timestamp, to_timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.message import Message

    from pdp.audit.record_summary import RecordSummaries, RecordSummary, SummaryBucket
    from pdp.transport.call import Call, Endpoint

_LEVELS = ("none", "low", "medium", "high", "critical")


class RecordSummaryServicer:
    """Summarizes the decisions of the call's tenant."""

    def __init__(self, summaries: RecordSummaries | None) -> None:
        """Takes what makes summaries; None if this server records no decisions."""
        self._summaries = summaries

    def handlers(self) -> Mapping[str, Endpoint]:
        """Returns the handler of each RPC, by its name."""
        return {"SummarizeRecords": self.summarize}

    async def summarize(self, call: Call, message: Message) -> pb.SummarizeRecordsResponse:
        """Returns the summary of a period.

        Raises:
            InvalidArgument: the period does not end after it begins.
            StoreUnavailable: there are no records, or they cannot be read.
        """
        if self._summaries is None:
            raise StoreUnavailable("this server does not record decisions")
        request = cast("pb.SummarizeRecordsRequest", message)
        since, until = (
            getattr(request, name).ToNanoseconds() / 1e9 if request.HasField(name) else None
            for name in ("since", "until")
        )
        buckets = request.buckets or DEFAULT_BUCKETS
        return _response(await self._summaries.summarize(call.tenant_id, since, until, buckets))


def _response(summary: RecordSummary) -> pb.SummarizeRecordsResponse:
    return pb.SummarizeRecordsResponse(
        since=to_timestamp(summary.since),
        until=to_timestamp(summary.until),
        bucket_seconds=summary.bucket_s,
        buckets=map(_bucket, summary.buckets),
        top_policies=[
            pb.TopPolicy(**match._asdict(), count=count) for match, count in summary.policies
        ],
        top_users=[
            pb.TopUser(user_id=each.caller_id, count=each.records, blocked=each.blocked)
            for each in summary.users
        ],
        top_agents=[
            pb.TopAgent(agent_id=each.caller_id, count=each.records, blocked=each.blocked)
            for each in summary.agents
        ],
        top_models=[
            pb.TopModel(provider=provider, model=model, count=count)
            for (provider, model), count in summary.models
        ],
        records_read=summary.records_read,
        records_complete=summary.records_complete,
        uncounted_before=to_optional_timestamp(summary.uncounted_before),
    )


def _bucket(bucket: SummaryBucket) -> pb.RecordBucket:
    return pb.RecordBucket(
        start=to_timestamp(bucket.start),
        outcomes=[
            pb.OutcomeCount(
                outcome=Outcome[each.outcome],  # type: ignore[arg-type] # the numbers are the proto's
                made=each.made,
                recorded=each.recorded,
            )
            for each in bucket.outcomes
        ],
        risk=[
            pb.RiskCount(level=level, count=bucket.risk[level])
            for level in _LEVELS
            if level in bucket.risk
        ],
        duration_us_p50=bucket.duration_us_p50,
        duration_us_p99=bucket.duration_us_p99,
    )
