"""Texts in chunks on a real server: a value that spans chunks is never released."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings

from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp._gen.pdp.v1 import decide_pb2_grpc
from pdp.client.remote import open_channel
from pdp.decisions.stream_ids import MAX_OPEN
from pdp.decisions.text_stream import HOLD_BACK, MAX_TEXT_BYTES
from pdp.jsonpb import decode, encode
from tests.e2e.test_documentation import includes
from tests.support import servers
from tests.support.rest.packs import created_json, ok_json, pack
from tests.support.text_streams import chunked
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import grpc
    import httpx2


ROOT = Path(__file__).parents[2]
TIMEOUT_S = 60.0
CARD = "4111 1111 1111 1111"
CARDS = r"\b(?:\d[ -]?){15}\d\b"
FILLER = "word " * 100

Request = pb.DecideStreamRequest
Chunk = pb.StreamChunk


@pytest.fixture
def redacting(client: httpx2.Client, tenant: str) -> str:
    """A tenant whose answers are redacted if they contain card numbers."""
    answers = pack(client, "Answers", rules=[redact(CARDS)])
    ok_json(client.put("/api/admin/policy-chains/org", json=chain_of(answers)))
    return tenant


def redact(pattern: str) -> dict[str, Any]:
    """A redaction rule for answers."""
    return {
        "sequence": 0,
        "name": "Cards",
        "applies_to": "output",
        "conditions": {"content_regex": pattern},
        "action": {"type": "REDACT", "redact_replacement": "[CARD]"},
    }


def chain_of(*packs: dict[str, Any]) -> dict[str, Any]:
    entries = [{"id": each["id"], "sequence": index} for index, each in enumerate(packs)]
    return {"packs": entries, "combining_algorithm": "deny_overrides"}


def chunks_of(
    texts: Sequence[str], tenant: str, stream_id: str = "", **fields: Any
) -> Iterator[pb.DecideStreamRequest]:
    """The messages of one text. The first one names the tenant."""
    for index, text in enumerate(texts):
        chunk = Chunk(stream_id=stream_id, text=text, last=index == len(texts) - 1)
        message = Request(chunk=chunk)
        if not index:
            message.request.CopyFrom(pb.DecideRequest(tenant_id=tenant, **fields))
        yield message


def sent(
    channel: grpc.Channel, messages: Iterable[pb.DecideStreamRequest]
) -> list[pb.DecideStreamResponse]:
    """Sends messages in one call; returns the responses."""
    stub = decide_pb2_grpc.DecideServiceStub(channel)
    return list(stub.DecideStream(iter(messages), timeout=TIMEOUT_S))


def released(answers: Iterable[pb.DecideStreamResponse]) -> str:
    """Returns the released text of all answers."""
    return "".join(each.release.released_text for each in answers)


def spans(answers: Iterable[pb.DecideStreamResponse]) -> list[tuple[int, int]]:
    """Returns the redacted spans, as offsets in the whole text."""
    return [
        (span.start, span.end)
        for each in answers
        for obligation in each.response.obligations
        for span in obligation.spans
    ]


def test_a_card_number_in_two_chunks_is_redacted(channel: grpc.Channel, redacting: str) -> None:
    text = f"{FILLER}Your card is {CARD}, is it not? {FILLER}"
    start = text.index(CARD)
    for cut in range(start + 1, start + len(CARD)):
        answers = sent(channel, chunks_of([text[:cut], text[cut:]], redacting))
        assert released(answers) == text.replace(CARD, "[CARD]")
        assert spans(answers) == [(start, start + len(CARD))]
        assert [each.release.closed for each in answers] == [False, True]


def test_a_new_tenant_has_the_default_rules(channel: grpc.Channel, tenant: str) -> None:
    text = f"{FILLER}Your card is {CARD}, is it not? {FILLER}"
    chunks = [text[start : start + 4] for start in range(0, len(text), 4)]
    answers = sent(channel, chunks_of(chunks, tenant))
    assert released(answers) == text.replace(CARD, "[REDACTED]")
    assert answers[-1].response.outcome == pb.OUTCOME_REDACT


def test_the_example_of_the_docs_works(channel: grpc.Channel, tenant: str) -> None:
    page = (ROOT / "docs/decide.md").read_text(encoding="utf-8")
    example = page.partition("## Texts in chunks")[2].split("```")[1].strip()
    lines = [line.replace(", …", "") for line in example.splitlines()]
    messages = []
    for line in lines:
        if line.startswith("-> "):
            messages.append(Request())
            decode(json.loads(line[3:]), messages[-1])
    messages[0].request.tenant_id = tenant
    answers = [encode(each) for each in sent(channel, messages)]
    expected = [json.loads(line[3:]) for line in lines if line.startswith("<- ")]
    assert len(answers) == len(expected) == 2
    assert all(map(includes, answers, expected)), answers


@settings(
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(chunks=chunked())
def test_the_released_text_is_the_redaction_of_the_whole_text(
    channel: grpc.Channel, redacting: str, chunks: list[str]
) -> None:
    text = "".join(chunks)
    stub = decide_pb2_grpc.DecideServiceStub(channel)
    message = pb.DecideRequest(
        tenant_id=redacting, direction="output", content=pb.Content(text=text)
    )
    whole = stub.Decide(message, timeout=TIMEOUT_S)
    answers = sent(channel, chunks_of(chunks, redacting))
    assert len(answers) == len(chunks)
    assert released(answers) == (whole.redacted_text if whole.HasField("redacted_text") else text)
    assert answers[-1].response.outcome == whole.outcome
    assert answers[-1].release.released_end == len(text)


def test_a_value_is_not_released_before_it_is_complete(
    channel: grpc.Channel, redacting: str
) -> None:
    answers = sent(channel, chunks_of([FILLER + CARD[:10], CARD[10:] + " "], redacting))
    first, second = answers
    assert 0 < first.release.released_end <= len(FILLER) + 10 - HOLD_BACK
    assert first.response.outcome == pb.OUTCOME_ALLOW
    assert second.response.outcome == pb.OUTCOME_REDACT
    assert second.release.released_text.endswith("word [CARD] ")
    assert not second.response.HasField("redacted_text")


def test_a_block_ends_the_text(channel: grpc.Channel, client: httpx2.Client, tenant: str) -> None:
    policy = {
        "name": "Rival", "category": "custom", "pattern": r"\brival\b", "action": "block",
        "message": "No rivals.",
    }  # fmt: skip
    created_json(client.post("/api/v1/static-policies", json=policy))
    texts = [FILLER, "our ri", f"val is good. {FILLER}", FILLER]
    *before, stopped, behind = sent(channel, chunks_of(texts, tenant))
    assert released(before) == FILLER[: len(released(before))]
    assert stopped.response.outcome == pb.OUTCOME_BLOCK
    assert stopped.response.message == "No rivals."
    assert (stopped.release.released_text, stopped.release.closed) == ("", True)
    assert stopped.release.released_end == len(released(before))
    assert behind.response.outcome == pb.OUTCOME_BLOCK
    assert behind.response.reason_code == "INVALID_ARGUMENT"
    assert (behind.release.released_text, behind.release.closed) == ("", True)


def test_texts_of_one_call_are_independent(channel: grpc.Channel, redacting: str) -> None:
    one = list(chunks_of([CARD[:10], CARD[10:]], redacting, "one"))
    two = list(chunks_of(["nothing ", "here"], redacting, "two"))
    plain = Request(request=pb.DecideRequest(tenant_id=redacting, content=pb.Content(text="hi")))
    answers = sent(channel, [one[0], two[0], plain, two[1], one[1]])
    assert [each.release.stream_id for each in answers] == ["one", "two", "", "two", "one"]
    assert not answers[2].HasField("release")
    assert released(each for each in answers if each.release.stream_id == "one") == "[CARD]"
    assert released(each for each in answers if each.release.stream_id == "two") == "nothing here"


def test_all_responses_of_a_text_have_one_decision_id(channel: grpc.Channel, tenant: str) -> None:
    answers = sent(channel, chunks_of([FILLER] * 5, tenant, request_id="mine"))
    assert {each.response.request_id for each in answers} == {"mine"}
    assert len({each.response.decision_id for each in answers}) == 1


def test_an_input_can_also_be_sent_in_chunks(channel: grpc.Channel, redacting: str) -> None:
    answers = sent(channel, chunks_of([CARD], redacting, direction="input"))
    # The rule of the chain is for answers; the rule of the platform is for both directions.
    assert released(answers) == "[REDACTED]"


@pytest.mark.parametrize(
    ("second", "field"),
    [
        (Request(chunk=Chunk(text="x"), request=pb.DecideRequest()), "request"),
        (Request(chunk=Chunk(text="x" * MAX_TEXT_BYTES)), "chunk.text"),
        (Request(chunk=Chunk(text="x" * (MAX_TEXT_BYTES + 1))), "chunk.text"),
    ],
    ids=["said again", "too long together", "too long"],
)
def test_an_invalid_chunk_ends_its_text(
    channel: grpc.Channel, tenant: str, second: pb.DecideStreamRequest, field: str
) -> None:
    first = Request(request=pb.DecideRequest(tenant_id=tenant), chunk=Chunk(text="held"))
    answers = sent(channel, [first, second, Request(chunk=Chunk(last=True))])
    assert released(answers) == ""
    assert [each.release.closed for each in answers] == [False, True, True]
    assert answers[1].response.incomplete
    assert field in answers[1].response.message


def test_a_request_with_a_text_and_a_chunk_is_refused(channel: grpc.Channel, tenant: str) -> None:
    message = pb.DecideRequest(tenant_id=tenant, content=pb.Content(text="whole"))
    [answer] = sent(channel, [Request(request=message, chunk=Chunk(text="piece", last=True))])
    assert "request.content.text" in answer.response.message
    assert answer.release.closed


def test_the_number_of_open_texts_is_limited(channel: grpc.Channel, tenant: str) -> None:
    message = pb.DecideRequest(tenant_id=tenant)
    messages = [
        Request(request=message, chunk=Chunk(stream_id=str(index), text="x"))
        for index in range(MAX_OPEN + 1)
    ]
    messages.append(Request(chunk=Chunk(stream_id="0", last=True)))
    messages.append(Request(request=message, chunk=Chunk(stream_id="more", text="y", last=True)))
    *opened, refusal, ended, more = sent(channel, messages)
    assert not any(each.release.closed for each in opened)
    assert "at most 16 texts" in refusal.response.message
    assert (ended.release.released_text, more.release.released_text) == ("x", "y")


@pytest.mark.usefixtures("same_day")
def test_a_text_counts_as_one_request_for_limits(
    channel: grpc.Channel, client: httpx2.Client, tenant: str
) -> None:
    limit = {"scope": "user", "subject_id": "u1", "daily_request_limit": 2}
    created_json(client.post("/api/admin/limits/", json=limit))
    subject = pb.Subject(user_id="u1")
    for _ in range(2):
        assert sent(channel, chunks_of([FILLER] * 20, tenant, subject=subject))[-1].response.allowed
    [answer, _] = sent(channel, chunks_of(["more", "and more"], tenant, subject=subject))
    assert answer.response.reason_code == "LIMIT_EXCEEDED"
    assert answer.release.closed


def test_a_new_policy_is_in_force_for_an_open_text(
    channel: grpc.Channel, client: httpx2.Client, tenant: str
) -> None:
    stub = decide_pb2_grpc.DecideServiceStub(channel)
    messages = chunks_of([FILLER, FILLER, FILLER], tenant)
    answers = stub.DecideStream(_between(messages, client), timeout=TIMEOUT_S)
    outcomes = [each.response.outcome for each in answers]
    assert outcomes[0] == pb.OUTCOME_ALLOW
    assert outcomes[1] == pb.OUTCOME_BLOCK


def _between(
    messages: Iterator[pb.DecideStreamRequest], client: httpx2.Client
) -> Iterator[pb.DecideStreamRequest]:
    yield next(messages)
    policy = {"name": "All", "category": "custom", "pattern": "word", "action": "block"}
    created_json(client.post("/api/v1/static-policies", json=policy))
    yield from messages


def test_a_cancelled_call_frees_its_texts(tmp_path: Path) -> None:
    with servers.start(tmp_path) as server, open_channel(server.grpc_address) as channel:
        sending = threading.Event()
        answers = decide_pb2_grpc.DecideServiceStub(channel).DecideStream(_held(sending))
        assert next(answers).release.released_text == ""
        assert under_way(server) == 1
        answers.cancel()
        sending.set()
        wait_until(lambda: under_way(server) == 0, "no text is open")


def _held(sending: threading.Event) -> Iterator[pb.DecideStreamRequest]:
    yield Request(request=pb.DecideRequest(), chunk=Chunk(text="held"))
    sending.wait(TIMEOUT_S)


def under_way(server: servers.Server) -> float:
    """Returns how many texts are open."""
    return server.metric("pdp_texts_under_way")
