"""Times: RFC 3339 is decoded, UTC is encoded."""

from __future__ import annotations

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp.errors import InvalidArgument
from pdp.jsonpb import decode, encode


def read(text: str) -> Timestamp:
    """Returns the decoded timestamp of a DecideRequest."""
    message = pb.DecideRequest()
    decode({"timestamp": text}, message)
    return message.timestamp


@pytest.mark.parametrize(
    ("text", "seconds", "nanos"),
    [
        ("2025-01-02T10:00:00Z", 1_735_812_000, 0),
        ("2025-01-02t10:00:00z", 1_735_812_000, 0),
        ("2025-01-02T11:30:00+01:30", 1_735_812_000, 0),
        ("2025-01-02T00:00:00-10:00", 1_735_812_000, 0),
        ("1969-12-31T23:59:59.5Z", -1, 500_000_000),
        ("2025-01-02T10:00:00.000000001Z", 1_735_812_000, 1),
        ("2025-01-02T10:00:00.1234567899Z", 1_735_812_000, 123_456_789),
        ("0001-01-01T00:00:00Z", -62_135_596_800, 0),
        ("9999-12-31T23:59:59Z", 253_402_300_799, 0),
    ],
)
def test_times_are_rfc_3339_with_any_offset(text: str, seconds: int, nanos: int) -> None:
    assert read(text) == Timestamp(seconds=seconds, nanos=nanos)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("2025-01-02", "must be a time such as 2025-01-02T10:00:00Z (RFC 3339, with its offset)"),
        (
            "2025-01-02T10:00:00",
            "must be a time such as 2025-01-02T10:00:00Z (RFC 3339, with its offset)",
        ),
        ("2025-02-29T10:00:00Z", "is not a date of the calendar"),
        ("0000-01-01T00:00:00Z", "is not a date of the calendar"),
        ("2025-01-02T24:00:00Z", "is not a time of day: hours go to 23, minutes and seconds to 59"),
        ("2025-01-02T10:00:00+24:00", "has an invalid offset: hours go to 23, minutes to 59"),
        ("0001-01-01T00:00:00+00:01", "must be in the years 1 to 9999, in UTC"),
    ],
)
def test_other_times_are_refused(text: str, reason: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        read(text)
    assert caught.value.violations == (("timestamp", reason),)


@pytest.mark.parametrize(
    ("seconds", "nanos", "text"),
    [
        (1_735_812_000, 0, "2025-01-02T10:00:00Z"),
        (1_735_812_000, 500_000_000, "2025-01-02T10:00:00.500Z"),
        (1_735_812_000, 1_000, "2025-01-02T10:00:00.000001Z"),
        (-1, 1, "1969-12-31T23:59:59.000000001Z"),
        (-62_135_596_800, 0, "0001-01-01T00:00:00Z"),
    ],
)
def test_times_are_written_in_utc(seconds: int, nanos: int, text: str) -> None:
    message = pb.DecideRequest(timestamp=Timestamp(seconds=seconds, nanos=nanos))
    assert encode(message)["timestamp"] == text
