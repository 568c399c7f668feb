"""Streamed answers that are refused: not understood, beyond a bound, or after a fault."""

from __future__ import annotations

import pytest

from pdp.decisions import payload_frames, payload_lanes, payload_streams, stream_ids
from pdp.decisions.call_payload_streams import CallPayloadStreams
from pdp.decisions.decider import InvalidItem
from pdp.decisions.stream_ids import MAX_OPEN
from pdp.decisions.text_stream import MAX_TEXT_BYTES
from pdp.domain.decision import Outcome
from pdp.domain.request import Request
from pdp.errors import InvalidArgument, RateLimited, RequestTooLarge
from tests.support.payload_streams import (
    CHAT,
    Decisions,
    chat,
)

CARD = "4111 1111 1111 1111"


@pytest.mark.parametrize("format_", [CHAT, ""])
@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        ("data: {\n\n", "is not JSON"),
        ("hello\n\ndata: x\n\n", "is not JSON"),
        ('{"choices": [', "cut off"),
        ('data: {"choices":[],"choices":[]}\n\n', "twice"),
        ('data: {"choices":[{"delta":{"content":"\\ud83d"}}]}\n\n', "surrogate"),
        (b"data: \xff\n\n", "UTF-8"),
        ("data: " + "[" * 200 + "]" * 200 + "\n\n", "nested"),
    ],
)
async def test_what_is_not_understood_is_refused(
    decisions: Decisions, format_: str, raw: str | bytes, problem: str
) -> None:
    stream = decisions.begin(format_)
    with pytest.raises(InvalidArgument, match=problem):
        await stream.feed(raw, last=True)
    item = InvalidItem("other", "other", "INVALID_ARGUMENT", "no", 400)
    answer = await stream.refuse(item)
    assert (answer.text, answer.closed) == ("", True)
    assert (answer.decision.outcome, answer.decision.request_id) == (Outcome.BLOCK, "r")
    assert len(decisions.observed) == 1
    assert (decisions.streams.open, decisions.streams.held) == (0, 0)
    with pytest.raises(ValueError, match="closed"):
        await stream.feed("")


async def test_an_unknown_format_is_refused(decisions: Decisions) -> None:
    with pytest.raises(InvalidArgument, match="no format of streams"):
        decisions.begin("mcp.jsonrpc")
    assert decisions.streams.open == 0


async def test_a_piece_after_the_end_of_its_text_is_refused(decisions: Decisions) -> None:
    """It could complete a value whose begin was released."""
    raw = chat(["4111 1111"]).removesuffix("data: [DONE]\n\n")
    stream = decisions.begin()
    await stream.feed(raw)
    with pytest.raises(InvalidArgument, match="after its end"):
        await stream.feed(chat(["1111 1111"]))
    stream.abandon()


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("MAX_HELD_EVENTS", 1000, "must be held"),
        ("MAX_TEXTS_LENGTH", 100, "texts of more than 100"),
        ("MAX_STREAM", 1000, "more than 1000 characters"),
        ("MAX_OPEN_LANES", 0, "at once"),
        ("MAX_LANES", 0, "texts and calls"),
    ],
)
async def test_streams_are_bounded(
    decisions: Decisions, monkeypatch: pytest.MonkeyPatch, name: str, value: int, problem: str
) -> None:
    module = payload_streams if hasattr(payload_streams, name) else payload_lanes
    monkeypatch.setattr(module, name, value)
    stream = decisions.begin()
    raw = chat(["x" * 20] * 20)
    with pytest.raises(InvalidArgument, match=problem):
        await stream.feed(raw[: len(raw) * 3 // 4])
    stream.abandon()


async def test_a_text_is_bounded(decisions: Decisions) -> None:
    stream = decisions.begin()
    with pytest.raises(RequestTooLarge, match=str(MAX_TEXT_BYTES)):
        await stream.feed(chat(["word " * (MAX_TEXT_BYTES // 5 + 1)]))
    stream.abandon()


async def test_a_process_holds_a_bounded_amount(
    decisions: Decisions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(payload_streams, "MAX_HELD", 1000)
    first = decisions.begin()
    with pytest.raises(RateLimited):
        await first.feed(chat(["x" * 1000]))
    first.abandon()
    monkeypatch.setattr(payload_streams, "MAX_OPEN_IN_PROCESS", 1)
    second = decisions.begin()
    with pytest.raises(RateLimited):
        decisions.begin()
    second.abandon()
    assert (decisions.streams.open, decisions.streams.held) == (0, 0)


async def test_a_call_has_a_bounded_number_of_streams(
    decisions: Decisions, monkeypatch: pytest.MonkeyPatch
) -> None:
    streams = CallPayloadStreams(decisions.streams)
    request = Request(request_id="r", tenant_id="acme", timestamp=1.0)
    for index in range(MAX_OPEN):
        streams.check_new(str(index))
        streams.begin(str(index), request, CHAT, 0)
    with pytest.raises(InvalidArgument, match="may be open in one call"):
        streams.check_new("more")
    answer = await streams.feed("0", chat(["Hi"]), last=True)
    assert answer.closed
    assert not streams.is_open("0")
    streams.check_new("more")
    with pytest.raises(InvalidArgument, match="has ended"):
        streams.check_new("0")
    monkeypatch.setattr(stream_ids, "MAX_TEXTS", MAX_OPEN)
    with pytest.raises(InvalidArgument, match="begin another call"):
        streams.check_new("more")
    assert decisions.streams.open == MAX_OPEN - 1
    streams.abandon()
    assert (decisions.streams.open, decisions.streams.held) == (0, 0)


async def test_an_error_inside_stops_the_stream(
    decisions: Decisions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of the chunk is released, and the decision says that it is incomplete."""

    def fail(*_: object) -> str:
        raise RuntimeError("a fault")

    monkeypatch.setattr(payload_frames, "write", fail)
    answers = await decisions.stream([chat([CARD])])
    assert answers[-1].closed
    assert answers[-1].text == ""
    decision = answers[-1].decision
    assert (decision.outcome, decision.incomplete) == (Outcome.BLOCK, True)
    assert [str(each.error) for each in decision.faults] == ["a fault"]
    assert (decisions.streams.open, decisions.streams.held) == (0, 0)
