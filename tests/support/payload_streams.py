"""Streams of events of each format, made for given texts, and what a client reads from them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hypothesis import strategies as st

from pdp.admin.published_policies import PublishedPolicies
from pdp.admin.workspace import Workspace
from pdp.bootstrap.policies import create_publisher, open_policies
from pdp.decisions.decider import Decider
from pdp.decisions.payload_streams import PayloadStream
from pdp.decisions.recording import DecisionRecorder
from pdp.decisions.text_streams import TextStreams
from pdp.domain.ner import NerFindings
from pdp.domain.request import Request
from pdp.domain.risk import DEFAULT_RISK_TABLE
from pdp.payloads.events.framing import Splitter
from pdp.usage.meter import Meter

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from pdp.decisions.text_streams import StreamAnswer
    from pdp.domain.decision import Decision
    from pdp.domain.ner import EntityLabel

ROOT: Final = Path(__file__).parent.parent / "payloads" / "streams"
CHAT: Final = "openai.chat_completions"
RESPONSES: Final = "openai.responses"
ANTHROPIC: Final = "anthropic.messages"
GEMINI: Final = "google.generate_content"
BEDROCK: Final = "bedrock.converse"

CALL_FORMATS: Final = (CHAT, RESPONSES, ANTHROPIC, BEDROCK)
"""The formats in which several events bring the arguments of a call."""


def samples() -> list[tuple[str, Path]]:
    """Returns the samples of streams, each with its format."""
    paths = sorted(path for path in ROOT.glob("*/*") if ".expected" not in path.name)
    return [(path.parent.name, path) for path in paths]


class NoModels:
    """Finds no named entities, because there are no models."""

    async def find(
        self, texts: Sequence[tuple[str | None, str]], labels: Collection[EntityLabel]
    ) -> NerFindings:
        return NerFindings()


class Decisions:
    """A decider with its own store, and the decisions that it has observed."""

    def __init__(self, url: str = "sqlite://") -> None:
        self.store = open_policies(url)
        self.publisher = create_publisher(self.store, DEFAULT_RISK_TABLE)
        self.workspace = Workspace(self.store, self.publisher)
        self.observed: list[Decision] = []
        self.meter = Meter()
        self.decider = Decider(
            PublishedPolicies(self.publisher, self.workspace),
            self.meter,
            NoModels(),
            DecisionRecorder(),
            self.observed.append,
        )
        self.streams = TextStreams(self.decider)

    def begin(self, format_: str = "", **fields: Any) -> PayloadStream:
        """Begins a stream of the tenant `acme`."""
        request = Request(request_id="r", tenant_id="acme", timestamp=1.0, **fields)
        return PayloadStream(self.streams, request, format_)

    async def stream(
        self, chunks: Sequence[str | bytes], format_: str = "", **fields: Any
    ) -> list[StreamAnswer]:
        """Sends chunks until the stream is closed; returns the answers."""
        stream = self.begin(format_, **fields)
        answers = []
        for index, chunk in enumerate(chunks):
            answers.append(await stream.feed(chunk, index == len(chunks) - 1))
            if answers[-1].closed:
                break
        return answers

    def close(self) -> None:
        """Closes the store."""
        self.workspace.close()
        self.store.close()


def released(answers: Iterable[StreamAnswer]) -> str:
    """Returns the released text of all answers."""
    return "".join(each.text for each in answers)


def sse(events: Iterable[Any], *, named: bool = False, end: str = "\n") -> str:
    """Returns events as server-sent events."""
    frames = []
    for event in events:
        name = f"event: {event['type']}{end}" if named else ""
        data = event if isinstance(event, str) else json.dumps(event, ensure_ascii=False)
        frames.append(f"{name}data: {data}{end}{end}")
    return "".join(frames)


def data_of(raw: str) -> list[Any]:
    """Returns the events of a stream."""
    frames = Splitter().feed(raw, last=True)
    return [json.loads(each.data) for each in frames if each.data and each.data != "[DONE]"]


def chat(texts: Sequence[str], **choice: Any) -> str:
    """A stream of Chat Completions whose deltas are `texts`."""
    base = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1694268190,
        "model": "gpt-4o-mini",
        "system_fingerprint": "fp_44709d6fcb",
    }
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += ({"content": text} for text in texts)
    chunks = [
        {**base, "choices": [{"index": 0, "delta": each, "logprobs": None, "finish_reason": None}]}
        for each in deltas
    ]
    last = {"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"}
    return sse([*chunks, {**base, "choices": [last]}, "[DONE]"])


def responses(texts: Sequence[str]) -> str:
    """A stream of Responses whose deltas are `texts`."""
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    text = "".join(texts)
    part = {"type": "output_text", "annotations": [], "logprobs": [], "text": text}
    item = {"id": "msg_1", "type": "message", "status": "completed", "role": "assistant"}
    response = {"id": "resp_1", "object": "response", "created_at": 1741290958, "model": "gpt-4.1"}
    events: list[dict[str, Any]] = [
        {
            "type": "response.created",
            "response": {**response, "status": "in_progress", "output": []},
        },
        {
            "type": "response.output_item.added",
            "output_index": 0,
            "item": {**item, "status": "in_progress", "content": []},
        },
        {"type": "response.content_part.added", **place, "part": {**part, "text": ""}},
        *(
            {"type": "response.output_text.delta", **place, "delta": each, "logprobs": []}
            for each in texts
        ),
        {"type": "response.output_text.done", **place, "text": text, "logprobs": []},
        {"type": "response.content_part.done", **place, "part": part},
        {
            "type": "response.output_item.done",
            "output_index": 0,
            "item": {**item, "content": [part]},
        },
        {
            "type": "response.completed",
            "response": {
                **response,
                "status": "completed",
                "output": [{**item, "content": [part]}],
            },
        },
    ]
    return sse(
        [{**each, "sequence_number": index} for index, each in enumerate(events)], named=True
    )


def anthropic(texts: Sequence[str]) -> str:
    """A stream of Anthropic Messages whose deltas are `texts`."""
    message: dict[str, Any] = {
        "id": "msg_1nZdL29xx5MUA1yADyHTEsnR8uuvGzszyY",
        "type": "message",
        "role": "assistant",
        "content": [],
        "model": "claude-opus-4-6",
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 25, "output_tokens": 1},
    }
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
        *(
            {
                "type": "content_block_delta",
                "index": 0,
                "delta": {"type": "text_delta", "text": each},
            }
            for each in texts
        ),
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": 15},
        },
        {"type": "message_stop"},
    ]
    return sse(events, named=True)


def gemini_events(texts: Sequence[str]) -> list[dict[str, Any]]:
    """The responses of a stream of Gemini whose texts are `texts`."""
    events: list[dict[str, Any]] = [
        {
            "candidates": [{"content": {"parts": [{"text": each}], "role": "model"}, "index": 0}],
            "usageMetadata": {"promptTokenCount": 4, "totalTokenCount": 4},
            "modelVersion": "gemini-2.5-flash",
            "responseId": "mAitaLmkHPPlz7IPvtfUqQ4",
        }
        for each in texts
    ]
    last = {"content": {"parts": [{"text": ""}], "role": "model"}, "finishReason": "STOP"}
    return [*events, {"candidates": [last], "modelVersion": "gemini-2.5-flash"}]


def gemini(texts: Sequence[str]) -> str:
    """A stream of Gemini as server-sent events, which end with CRLF."""
    return sse(gemini_events(texts), end="\r\n")


def gemini_array(texts: Sequence[str]) -> str:
    """A stream of Gemini as an array, whose items come one by one."""
    items = (json.dumps(each, indent=2, ensure_ascii=False) for each in gemini_events(texts))
    return "[" + "\n,\r\n".join(items) + "\n]\n"


def bedrock(texts: Sequence[str]) -> str:
    """A stream of ConverseStream whose deltas are `texts`, one event a line."""
    events: list[dict[str, Any]] = [
        {"messageStart": {"role": "assistant"}},
        *({"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": t}}} for t in texts),
        {"contentBlockStop": {"contentBlockIndex": 0}},
        {"messageStop": {"stopReason": "end_turn"}},
        {"metadata": {"usage": {"inputTokens": 9, "outputTokens": 3}, "metrics": {"latencyMs": 9}}},
    ]
    return "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in events)


def _text_of_chat(event: dict[str, Any]) -> Iterator[str]:
    for choice in event["choices"]:
        yield choice["delta"].get("content") or ""


def _text_of_responses(event: dict[str, Any]) -> Iterator[str]:
    if event["type"] == "response.output_text.delta":
        yield event["delta"]


def _text_of_anthropic(event: dict[str, Any]) -> Iterator[str]:
    if event["type"] == "content_block_delta":
        yield event["delta"].get("text", "")


def _text_of_gemini(event: dict[str, Any]) -> Iterator[str]:
    for candidate in event["candidates"]:
        for part in candidate["content"]["parts"]:
            yield part["text"]


def _text_of_bedrock(event: dict[str, Any]) -> Iterator[str]:
    yield event.get("contentBlockDelta", {}).get("delta", {}).get("text", "")


MAKERS: Final[dict[str, tuple[str, Callable[[Sequence[str]], str]]]] = {
    "chat": (CHAT, chat),
    "responses": (RESPONSES, responses),
    "anthropic": (ANTHROPIC, anthropic),
    "gemini": (GEMINI, gemini),
    "gemini-array": (GEMINI, gemini_array),
    "bedrock": (BEDROCK, bedrock),
}
"""Makes a stream of each framing and format for the pieces of one text."""

_READERS: Final[dict[str, Callable[[dict[str, Any]], Iterator[str]]]] = {
    CHAT: _text_of_chat,
    RESPONSES: _text_of_responses,
    ANTHROPIC: _text_of_anthropic,
    GEMINI: _text_of_gemini,
    BEDROCK: _text_of_bedrock,
}


def text_of(format_: str, raw: str) -> str:
    """Returns the text that a client reads from a stream."""
    read = _READERS[format_]
    return "".join(text for event in data_of(raw) for text in read(event))


def call_stream(format_: str, tool: str, pieces: Sequence[str]) -> str:
    """A stream with a text and a call, whose arguments are `pieces`."""
    text = "Let me look. "
    if format_ == CHAT:
        calls: list[dict[str, Any]] = [
            {"index": 0, "id": "call_1", "type": "function",
             "function": {"name": tool, "arguments": ""}},
            *({"index": 0, "function": {"arguments": each}} for each in pieces),
        ]  # fmt: skip
        deltas: list[Any] = [{"content": text}, *({"tool_calls": [each]} for each in calls)]
        chunks: list[Any] = [{"choices": [{"index": 0, "delta": each}]} for each in deltas]
        end = {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}
        return sse([*chunks, end, "[DONE]"])
    if format_ == RESPONSES:
        whole_text = "".join(pieces)
        item = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": tool}
        events: list[Any] = [
            {"type": "response.output_item.added", "item": {**item, "arguments": ""}},
            *({"type": "response.function_call_arguments.delta", "delta": each} for each in pieces),
            {"type": "response.function_call_arguments.done", "arguments": whole_text},
            {"type": "response.output_item.done", "item": {**item, "arguments": whole_text}},
        ]
        return sse([{**each, "output_index": 0} for each in events], named=True)
    if format_ == ANTHROPIC:
        block = {"type": "tool_use", "id": "toolu_1", "name": tool, "input": {}}
        events = [
            {"type": "content_block_start", "content_block": block},
            *(
                {
                    "type": "content_block_delta",
                    "delta": {"type": "input_json_delta", "partial_json": each},
                }
                for each in pieces
            ),
            {"type": "content_block_stop"},
        ]
        return sse([{**each, "index": 0} for each in events], named=True)
    start = {"toolUse": {"toolUseId": "tooluse_1", "name": tool}}
    events = [
        {"contentBlockStart": {"contentBlockIndex": 0, "start": start}},
        *(
            {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"toolUse": {"input": each}}}}
            for each in pieces
        ),
        {"contentBlockStop": {"contentBlockIndex": 0}},
    ]
    return "".join(json.dumps(each) + "\n" for each in events)


def arguments_of(format_: str, raw: str) -> str:
    """Returns the arguments that a client reads from `call_stream`."""
    events = data_of(raw)
    if format_ == CHAT:
        deltas = (each["choices"][0]["delta"] for each in events)
        calls = (call for each in deltas for call in each.get("tool_calls", ()))
        return "".join(each["function"]["arguments"] for each in calls)
    if format_ == RESPONSES:
        return "".join(each.get("delta", "") for each in events)
    if format_ == ANTHROPIC:
        return "".join(each.get("delta", {}).get("partial_json", "") for each in events)
    blocks = (each.get("contentBlockDelta", {}).get("delta", {}) for each in events)
    return "".join(each.get("toolUse", {}).get("input", "") for each in blocks)


def cut_at(raw: str, size: int) -> list[str]:
    """Cuts a stream into chunks of one size."""
    return [raw[start : start + size] for start in range(0, len(raw), size)] or [""]


@st.composite
def cuts(draw: st.DrawFn, raw: str) -> list[str]:
    """Cuts a stream into chunks: many small ones, or a few of any size."""
    most = draw(st.sampled_from((7, 60, 600, 6000)))
    chunks, start = [], 0
    while start < len(raw):
        size = draw(st.integers(0, most)) if most > 60 else most
        chunks.append(raw[start : start + size])
        start += size
    return chunks or [""]
