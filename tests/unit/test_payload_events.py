"""Events of streamed answers: framing, and what the events of each format hold."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdp.payloads.events import framing
from pdp.payloads.events.formats import DONE, NAMES, EventStream
from pdp.payloads.events.framing import Splitter, Utf8Chunks
from pdp.payloads.payload import PayloadError
from tests.support.payload_streams import ANTHROPIC, BEDROCK, CHAT, GEMINI, RESPONSES, cuts, samples

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pdp.payloads.events.frames import Frame
    from pdp.payloads.events.reading import StreamEvent

SAMPLES = [pytest.param(name, path, id=f"{name}-{path.stem}") for name, path in samples()]


def frames_of(chunks: Sequence[str]) -> list[Frame]:
    splitter = Splitter()
    return [
        frame
        for index, chunk in enumerate(chunks)
        for frame in splitter.feed(chunk, last=index == len(chunks) - 1)
    ]


def raw_of(path: Path) -> str:
    return path.read_bytes().decode()


def event_of(format_: str, *documents: Any) -> StreamEvent:
    """Reads events in order; returns the last."""
    stream = EventStream(format_)
    return [stream.read(json.dumps(each)) for each in documents][-1]


def lines(text: str) -> list[str | None]:
    return [each.data for each in frames_of([text])]


def test_there_are_samples_of_every_format() -> None:
    assert {name for name, _ in samples()} == set(NAMES)


@pytest.mark.parametrize(("format_", "path"), SAMPLES)
def test_the_lanes_of_a_sample(format_: str, path: Path) -> None:
    """Its texts and calls, each with what comes in all its pieces."""
    expected = json.loads(path.with_name(f"{path.stem}.expected.json").read_text())
    stream = EventStream()
    texts: dict[str, str] = {}
    calls: dict[str, list[str]] = {}
    ended: set[str] = set()
    for frame in frames_of([raw_of(path)]):
        if not frame.data:
            continue
        event = stream.read(frame.data) if frame.data != DONE else None
        for piece in event.pieces if event else ():
            assert piece.lane not in ended
            if piece.is_call:
                call = calls.setdefault(piece.lane, ["", ""])
                call[0] = call[0] or piece.tool
                call[1] += piece.text
            else:
                texts[piece.lane] = texts.get(piece.lane, "") + piece.text
        for end in event.ends if event else ("",):
            lanes = {*texts, *calls}
            ended |= {each for each in lanes if not end or f"{each}/".startswith(f"{end}/")}
    assert stream.format == format_
    assert {lane: text for lane, text in texts.items() if text} == expected["texts"]
    assert calls == expected["calls"]
    assert format_ == GEMINI or ended == {*texts, *calls}


@pytest.mark.parametrize(("format_", "path"), SAMPLES)
@settings(max_examples=20)
@given(data=st.data())
def test_cuts_do_not_change_the_frames(format_: str, path: Path, data: st.DataObject) -> None:
    raw = raw_of(path)
    chunks = data.draw(cuts(raw))
    frames = frames_of(chunks)
    assert "".join(each.raw for each in frames) == raw
    assert [each.data for each in frames if each.data] == [
        each.data for each in frames_of([raw]) if each.data
    ]


@given(st.text(alphabet='{}[]",:\\ \n\r\tdate1é\ufeff\u2028'), st.data())
def test_any_text_is_framed_or_refused(text: str, data: st.DataObject) -> None:
    """The frames together are the text, however it is cut, and a refusal depends on no cut."""
    try:
        whole = [each.data for each in frames_of([text]) if each.data is not None]
    except PayloadError:
        whole = None
    try:
        frames = frames_of(data.draw(cuts(text)))
    except PayloadError:
        assert whole is None
    else:
        assert "".join(each.raw for each in frames) == text
        assert [each.data for each in frames if each.data is not None] == whole


@given(st.text(), st.lists(st.integers(0, 40)))
def test_bytes_may_be_cut_inside_a_character(text: str, sizes: list[int]) -> None:
    raw, chunks = text.encode(), []
    for size in sizes:
        chunks.append(raw[:size])
        raw = raw[size:]
    utf8 = Utf8Chunks()
    decoded = [utf8.decode(each, last=False) for each in chunks]
    assert "".join([*decoded, utf8.decode(raw, last=True)]) == text


@pytest.mark.parametrize("raw", [b"\xff", b"a\xc3", b"\xed\xa0\x80"])
def test_what_is_not_utf_8_is_refused(raw: bytes) -> None:
    with pytest.raises(PayloadError, match="UTF-8"):
        Utf8Chunks().decode(raw, last=True)


def test_the_data_lines_of_a_frame_are_one_event() -> None:
    assert lines('data: {"a":\ndata:  1}\n\n') == ['{"a":\n 1}']
    assert lines("data\ndata:x\n\n") == ["\nx"]
    assert lines("data:a\r\n\r\ndata:b\r\rdata:c\n\n") == ["a", "b", "c"]
    assert lines("\ufeffdata: a\n\n") == ["a"]
    assert lines("database: a\n\n") == [None]


def test_an_unfinished_frame_counts_because_some_clients_read_it() -> None:
    assert lines("data: a\n\ndata: b") == ["a", "b"]


def test_a_line_end_may_be_cut() -> None:
    assert [each.data for each in frames_of(["data: a\r", "\n\r", "\ndata: b\r\n\r\n"])] == [
        "a",
        "b",
    ]


def test_only_the_data_of_a_frame_is_written_anew() -> None:
    [frame] = frames_of([": note\nevent:x\ndata:{\ndata: 1\ndata:  }\nid: 7\nlonely\n\n"])
    assert frame.notes == [" note", "lonely"]
    assert frame.data == "{\n1\n }"
    written = frame.write("{\n2\n }", [" n\no", "lonely"])
    assert written == ": n o\nevent:x\ndata:{\ndata: 2\ndata:  }\nid: 7\nlonely\n\n"
    assert frame.write(frame.data, frame.notes) == frame.raw
    for data, notes in (("{\n2", ["", ""]), ("{\n2\n3\n4", ["", ""]), (None, ["", ""])):
        with pytest.raises(ValueError, match="lines"):
            frame.write(data, notes)
    with pytest.raises(ValueError, match="notes"):
        frame.write(frame.data, [""])


def test_what_may_hold_a_text_beside_the_data_is_a_note() -> None:
    text = "event: two words\nid: a b\nretry: soon\nother: x\n: c\n:\nevent: message_start\n\n"
    [frame] = frames_of([text])
    assert frame.notes == [" two words", " a b", " soon", " x", " c"]


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ('{"a":1}{"b":"}{"}', ['{"a":1}', '{"b":"}{"}']),
        ('{"a":1}\n{"b":2}\n', ['{"a":1}', '{"b":2}']),
        ('[{"a":[1,{}]},\n{"b":"\\"]"}]', ['{"a":[1,{}]}', '{"b":"\\"]"}']),
        (' \n[ {"a":"\\\\"} ] ', ['{"a":"\\\\"}']),
        ("[]", []),
    ],
)
def test_json_objects_in_a_row(text: str, data: list[str]) -> None:
    for chunks in ([text], list(text)):
        frames = frames_of(chunks)
        assert [each.data for each in frames if each.data] == data
        assert "".join(each.raw for each in frames) == text


@pytest.mark.parametrize(
    "text",
    [
        '{"a":1',
        '[{"a":1}',
        '[{"a":1},',
        '[{"a":1},]',
        '[{"a":1}{"b":2}]',
        '[,{"a":1}]',
        '{"a":1},{"b":2}',
        '{"a":1}]',
        '{"a":1}[',
        "[[]]",
        "[1]",
        '{"a":1}x',
        '[{"a":1}]{"b":2}',
    ],
)
def test_other_json_is_refused(text: str) -> None:
    for chunks in ([text], list(text)):
        with pytest.raises(PayloadError):
            frames_of(chunks)


def test_the_number_of_events_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(framing, "MAX_EVENTS", 3)
    assert len(frames_of(["data: a\n\n" * 3])) == 3
    with pytest.raises(PayloadError, match="more than 3 events"):
        frames_of(["data: a\n\n" * 4])


@pytest.mark.parametrize("begin", ["data: ", '{"a": "', " "])
def test_an_event_without_an_end_is_bounded(begin: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(framing, "MAX_FRAME", 100)
    padding = " " if begin == " " else "x"
    with pytest.raises(PayloadError, match="more than 100 characters"):
        frames_of([begin, *[padding * 10] * 20])


@pytest.mark.parametrize(
    ("document", "format_"),
    [
        ({"choices": []}, CHAT),
        ({"type": "response.created", "response": {}}, RESPONSES),
        ({"type": "message_start", "message": {}}, ANTHROPIC),
        ({"candidates": []}, GEMINI),
        ({"usageMetadata": {}}, GEMINI),
        ({"messageStart": {"role": "assistant"}}, BEDROCK),
        ({"role": "assistant", "p": "abc"}, BEDROCK),
    ],
)
def test_the_first_event_tells_the_format(document: Any, format_: str) -> None:
    stream = EventStream()
    stream.read(json.dumps(document))
    assert stream.format == format_


@pytest.mark.parametrize("data", ["{}", "[]", "1", '{"type":"ping"}', '{"error":{}}', "x", ""])
def test_a_first_event_of_no_known_format_is_refused(data: str) -> None:
    with pytest.raises(PayloadError):
        EventStream().read(data)


def test_a_format_that_has_no_streams_is_refused() -> None:
    with pytest.raises(PayloadError, match="no format of streams; use openai"):
        EventStream("mcp.jsonrpc")


@pytest.mark.parametrize("format_", NAMES)
def test_what_is_not_understood_is_judged_as_one_structure(format_: str) -> None:
    for document in ({"type": "new", "words": ["one", {"two": "three"}]}, ["one", "two"], "one"):
        event = event_of(format_, document)
        assert not event.pieces
        [part] = event.payload.parts
        assert part.values == (document if isinstance(document, dict) else {"": document})


MARK = "a mark that is looked for"


@pytest.mark.parametrize(("format_", "path"), SAMPLES)
def test_a_text_at_any_place_of_any_event_is_judged(format_: str, path: Path) -> None:
    """Or the event is refused, for instance if the text stands for an index."""
    data = [each.data for each in frames_of([raw_of(path)]) if each.data not in {None, DONE}]
    events = [json.loads(each or "") for each in data]
    refused = 0
    for index, event in enumerate(events):
        for changed in _with_mark(event):
            stream = EventStream(format_)
            try:
                for earlier in events[:index]:
                    stream.read(json.dumps(earlier))
                read = stream.read(json.dumps(changed))
            except PayloadError:
                refused += 1
            else:
                assert MARK in _judged(read), changed
    assert refused < 100


def _with_mark(value: Any) -> Iterator[Any]:
    """Yields a value with `MARK` in the place of each value in it, and as a new member."""
    yield MARK
    if isinstance(value, dict):
        yield {**value, "new": MARK}
        yield {**value, MARK: 1}
        for key, item in value.items():
            for changed in _with_mark(item):
                yield {**value, key: changed}
    elif isinstance(value, list):
        yield [*value, MARK]
        for index, item in enumerate(value):
            for changed in _with_mark(item):
                yield [*value[:index], changed, *value[index + 1 :]]


def _judged(event: StreamEvent) -> str:
    """Returns all texts of an event that are judged, also later."""
    texts = [f"{each.text} {each.tool} {each.server}" for each in event.pieces]
    for part in event.payload.parts:
        texts += (part.text, part.tool, part.server, *_strings(part.values))
    return "\n".join(texts)


@pytest.mark.parametrize("format_", NAMES)
@settings(max_examples=40)
@given(data=st.data())
def test_any_event_is_read_or_refused(format_: str, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from([path for name, path in samples() if name == format_]))
    events = [each.data for each in frames_of([raw_of(path)]) if each.data not in {None, DONE}]
    stream = EventStream(format_)
    values = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=5,
    )
    for _ in range(3):
        event = json.loads(data.draw(st.sampled_from(events)) or "")
        changed = data.draw(st.sampled_from([*_with_mark(event)]))
        text = json.dumps(changed).replace(json.dumps(MARK), json.dumps(data.draw(values)))
        try:
            stream.read(text)
        except PayloadError:
            return


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield key
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)


@pytest.mark.parametrize(
    ("format_", "documents", "problem"),
    [
        (CHAT, [{"choices": [{"index": -1, "delta": {}}]}], "no index"),
        (CHAT, [{"choices": [{"index": "0", "delta": {}}]}], "no index"),
        (CHAT, [{"choices": [{"delta": {"tool_calls": [{"index": True}]}}]}], "no index"),
        (
            CHAT,
            [{"choices": [{"delta": {"tool_calls": [{"function": {"arguments": {"a": 1}}}]}}]}],
            "without a name",
        ),
        (
            CHAT,
            [{"choices": [{"delta": {"tool_calls": [{"function": {"name": "x" * 257}}]}}]}],
            "256",
        ),
        (
            RESPONSES,
            [{"type": "response.function_call_arguments.delta", "output_index": 0, "delta": "{"}],
            "not begun",
        ),
        (
            RESPONSES,
            [{"type": "response.custom_tool_call_input.done", "output_index": 0, "input": "x"}],
            "not begun",
        ),
        (
            ANTHROPIC,
            [{"type": "content_block_delta", "index": 0, "delta": {"partial_json": "{"}}],
            "not begun",
        ),
        (
            BEDROCK,
            [{"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"toolUse": {"input": "{"}}}}],
            "not begun",
        ),
        (
            GEMINI,
            [
                {
                    "candidates": [
                        {
                            "content": {
                                "parts": [
                                    {
                                        "functionCall": {
                                            "name": "f",
                                            "partialArgs": [
                                                {"jsonPath": "$.a", "stringValue": "b"}
                                            ],
                                            "willContinue": True,
                                        }
                                    }
                                ]
                            }
                        }
                    ]
                }
            ],
            "streamFunctionCallArguments",
        ),
    ],
)
def test_events_that_cannot_be_judged_are_refused(
    format_: str, documents: list[Any], problem: str
) -> None:
    with pytest.raises(PayloadError, match=problem):
        event_of(format_, *documents)


def test_arguments_that_are_an_object_are_a_call() -> None:
    """Some servers do not send them as text."""
    call = {"index": 0, "function": {"name": "run", "arguments": {"command": "ls"}}}
    event = event_of(CHAT, {"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]})
    assert [(each.tool, each.values) for each in event.payload.parts if each.tool] == [
        ("run", {"command": "ls"})
    ]


def test_strings_of_unknown_members_of_a_delta_are_lanes() -> None:
    delta = {"thinking_blocks": [{"type": "thinking", "thinking": "hm", "signature": "x"}]}
    event = event_of(CHAT, {"choices": [{"index": 3, "delta": delta}]})
    assert [(each.lane, each.text) for each in event.pieces] == [
        ("/choices/3/message/thinking_blocks/0/thinking", "hm")
    ]


def test_media_are_not_judged() -> None:
    data = "iVBORw0KGgoAAAANSUhEUgAA"
    image = {"inlineData": {"mimeType": "image/png", "data": data}}
    event = event_of(GEMINI, {"candidates": [{"content": {"parts": [image]}}]})
    assert event.payload.unjudged == ("/candidates/0/content/parts/0/inlineData/data",)
    event = event_of(RESPONSES, {"type": "response.audio.delta", "delta": data})
    assert event.payload.unjudged == ("/delta",)
    audio = {"id": "audio_1", "data": data, "transcript": "Hi"}
    event = event_of(CHAT, {"choices": [{"index": 0, "delta": {"audio": audio}}]})
    assert event.payload.unjudged == ("/choices/0/delta/audio/data",)
    assert [each.text for each in event.pieces] == ["Hi"]


def test_a_large_number_among_counts_is_judged() -> None:
    """It may be the number of a card."""
    usage = {"total_tokens": 4111111111111111, "prompt_tokens": 12}
    [part] = event_of(CHAT, {"choices": [], "usage": usage}).payload.parts
    assert part.values is not None
    assert part.values["usage"] == {"total_tokens": 4111111111111111}
