"""Streamed answers: what is released, when, and what never is."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pdp.admin.static_policies import StaticPolicies
from pdp.decisions.text_stream import HOLD_BACK
from pdp.domain.decision import ObligationType, Outcome
from pdp.domain.request import Request
from pdp.domain.static_policy import StaticPolicy
from pdp.errors import InvalidArgument
from pdp.payloads.formats import read_payload
from tests.support import text_streams
from tests.support.payload_streams import (
    ANTHROPIC,
    BEDROCK,
    CALL_FORMATS,
    CHAT,
    GEMINI,
    MAKERS,
    RESPONSES,
    Decisions,
    arguments_of,
    call_stream,
    chat,
    cut_at,
    cuts,
    data_of,
    released,
    responses,
    samples,
    sse,
    text_of,
)

CARD = "4111 1111 1111 1111"
SECRET = "the forbidden phrase"
FILLER = "word and word " * 40
SAMPLES = {f"{name}-{path.stem}": path.read_bytes().decode() for name, path in samples()}

few = settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


async def forbid(decisions: Decisions) -> None:
    """Creates a policy that stops what has `SECRET`."""
    policies = StaticPolicies(decisions.workspace)
    await policies.create("acme", "me", StaticPolicy("", "No", "custom", SECRET, "block"))


def whole(format_: str, text: str) -> Any:
    """An answer with a text that is not streamed."""
    documents: dict[str, Any] = {
        CHAT: {"choices": [{"index": 0, "message": {"role": "assistant", "content": text}}]},
        RESPONSES: {
            "output": [
                {
                    "type": "message",
                    "role": "assistant",
                    "content": [{"type": "output_text", "text": text}],
                }
            ]
        },
        ANTHROPIC: {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "text", "text": text}],
        },
        GEMINI: {"candidates": [{"content": {"parts": [{"text": text}], "role": "model"}}]},
        BEDROCK: {"output": {"message": {"role": "assistant", "content": [{"text": text}]}}},
    }
    return documents[format_]


def strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    values = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [each for item in values for each in strings(item)]


async def redacted(decisions: Decisions, format_: str, text: str) -> str:
    """Returns a text as an answer has it that is not streamed."""
    document = whole(format_, text)
    payload = read_payload(format_, json.dumps(document), "output")
    request = Request(request_id="r", tenant_id="acme", timestamp=1.0)
    decider = decisions.decider
    decision = await decider.answer(*await decider.decide_payload(request, payload))
    assert decision.allowed
    if decision.payload is None or decision.payload.redacted is None:
        return text
    before, after = strings(document), strings(json.loads(decision.payload.redacted))
    return after[before.index(text)]


@pytest.mark.parametrize("maker", MAKERS)
@few
@given(data=st.data())
async def test_the_released_text_is_that_of_an_answer_that_is_not_streamed(
    decisions: Decisions, maker: str, data: st.DataObject
) -> None:
    format_, make = MAKERS[maker]
    text = data.draw(text_streams.texts.filter(str.strip))
    raw = make(data.draw(text_streams.cut(text)))
    answers = await decisions.stream(data.draw(cuts(raw)))
    assert answers[-1].decision.allowed
    assert answers[-1].closed
    assert not any(each.closed for each in answers[:-1])
    out = released(answers)
    assert text_of(format_, out) == await redacted(decisions, format_, text)
    assert answers[-1].end == len(raw)
    assert _skeleton(out) == _skeleton(raw)
    assert (decisions.streams.open, decisions.streams.held) == (0, 0)


def _skeleton(raw: str) -> list[Any]:
    """The events of a stream without their texts."""

    def without(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                key: "" if key in {"text", "content", "delta"} and isinstance(item, str) else
                without(item)
                for key, item in value.items()
            }  # fmt: skip
        return [without(item) for item in value] if isinstance(value, list) else value

    return [without(each) for each in data_of(raw) if each.get("type") != "ping"]


@pytest.mark.parametrize("sample", SAMPLES)
@few
@given(data=st.data())
async def test_a_stream_without_findings_stays_as_it_is(
    decisions: Decisions, sample: str, data: st.DataObject
) -> None:
    """Byte by byte; only what says that the stream goes on may overtake events that are held."""
    raw = SAMPLES[sample]
    answers = await decisions.stream(data.draw(cuts(raw)))
    out = released(answers)
    assert answers[-1].decision.outcome is Outcome.ALLOW
    keep_alives = ("event: ping", ": keep-alive", ": OPENROUTER")
    if any(each in raw for each in keep_alives):
        end = "\r\n\r\n" if "\r\n" in raw else "\n\n"
        frames, released_frames = raw.split(end), out.split(end)
        assert sorted(frames) == sorted(released_frames)
        assert [each for each in frames if not each.startswith(keep_alives)] == [
            each for each in released_frames if not each.startswith(keep_alives)
        ]
    else:
        assert out == raw


@pytest.mark.parametrize("maker", MAKERS)
async def test_a_card_is_not_released_wherever_the_stream_is_cut(
    decisions: Decisions, maker: str
) -> None:
    """Neither with a piece for each character, nor written with escapes."""
    format_, make = MAKERS[maker]
    text = f"My card is {CARD}, is it not?"
    escaped = "".join(f"\\u{ord(each):04x}" for each in CARD)
    raws = [make([text]), make(list(text)), make([text]).replace(CARD, escaped)]
    for raw in raws:
        place = max(raw.find(CARD[:2]), raw.find(escaped[:6]), 0)
        for cut in range(place, min(place + 130, len(raw)), 3):
            answers = await decisions.stream([raw[:cut], raw[cut:]])
            assert text_of(format_, released(answers)) == text.replace(CARD, "[REDACTED]")


@pytest.mark.parametrize("maker", MAKERS)
async def test_a_text_is_released_as_soon_as_it_may(decisions: Decisions, maker: str) -> None:
    format_, make = MAKERS[maker]
    raw = make(cut_at(FILLER * 3, 10))
    stream = decisions.begin()
    answer = await stream.feed(raw[: len(raw) // 2], last=False)
    out = answer.text
    if maker == "gemini-array":
        out += "]"
    assert len(text_of(format_, out)) > len(FILLER) - HOLD_BACK
    assert not answer.closed
    stream.abandon()


@pytest.mark.parametrize("maker", MAKERS)
async def test_a_decision_that_stops_ends_the_stream(decisions: Decisions, maker: str) -> None:
    await forbid(decisions)
    _, make = MAKERS[maker]
    raw = make(cut_at(f"{FILLER}{SECRET} {FILLER}", 7))
    answers = await decisions.stream(cut_at(raw, 100))
    assert answers[-1].closed
    assert answers[-1].text == ""
    assert answers[-1].decision.outcome is Outcome.BLOCK
    assert "forbidden" not in released(answers)
    assert len(answers) < len(cut_at(raw, 100))
    assert raw.startswith(released(answers)) or maker == "anthropic"
    assert [each.outcome for each in decisions.observed] == [Outcome.BLOCK]


async def test_several_lanes_at_once(decisions: Decisions) -> None:
    texts = (f"First: {CARD}. {FILLER}", f"Second: someone@mail.example.org. {FILLER}")
    events: list[Any] = []
    for start in range(0, max(map(len, texts)), 5):
        events += (
            {"choices": [{"index": index, "delta": {"content": text[start : start + 5]}}]}
            for index, text in enumerate(texts)
        )
    events += ({"choices": [{"index": i, "delta": {}, "finish_reason": "stop"}]} for i in (1, 0))
    answers = await decisions.stream(cut_at(sse([*events, "[DONE]"]), 37))
    out = data_of(released(answers))
    for index, text in enumerate(texts):
        deltas = (each["choices"][0] for each in out if each["choices"][0]["index"] == index)
        streamed = "".join(each["delta"].get("content", "") for each in deltas)
        assert streamed == await redacted(decisions, CHAT, text)
    spans = [
        (span.path, span.start, span.end)
        for answer in answers
        for obligation in answer.decision.obligations
        if obligation.type is ObligationType.REDACT
        for span in obligation.spans
    ]
    assert ("/choices/0/message/content", 7, 26) in spans
    assert all(path in {f"/choices/{i}/message/content" for i in (0, 1)} for path, _, _ in spans)
    assert len(decisions.observed) == 1 + len(texts)


async def test_a_redaction_over_several_events_stands_in_the_first(decisions: Decisions) -> None:
    pieces = ["Card: 41", "11 1111 ", "1111 ", "1111, ok", "?"]
    out = released(await decisions.stream([chat(pieces)]))
    deltas = [each["choices"][0]["delta"].get("content") for each in data_of(out)]
    assert deltas == ["", "Card: [REDACTED]", "", "", ", ok", "?", None]


async def test_what_repeats_a_text_is_redacted_the_same_way(decisions: Decisions) -> None:
    answers = await decisions.stream([responses(["My card is 4111 1111", " 1111 1111."])])
    out = released(answers)
    assert CARD not in out
    by_type = {each["type"]: each for each in data_of(out)}
    text = "My card is [REDACTED]."
    assert by_type["response.output_text.done"]["text"] == text
    assert by_type["response.content_part.done"]["part"]["text"] == text
    assert by_type["response.output_item.done"]["item"]["content"][0]["text"] == text
    assert by_type["response.completed"]["response"]["output"][0]["content"][0]["text"] == text


async def test_the_probabilities_of_changed_texts_are_removed(decisions: Decisions) -> None:
    """Those of other events stay."""

    def chunk(text: str) -> Any:
        tokens = {"content": [{"token": text, "logprob": -0.5, "bytes": [], "top_logprobs": []}]}
        return {"choices": [{"index": 0, "delta": {"content": text}, "logprobs": tokens}]}

    pieces = ["Card: ", "4111 1111 ", "1111 1111", ", ok?"]
    end = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    out = data_of(released(await decisions.stream([sse([*map(chunk, pieces), end, "[DONE]"])])))
    assert [each["choices"][0].get("logprobs") is None for each in out] == [
        False,
        True,
        True,
        False,
        True,
    ]
    place = {"output_index": 0, "content_index": 0}
    events = [
        {
            "type": "response.output_text.delta",
            **place,
            "delta": each,
            "logprobs": [{"token": each}],
        }
        for each in pieces
    ]
    text = "".join(pieces)
    done = {"text": text, "logprobs": [{"token": each} for each in pieces]}
    part = {"type": "output_text", **done}
    events += (
        {"type": "response.output_text.done", **place, **done},
        {"type": "response.content_part.done", **place, "part": part},
    )
    out = data_of(released(await decisions.stream([sse(events)])))
    assert [bool(each["logprobs"]) for each in out[:5]] == [True, False, False, True, False]
    assert not out[5]["part"]["logprobs"]


@pytest.mark.parametrize("format_", CALL_FORMATS)
async def test_the_arguments_of_a_call_are_redacted_and_stay_json(
    decisions: Decisions, format_: str
) -> None:
    arguments = json.dumps({"note": f'say "{CARD}"', "count": 3, "path": "/a"}, indent=1)
    for size in (1, 4, 1000):
        raw = call_stream(format_, "save", cut_at(arguments, size))
        out = released(await decisions.stream(cut_at(raw, 51)))
        assert CARD not in out
        assert arguments_of(format_, out) == arguments.replace(CARD, "[REDACTED]")


@pytest.mark.parametrize("format_", CALL_FORMATS)
async def test_no_part_of_a_call_is_released_before_it_is_complete(
    decisions: Decisions, format_: str
) -> None:
    raw = call_stream(format_, "save", ['{"note": "fi', 'ne and well"', "}"])
    stream = decisions.begin()
    cut = raw.index("ne and well")
    assert "save" not in (await stream.feed(raw[:cut])).text
    answer = await stream.feed(raw[cut:], last=True)
    assert answer.text.count("save") == raw.count("save")
    assert arguments_of(format_, answer.text) == '{"note": "fine and well"}'


@pytest.mark.parametrize("format_", CALL_FORMATS)
async def test_a_call_that_is_stopped_is_not_released(decisions: Decisions, format_: str) -> None:
    command = json.dumps({"command": "rm -rf / --no-preserve-root"})
    answers = await decisions.stream(
        cut_at(call_stream(format_, "run_shell", cut_at(command, 5)), 60)
    )
    assert answers[-1].decision.outcome is Outcome.BLOCK
    assert answers[-1].closed
    assert "run_shell" not in released(answers)
    assert "rm " not in released(answers)
    [match, *_] = [each for each in answers[-1].decision.matches if each.action == "block"]
    assert match.scope == "arguments"


async def test_a_call_of_gemini_is_judged(decisions: Decisions) -> None:
    """It is complete in one event."""
    call = {"functionCall": {"name": "save", "args": {"note": CARD}}}
    event = {"candidates": [{"content": {"parts": [call], "role": "model"}}]}
    out = data_of(released(await decisions.stream([sse([event])])))
    parts = out[0]["candidates"][0]["content"]["parts"]
    assert parts[0]["functionCall"]["args"] == {"note": "[REDACTED]"}


async def test_a_call_without_arguments(decisions: Decisions) -> None:
    for format_ in CALL_FORMATS:
        raw = call_stream(format_, "list_all", [])
        answers = await decisions.stream([raw])
        assert answers[-1].decision.allowed
        assert released(answers) == raw


@pytest.mark.parametrize("format_", CALL_FORMATS)
async def test_a_stream_that_ends_inside_a_call_is_refused(
    decisions: Decisions, format_: str
) -> None:
    raw = call_stream(format_, "save", ['{"note": "fi', "ne"])
    cut = raw.index("ne", raw.index("fi"))
    raw = raw[: raw.index("\n", cut) + 1] + ("\n" if format_ != BEDROCK else "")
    stream = decisions.begin(format_)
    with pytest.raises(InvalidArgument, match="ends inside the arguments"):
        await stream.feed(raw, last=True)
    stream.abandon()


async def test_calls_need_one_name(decisions: Decisions) -> None:
    for names in (["", ""], ["save", "delete"]):
        calls = [
            {"index": 0, "function": {"name": name, "arguments": each}}
            for name, each in zip(names, ["{", "}"], strict=True)
        ]
        events: list[Any] = [
            {"choices": [{"index": 0, "delta": {"tool_calls": [each]}}]} for each in calls
        ]
        stream = decisions.begin()
        with pytest.raises(InvalidArgument, match="name"):
            await stream.feed(sse([*events, "[DONE]"]), last=True)
        stream.abandon()


async def test_keep_alives_overtake_what_is_held(decisions: Decisions) -> None:
    stream = decisions.begin()
    begin, _, end = chat(["4111 1111 "]).rpartition('data: {"id"')
    assert "4111" not in (await stream.feed(begin)).text
    ping = ": still here\n\n"
    assert (await stream.feed(ping)).text == ping
    rest = chat(["1111 1111"]).partition("\n\n")[2]
    answer = await stream.feed(rest, last=True)
    assert text_of(CHAT, answer.text) == "[REDACTED]"
    assert end


async def test_texts_beside_the_events_are_judged(decisions: Decisions) -> None:
    raw = f": card {CARD}\nid: x y\n" + chat(["Hi"])
    out = released(await decisions.stream([raw]))
    assert out == raw.replace(CARD, "[REDACTED]")
    await forbid(decisions)
    answers = await decisions.stream([chat(["Hi"]).replace("\n\n", f"\nid: {SECRET}\n\n", 1)])
    assert answers[-1].decision.outcome is Outcome.BLOCK


async def test_other_members_of_events_are_judged(decisions: Decisions) -> None:
    raw = chat(["Hi"]).replace('"fp_44709d6fcb"', json.dumps(f"card {CARD}"))
    out = released(await decisions.stream([raw]))
    assert out == raw.replace(CARD, "[REDACTED]")


async def test_an_event_keeps_its_lines_when_it_is_redacted(decisions: Decisions) -> None:
    event = {"choices": [{"index": 0, "delta": {"content": CARD}}]}
    lines = "\r\n".join(f"data:{each}" for each in json.dumps(event, indent=1).split("\n"))
    raw = f"event: x\r\n{lines}\r\nid: 5\r\n\r\n"
    out = released(await decisions.stream([raw], CHAT))
    assert out == raw.replace(CARD, "[REDACTED]")


async def test_media_are_unjudged(decisions: Decisions) -> None:
    image = {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo"}}
    raw = sse([{"candidates": [{"content": {"parts": [image], "role": "model"}}]}])
    [answer] = await decisions.stream([raw])
    assert answer.decision.outcome is Outcome.WARN
    assert answer.decision.payload is not None
    assert answer.decision.payload.unjudged == ("/candidates/0/content/parts/0/inlineData/data",)
    assert answer.text == raw


async def test_bytes_may_be_cut_inside_a_character(decisions: Decisions) -> None:
    raw = chat(["日本語 ", CARD, " 🙂"])
    encoded = raw.encode()
    answers = await decisions.stream([encoded[i : i + 1] for i in range(len(encoded))])
    assert released(answers) == raw.replace(CARD, "[REDACTED]")


async def test_a_stream_is_one_decision(decisions: Decisions) -> None:
    answers = await decisions.stream(cut_at(chat([FILLER, CARD, FILLER]), 20))
    ids = {each.decision.decision_id for each in answers}
    assert len(ids) == 1
    assert [each.decision_id for each in decisions.observed] == list(ids)
    stream = decisions.begin()
    await stream.feed(chat([FILLER])[:200])
    stream.abandon()
    assert len(decisions.observed) == 2


async def test_an_empty_stream_is_allowed(decisions: Decisions) -> None:
    [answer] = await decisions.stream([""])
    assert (answer.decision.outcome, answer.text) == (Outcome.ALLOW, "")
    raw = "\n: hello\n\n"
    assert released(await decisions.stream(list(raw))) == raw


async def test_other_tenants_go_on_beside_a_long_text(decisions: Decisions) -> None:
    """Threads judge long texts; their result is the same."""
    raw = chat(cut_at(f"{FILLER * 20}{CARD} {FILLER * 20}", 400))
    answers = await asyncio.gather(*(decisions.stream(cut_at(raw, 900)) for _ in range(4)))
    for each in answers:
        assert released(each) == raw.replace(CARD, "[REDACTED]")


@few
@given(raw=st.one_of(st.binary(), st.text().map(str.encode)), data=st.data())
async def test_any_bytes_are_judged_or_refused(
    decisions: Decisions, raw: bytes, data: st.DataObject
) -> None:
    """In the middle of a stream, too; the card that it has is never released."""
    format_, make = data.draw(st.sampled_from([*MAKERS.values()]))
    stream_bytes = make([f"My card is {CARD}. ", FILLER]).encode()
    at = data.draw(st.integers(0, len(stream_bytes)))
    stream_bytes = stream_bytes[:at] + raw + stream_bytes[at:]
    stream = decisions.begin(data.draw(st.sampled_from(["", format_])))
    out = ""
    for start in range(0, len(stream_bytes), 200):
        try:
            chunk = stream_bytes[start : start + 200]
            answer = await stream.feed(chunk, start + 200 >= len(stream_bytes))
        except InvalidArgument:
            stream.abandon()
            break
        out += answer.text
        if answer.closed:
            break
    assert CARD not in out
    assert (decisions.streams.open, decisions.streams.held) == (0, 0)


async def test_two_models_are_both_judged(decisions: Decisions) -> None:
    """That of the request and that of the events; a value is redacted once."""
    for model in ("gpt-4o-mini", "another-model"):
        answers = await decisions.stream(
            cut_at(chat(["Card: ", "4111 1111 ", "1111 1111", "."]), 70), model=model
        )
        assert text_of(CHAT, released(answers)) == "Card: [REDACTED]."
        raw = call_stream(CHAT, "save", cut_at(json.dumps({"note": CARD}), 5))
        answers = await decisions.stream(cut_at(raw, 70), model=model)
        assert arguments_of(CHAT, released(answers)) == '{"note": "[REDACTED]"}'


async def test_an_exact_escape_is_not_cut(decisions: Decisions) -> None:
    """A chunk may end inside an escape of the JSON, or inside the line end of a frame."""
    raw = chat(['quote " and \\ and \u2028', CARD]).replace("\n", "\r\n")
    for cut in range(len(raw)):
        assert released(await decisions.stream([raw[:cut], raw[cut:]])) == raw.replace(
            CARD, "[REDACTED]"
        )
