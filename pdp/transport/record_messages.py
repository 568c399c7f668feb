"""Converts decision records to messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf.timestamp_pb2 import Timestamp

from pdp._gen.pdp.v1 import audit_pb2 as pb
from pdp._gen.pdp.v1 import decide_pb2
from pdp.domain.decision import Decision
from pdp.messages.conversion import to_response
from pdp.strictjson.objects import to_text

if TYPE_CHECKING:
    from pdp.audit.reader import LogEntry
    from pdp.domain.decision_record import DecisionRecord


def to_record(read: LogEntry) -> pb.DecisionRecord:
    """Returns the message of a record in the log, with its cursor."""
    message = record_message(read.record)
    message.cursor = str(read.cursor)
    return message


def record_message(record: DecisionRecord) -> pb.DecisionRecord:
    """Returns the message of a record."""
    message = pb.DecisionRecord(
        decision_id=record.decision_id,
        request_id=record.request_id,
        time=to_timestamp(record.time),
        tenant_id=record.tenant_id,
        outcome=record.outcome,  # type: ignore[arg-type] # the numbers are the proto's
        allowed=record.allowed,
        reason_code=record.reason_code,
        message=record.message,
        status_hint=record.status_hint,
        revision=record.revision,
        policy_hash=record.policy_hash,
        subject=decide_pb2.Subject(**record.subject._asdict()),
        customer_id=record.customer_id,
        direction=record.direction,
        channel=record.channel,
        intent_complexity=record.intent_complexity,
        model=decide_pb2.Model(provider=record.provider, model=record.model),
        action=record.action,
        tool=record.tool,
        target=decide_pb2.Target(**record.target._asdict()),
        asked_at=to_timestamp(record.asked_at),
        text_sha256=record.text_sha256,
        text_length=record.text_length,
        redacted_text=record.redacted_text,
        arguments_sha256=record.arguments_sha256,
        entities=[pb.RecordedEntity(**each._asdict()) for each in record.entities],
        usage=decide_pb2.Usage(tokens=record.tokens, cost_usd=record.cost_usd),
        pii_detected=record.pii_detected,
        incomplete=record.incomplete,
        duration_us=record.duration_us,
        layers=[pb.LayerTime(**each._asdict()) for each in record.layers],
        logging_level=record.logging_level,
        session_id=record.session_id,
        sample_rate=record.sample_rate,
        payload_format=record.payload_format,
        input_hash=record.input_hash,
        reported_by=record.reported_by,
    )
    if record.policies_known_at:
        message.stale = True
        message.policies_known_at.CopyFrom(to_timestamp(record.policies_known_at))
    if record.redacted_arguments is not None:
        message.redacted_arguments.update(dict(record.redacted_arguments))
        message.redacted_arguments_json = to_text(record.redacted_arguments)
    _add_findings(message, record)
    return message


def _add_findings(message: pb.DecisionRecord, record: DecisionRecord) -> None:
    """Adds the fields that a DecideResponse has too, through its conversion."""
    response = to_response(
        Decision(
            decision_id=record.decision_id,
            request_id=record.request_id,
            outcome=record.outcome,
            message=record.message,
            reason_code=record.reason_code,
            status_hint=record.status_hint,
            risk=record.risk,
            revision=record.revision,
            obligations=record.obligations,
            warnings=record.warnings,
            matches=record.matches,
            frameworks=record.frameworks,
        )
    )
    message.risk.CopyFrom(response.risk)
    message.matches.extend(response.matches)
    message.obligations.extend(response.obligations)
    message.warnings.extend(response.warnings)
    message.frameworks.extend(response.frameworks)


def to_timestamp(seconds: float) -> Timestamp:
    """Returns the timestamp of a time in seconds since the epoch, to the microsecond."""
    timestamp = Timestamp()
    timestamp.FromNanoseconds(round(seconds * 1e6) * 1000)
    return timestamp
