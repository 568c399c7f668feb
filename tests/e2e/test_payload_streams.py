"""Streams of a provider's events on a real server: what is released, refused, counted, recorded."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from pdp._gen.pdp.v1 import decide_pb2 as pb
from tests.e2e.test_text_streams import Chunk, Request, chunks_of, released, sent
from tests.support.payload_streams import (
    CHAT,
    MAKERS,
    arguments_of,
    call_stream,
    chat,
    cut_at,
    data_of,
    responses,
    text_of,
)
from tests.support.rest.packs import created_json, ok_json, pack
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Sequence

    import grpc
    import httpx2

CARD = "4111 1111 1111 1111"
FILLER = "word and word " * 40


def events(raw: str, tenant: str, size: int = 50, **fields: Any) -> list[pb.DecideStreamRequest]:
    """The messages of a stream of events, in chunks."""
    payload = pb.Payload(format=fields.pop("format", ""))
    return list(chunks_of(cut_at(raw, size), tenant, payload=payload, **fields))


def end_of(answers: Sequence[pb.DecideStreamResponse]) -> pb.DecideResponse:
    """Returns the decision that ends a stream. Chunks that come later are refused."""
    return next(each.response for each in answers if each.release.closed)


def refusal(channel: grpc.Channel, *messages: pb.DecideStreamRequest) -> pb.DecideResponse:
    """Sends messages; returns the decision on the last, which is a refusal."""
    answer = sent(channel, messages)[-1]
    assert answer.release.closed
    assert not answer.release.released_text
    assert answer.response.outcome == pb.OUTCOME_BLOCK
    assert answer.response.incomplete
    return answer.response


@pytest.mark.parametrize("maker", MAKERS)
def test_a_card_that_is_split_between_events_is_redacted(
    channel: grpc.Channel, tenant: str, maker: str
) -> None:
    format_, make = MAKERS[maker]
    text = f"{FILLER}Your card is {CARD}, is it not? {FILLER}"
    raw = make(cut_at(text, 6))
    answers = sent(channel, events(raw, tenant, 97))
    assert text_of(format_, released(answers)) == text.replace(CARD, "[REDACTED]")
    assert answers[-1].response.outcome == pb.OUTCOME_REDACT
    assert answers[-1].response.payload_format == format_
    assert [each.release.closed for each in answers] == [*[False] * (len(answers) - 1), True]
    assert answers[-1].release.released_end == len(raw)
    assert len({each.response.decision_id for each in answers}) == 1
    first = next(
        index for index, each in enumerate(answers) if "word" in each.release.released_text
    )
    assert first < len(answers) // 2
    paths = {
        (span.path, span.entity_type)
        for each in answers
        for obligation in each.response.obligations
        for span in obligation.spans
    }
    assert len(paths) >= 1
    assert all(path for path, _ in paths)


def test_a_tool_call_is_judged_by_its_tool(
    channel: grpc.Channel, client: httpx2.Client, tenant: str
) -> None:
    rule = {
        "name": "No deletions",
        "conditions": {"expression": "tool = 'delete_file' AND arguments.path LIKE '/etc/%'"},
        "action": {"type": "BLOCK", "message": "Not there."},
    }
    rules = pack(client, "Tools", rules=[rule])
    chain = {"packs": [{"id": rules["id"], "sequence": 0}], "combining_algorithm": "deny_overrides"}
    ok_json(client.put("/api/admin/policy-chains/org", json=chain))
    for path, outcome in (("/etc/passwd", pb.OUTCOME_BLOCK), ("/home/x", pb.OUTCOME_ALLOW)):
        pieces = cut_at(json.dumps({"path": path}), 4)
        answers = sent(channel, events(call_stream(CHAT, "delete_file", pieces), tenant))
        decision = end_of(answers)
        assert decision.outcome == outcome
        out = released(answers)
        if outcome == pb.OUTCOME_BLOCK:
            assert decision.message == "Not there."
            assert "delete_file" not in out
            assert "etc" not in out
        else:
            assert arguments_of(CHAT, out) == json.dumps({"path": path})


def test_a_stream_is_one_request_to_limits(
    channel: grpc.Channel, client: httpx2.Client, tenant: str, same_day: None
) -> None:
    limit = {"scope": "user", "subject_id": "ann", "daily_request_limit": 2}
    created_json(client.post("/api/admin/limits", json=limit))
    subject = pb.Subject(user_id="ann")
    outcomes = []
    for _ in range(3):
        answers = sent(channel, events(chat(cut_at(FILLER, 9)), tenant, subject=subject))
        outcomes.append(end_of(answers).outcome)
        assert bool(released(answers)) is end_of(answers).allowed
    assert outcomes == [pb.OUTCOME_ALLOW, pb.OUTCOME_ALLOW, pb.OUTCOME_BLOCK]


def test_a_stream_has_one_record_without_the_values(
    channel: grpc.Channel, client: httpx2.Client, tenant: str
) -> None:
    ok_json(client.put("/v1/org/policy", json={"logging_level": "full"}))
    raw = responses(["My card is 4111 1111", " 1111 1111. ", FILLER])
    answers = sent(channel, events(raw, tenant))

    def records() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = ok_json(client.get("/api/admin/audit/records"))["records"]
        return found

    wait_until(lambda: len(records()) == 1, "the decision is recorded")
    [record] = records()
    assert record["decision_id"] == answers[-1].response.decision_id
    assert record["payload_format"] == "openai.responses"
    text = record["redacted_arguments"]["texts"]["/output/0/content/0/output_text"]
    assert text.startswith("My card is [")
    assert "1111" not in json.dumps(record["redacted_arguments"])


def test_the_model_of_the_events_is_judged(
    channel: grpc.Channel, client: httpx2.Client, tenant: str
) -> None:
    rule = {
        "name": "No minis",
        "applies_to": "output",
        "conditions": {"expression": "model.model LIKE 'gpt-4o-mini%'"},
        "action": {"type": "BLOCK"},
    }
    rules = pack(client, "Models", rules=[rule])
    chain = {"packs": [{"id": rules["id"], "sequence": 0}], "combining_algorithm": "deny_overrides"}
    ok_json(client.put("/api/admin/policy-chains/org", json=chain))
    for model in ("", "gpt-4o-mini", "other"):
        answers = sent(channel, events(chat(["Hi"]), tenant, model=pb.Model(model=model)))
        assert end_of(answers).outcome == pb.OUTCOME_BLOCK
        assert released(answers) == ""


def test_texts_events_and_requests_share_a_call(channel: grpc.Channel, tenant: str) -> None:
    messages: list[pb.DecideStreamRequest] = []
    raw = chat(cut_at(f"Card {CARD}.", 3))
    for text, stream in zip(
        chunks_of([f"{FILLER[:20]} {CARD}", " end"], tenant, "text"),
        chunks_of([raw[:300], raw[300:]], tenant, "events", payload=pb.Payload()),
        strict=True,
    ):
        messages += (text, stream)
    whole = pb.DecideRequest(tenant_id=tenant, content=pb.Content(text="hello"))
    messages.insert(2, Request(request=whole))
    answers = sent(channel, messages)
    assert text_of(
        CHAT, released(each for each in answers if each.release.stream_id == "events")
    ) == ("Card [REDACTED].")
    assert "[REDACTED] end" in released(
        each for each in answers if each.release.stream_id == "text"
    )
    assert answers[2].response.outcome == pb.OUTCOME_ALLOW


@pytest.mark.parametrize(
    ("request_", "field", "problem"),
    [
        ({"payload": {"body": "{}"}}, "request.payload.body", "in chunks"),
        ({"payload": {"history": "all"}}, "request.payload.history", "in chunks"),
        ({"payload": {}, "direction": "input"}, "request.direction", "answers"),
        ({"payload": {"format": "mcp.jsonrpc"}}, "request.payload.format", "no format of streams"),
        ({"payload": {"format": "x" * 65}}, "request.payload.format", "no format of streams"),
        ({"payload": {}, "tool": "x"}, "request.tool", "payload"),
        ({"payload": {}, "direction": "sideways"}, "request.direction", ""),
    ],
)
def test_a_first_chunk_that_is_invalid_is_refused(
    channel: grpc.Channel, tenant: str, request_: dict[str, Any], field: str, problem: str
) -> None:
    first = Request(
        chunk=Chunk(text="data: {}\n\n"), request=pb.DecideRequest(tenant_id=tenant, **request_)
    )
    decision = refusal(channel, first)
    assert decision.reason_code == "INVALID_ARGUMENT"
    assert field in decision.message
    assert problem in decision.message
    assert refusal(channel, first, Request(chunk=Chunk(text="more"))).status_hint == 400


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        ("data: {\n\n", "not JSON"),
        ('{"choices":[', "cut off"),
        ('data: {"a":1}\n\n', "no known format"),
        ("hello", "no known format"),
    ],
)
def test_a_stream_that_is_not_understood_is_refused(
    channel: grpc.Channel, tenant: str, raw: str, problem: str
) -> None:
    if raw == "hello":
        raw = "data: 5\n\n"
    decision = refusal(channel, *events(raw, tenant))
    assert "chunk.text" in decision.message
    assert problem in decision.message


def test_a_stream_that_has_ended_is_not_begun_again(channel: grpc.Channel, tenant: str) -> None:
    """Not as a text, either: the next chunk is the middle of something."""
    first = events(chat(["Hi"]), tenant, 10**6)
    for again in (Request(chunk=Chunk(text="more")), *events(chat(["Hi"]), tenant, 10**6)):
        assert "has ended" in refusal(channel, *first, again).message
    second = Request(chunk=Chunk(text="x"), request=pb.DecideRequest(tenant_id=tenant))
    begun = events(chat(["Hi"]), tenant, 100)[0]
    assert "first chunk" in refusal(channel, begun, second).message
    assert "has ended" in refusal(channel, begun, second, Request(chunk=Chunk(text="y"))).message


def test_the_events_of_a_stream_keep_their_other_members(
    channel: grpc.Channel, tenant: str
) -> None:
    raw = responses(["Card 4111 ", "1111 1111 1111."])
    out = data_of(released(sent(channel, events(raw, tenant))))
    for before, after in zip(data_of(raw), out, strict=True):
        assert before.keys() == after.keys()
        assert before["sequence_number"] == after["sequence_number"]
        assert before["type"] == after["type"]
